import { CHANNELS, CLIPS, type Clip, clipOf, type Layer, type Pose, REST } from "./clips";
import { createMouth, type Mouth } from "./lipsync";
import { createPresence, type Presence } from "./presence";

/** Times a layer uses when a cue names none: in, out, hold, least dwell; ms. */
export const TIMES: Readonly<Record<Layer, { in: number; out: number; hold: number; min: number }>> = {
  base: { in: 300, out: 300, hold: 0, min: 1200 },
  emotion: { in: 250, out: 600, hold: 0, min: 2500 },
  gesture: { in: 200, out: 350, hold: 0, min: 0 },
  gaze: { in: 150, out: 250, hold: 600, min: 0 },
};

export const PRIO = { intent: 300, tag: 220, sentiment: 200, default: 100 } as const;
/** A host's own call outranks every cue. */
export const PRIO_HOST = 1000;

/** A cue with every field settled. */
export interface Wish {
  readonly id: string;
  readonly state: string;
  readonly layer: Layer;
  readonly w: number;
  readonly in: number;
  readonly out: number;
  readonly hold: number;
  readonly prio: number;
  readonly min: number;
}
/** A wish being shown: `level` is its linear fade 0..1. */
export interface Act extends Wish {
  readonly clip: Clip;
  readonly since: number;
  readonly sentence: number;
  level: number;
  leaving: boolean;
}
export interface Waiting {
  readonly wish: Wish;
  readonly from: number;
}
export interface Pending {
  readonly wish: Wish;
  readonly char: number;
}

/** All that the director knows. Made by `createState`, changed only by the director. */
export interface State {
  now: number;
  streamId: string;
  revealed: number;
  speaking: boolean;
  sentence: number;
  /** Recent reveals, to tell how late a cue is. */
  trail: { chars: number; at: number }[];
  seen: Set<string>;
  pending: Pending[];
  base: Act[];
  nextBase: Waiting | undefined;
  emotions: Act[];
  nextEmotion: Waiting | undefined;
  gestures: Act[];
  nextGesture: Wish | undefined;
  gestureAt: Map<string, number>;
  idleAt: number;
  listening: boolean;
  words: number;
  beat: { side: "L" | "R"; since: number };
  mouth: Mouth;
  presence: Presence;
  /** Reduced motion: no waves, blinks, saccades or lips; poses still change, slowly. */
  readonly still: boolean;
  readonly shown: Pose;
  readonly speed: Pose;
}

export function createState(options: { seed?: number; still?: boolean } = {}): State {
  const state: State = {
    now: 0,
    streamId: "",
    revealed: 0,
    speaking: false,
    sentence: 0,
    trail: [],
    seen: new Set(),
    pending: [],
    base: [],
    nextBase: undefined,
    emotions: [],
    nextEmotion: undefined,
    gestures: [],
    nextGesture: undefined,
    gestureAt: new Map(),
    idleAt: Number.POSITIVE_INFINITY,
    listening: false,
    words: 0,
    beat: { side: "R", since: Number.NEGATIVE_INFINITY },
    mouth: createMouth(),
    presence: createPresence(options.seed ?? 7),
    still: options.still ?? false,
    shown: { ...REST },
    speed: Object.fromEntries(CHANNELS.map((c) => [c, 0])) as Pose,
  };
  state.base.push({ ...actOf(state, wish("idle", "base", { min: 0 })), level: 1 });
  return state;
}

export function wish(state: string, layer: Layer, more: Partial<Wish> = {}): Wish {
  return { id: "", state, layer, w: 1, prio: PRIO.default, ...TIMES[layer], ...more };
}

export const actOf = (state: State, w: Wish): Act => ({
  ...w,
  clip: clipOf(w.state) ?? CLIPS.idle,
  since: state.now,
  sentence: state.sentence,
  level: 0,
  leaving: false,
});
