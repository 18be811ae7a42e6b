import type { Animation, Cue } from "../protocol";
import { addWaves, CHANNELS, CLIPS, type Channel, type Clip, clipOf, type Layer, type Pose, REST } from "./clips";
import { createMouth, endMouth, feedMouth, type Mouth, openness, shutMouth, stepMouth } from "./lipsync";
import { createPresence, type Presence, stepPresence } from "./presence";

/** Times a layer uses when a cue names none: in, out, hold, least dwell; ms. */
const TIMES: Readonly<Record<Layer, { in: number; out: number; hold: number; min: number }>> = {
  base: { in: 300, out: 300, hold: 0, min: 1200 },
  emotion: { in: 250, out: 600, hold: 0, min: 2500 },
  gesture: { in: 200, out: 350, hold: 0, min: 0 },
  gaze: { in: 150, out: 250, hold: 600, min: 0 },
};
const GAZES: readonly string[] = ["visitor", "pointer", "text", "away"];
const BASES: readonly string[] = ["idle", "listening", "thinking", "talk_calm", "talk_explain"];

const LATE_MS = 1000;
const THINK_AFTER_MS = 250;
const IDLE_AFTER_MS = 400;
const GESTURE_GAP_MS = 3000;
const SAME_GESTURE_GAP_MS = 8000;
const PRIO = { intent: 300, tag: 220, sentiment: 200, default: 100 } as const;
/** A host's own call outranks every cue. */
const PRIO_HOST = 1000;
const SENTENCE_END = /[.!?。！？]+["')\]]*(\s|$)|\n/g;

/** A cue with every field settled. */
interface Wish {
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
interface Waiting {
  readonly wish: Wish;
  readonly from: number;
}
interface Pending {
  readonly wish: Wish;
  readonly char: number;
}

/** All that the director knows. Made by `createState`, changed only by the functions of this file. */
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
    now: 0, streamId: "", revealed: 0, speaking: false, sentence: 0, trail: [], seen: new Set(), pending: [],
    base: [], nextBase: undefined, emotions: [], nextEmotion: undefined, gestures: [], nextGesture: undefined,
    gestureAt: new Map(), idleAt: Number.POSITIVE_INFINITY, listening: false, words: 0,
    beat: { side: "R", since: Number.NEGATIVE_INFINITY }, mouth: createMouth(),
    presence: createPresence(options.seed ?? 7), still: options.still ?? false,
    shown: { ...REST }, speed: Object.fromEntries(CHANNELS.map((c) => [c, 0])) as Pose,
  };
  state.base.push({ ...actOf(state, wish("idle", "base", { min: 0 })), level: 1 });
  return state;
}

function wish(state: string, layer: Layer, more: Partial<Wish> = {}): Wish {
  return { id: "", state, layer, w: 1, prio: PRIO.default, ...TIMES[layer], ...more };
}

const actOf = (state: State, w: Wish): Act => ({
  ...w, clip: clipOf(w.state) ?? CLIPS.idle, since: state.now, sentence: state.sentence, level: 0, leaving: false,
});

/** The layer a state belongs to when its cue names none, or undefined for an unknown state. */
function layerOf(state: string): Layer | undefined {
  return GAZES.includes(state) ? "gaze" : clipOf(state)?.layer;
}

/** Which layers a state may play on; a cue for any other layer is ignored, as is an unknown state. */
function fits(state: string, layer: Layer): boolean {
  if (layer === "gaze") return GAZES.includes(state);
  if (layer === "base") return BASES.includes(state);
  return clipOf(state) !== undefined && !BASES.includes(state) && (layer === "gesture" ? (clipOf(state)?.ms ?? 0) > 0 : layerOf(state) === "emotion");
}

const number = (value: unknown, fallback: number, low: number, high: number): number =>
  typeof value === "number" && Number.isFinite(value) ? Math.min(high, Math.max(low, value)) : fallback;

function wishOf(cue: Cue): Wish | undefined {
  const state = cue.state ?? "";
  const layer = cue.layer ?? layerOf(state);
  if (layer === undefined || !Object.hasOwn(TIMES, layer) || !fits(state, layer)) return undefined;
  const times = TIMES[layer];
  return {
    id: cue.id ?? "", state, layer, w: number(cue.w, 1, 0, 1),
    in: number(cue.in, times.in, 0, 5000), out: number(cue.out, times.out, 0, 5000),
    hold: number(cue.hold, times.hold, -1, 60000), min: number(cue.min, times.min, 0, 60000),
    prio: number(cue.prio, PRIO[cue.src ?? "default"] ?? PRIO.default, 0, PRIO_HOST),
  };
}

// ---------------------------------------------------------------- what comes in

/** A new answer begins: ids and anchors of the old one are void; what is shown stays until replaced. */
export function begin(state: State, streamId: string): void {
  if (streamId === state.streamId && state.speaking) return; // a resume of the same stream
  Object.assign(state, {
    streamId, revealed: 0, trail: [], pending: [], speaking: true, sentence: 0, words: 0, idleAt: Number.POSITIVE_INFINITY,
  });
  state.seen.clear();
}

/** Takes cues off the wire: those without an anchor act now, the others when the reveal passes them. */
export function receive(state: State, cues: readonly Cue[]): void {
  for (const cue of cues) {
    if (cue.cancel !== undefined) cancel(state, cue.cancel);
    else take(state, cue);
  }
}

function take(state: State, cue: Cue): void {
  if (cue.id !== undefined) {
    if (state.seen.has(cue.id)) return;
    state.seen.add(cue.id);
  }
  const wanted = wishOf(cue);
  if (!wanted) return;
  const char = cue.at?.char;
  if (typeof char !== "number" || char <= 0) act(state, wanted);
  else if (char > state.revealed) state.pending.push({ wish: wanted, char });
  else if (state.now - passedAt(state, char) <= LATE_MS) act(state, wanted);
  else actLate(state, wanted);
}

/** When the reveal passed `char`; minus infinity when that is longer ago than the trail remembers. */
function passedAt(state: State, char: number): number {
  return state.trail.find((step) => step.chars >= char && step.chars - char < 4000)?.at ?? Number.NEGATIVE_INFINITY;
}

/** More than a second too late: a gesture would be out of place, a feeling still holds half as long. */
function actLate(state: State, w: Wish): void {
  if (w.layer === "gesture" || w.layer === "gaze") return;
  act(state, { ...w, hold: w.hold > 0 ? w.hold / 2 : w.hold });
}

function act(state: State, w: Wish): void {
  if (w.layer === "base") wantBase(state, w);
  else if (w.layer === "emotion") wantEmotion(state, w);
  else if (w.layer === "gesture") wantGesture(state, w);
  else state.presence.cue = { target: w.state, until: state.now + (w.hold > 0 ? w.hold : TIMES.gaze.hold) };
}

/** Text appeared: moves the mouth, fires the cues it passes, and shrinks after a `stream_reset`. */
export function reveal(state: State, chars: number, text: string): void {
  if (chars < state.revealed) {
    state.pending = state.pending.filter((p) => p.char < chars);
    state.trail = state.trail.filter((step) => step.chars <= chars);
  }
  state.revealed = chars;
  state.trail.push({ chars, at: state.now });
  if (state.trail.length > 400) state.trail.splice(0, 200);
  if (text === "") return;
  if (!state.still) feedMouth(state.mouth, text);
  state.speaking = true;
  state.idleAt = Number.POSITIVE_INFINITY;
  countWords(state, text);
  fire(state);
  const base = state.nextBase?.wish.state ?? state.base.at(-1)?.state ?? "";
  if (!base.startsWith("talk_")) wantBase(state, wish("talk_calm", "base"));
}

function countWords(state: State, text: string): void {
  state.sentence += text.match(SENTENCE_END)?.length ?? 0;
  state.words += text.match(/\s+/g)?.length ?? 0;
  if (state.words < 8) return;
  state.words -= 8;
  state.beat = { side: state.beat.side === "L" ? "R" : "L", since: state.now };
}

function fire(state: State): void {
  const due = state.pending.filter((p) => p.char <= state.revealed);
  if (due.length === 0) return;
  state.pending = state.pending.filter((p) => p.char > state.revealed);
  for (const p of due) act(state, p.wish);
}

/** The short form: one of the nine names, now. */
export function animate(state: State, name: Animation): void {
  const layer = layerOf(name);
  if (!layer) return;
  if (layer === "base") {
    releaseEmotion(state, state.now);
    wantBase(state, wish(name, "base", { prio: PRIO_HOST, ...(name === "thinking" ? {} : { min: 0 }) }));
  } else if (layer === "emotion") {
    wantEmotion(state, wish(name, "emotion", { prio: PRIO.intent }));
  }
  if ((clipOf(name)?.ms ?? 0) > 0) wantGesture(state, wish(name, "gesture", { prio: PRIO_HOST }));
}

/** The stream is over: idle after 400 ms, feelings fade. */
export function end(state: State): void {
  state.idleAt = state.now + IDLE_AFTER_MS;
  endMouth(state.mouth);
}

/** The visitor types (or stopped). Speech goes on: only a quiet character listens. */
export function listen(state: State, on: boolean): void {
  state.listening = on;
  if (state.speaking) return;
  wantBase(state, wish(on ? "listening" : "idle", "base"));
}

/** Cancels one cue, or everything (`*`): barge-in. The next base change needs no dwell. */
export function cancel(state: State, id: string): void {
  const all = id === "*";
  const hit = (w: Wish | undefined): boolean => w !== undefined && (all || w.id === id);
  state.pending = state.pending.filter((p) => !hit(p.wish));
  if (hit(state.nextBase?.wish)) state.nextBase = undefined;
  if (hit(state.nextEmotion?.wish)) state.nextEmotion = undefined;
  if (hit(state.nextGesture)) state.nextGesture = undefined;
  for (const a of [...state.emotions, ...state.gestures]) if (hit(a)) a.leaving = true;
  if (!all) return;
  shutMouth(state.mouth);
  state.speaking = false;
  startBase(state, wish(state.listening ? "listening" : "idle", "base", { min: 0 }));
}

// ---------------------------------------------------------------- the layers

const replaces = (now: Wish, next: Wish): boolean => next.state !== now.state || Math.abs(next.w - now.w) > 0.15;

/** Keeps the stronger of two waiting wishes; equal ranks: the newer. */
const stronger = (old: Waiting | undefined, w: Wish, from: number): Waiting =>
  old && old.wish.prio > w.prio ? old : { wish: w, from };

function wantBase(state: State, w: Wish): void {
  const current = state.base.at(-1);
  if (current && current.state === w.state) {
    state.nextBase = undefined;
    return;
  }
  const from = w.state === "thinking" ? state.now + THINK_AFTER_MS : state.now;
  // A base describes what happens now, so a newer one always replaces one still waiting of the same rank or less.
  state.nextBase = stronger(state.nextBase?.wish.state === "thinking" ? undefined : state.nextBase, w, from);
  settleBase(state);
}

function settleBase(state: State): void {
  const next = state.nextBase;
  const current = state.base.at(-1);
  if (!next || state.now < next.from || (current && state.now < current.since + current.min)) return;
  state.nextBase = undefined;
  startBase(state, next.wish);
}

function startBase(state: State, w: Wish): void {
  if (state.base.at(-1)?.state !== w.state) state.base.push(actOf(state, w));
}

/** The feeling now felt, or undefined when the face is fading to neutral. */
const felt = (state: State): Act | undefined => state.emotions.findLast((a) => !a.leaving);

function wantEmotion(state: State, w: Wish): void {
  const current = felt(state);
  if (current && w.prio <= current.prio && !replaces(current, w)) return;
  state.nextEmotion = stronger(state.nextEmotion, w, state.now);
  settleEmotion(state);
}

/** A feeling lasts its dwell even when neutral follows: the last one started counts, felt or fading. */
function settleEmotion(state: State): void {
  const next = state.nextEmotion;
  const last = state.emotions.at(-1);
  if (!next || (last && state.now < last.since + last.min)) return;
  state.nextEmotion = undefined;
  for (const a of state.emotions) a.leaving = true;
  if (next.wish.state !== "neutral") state.emotions.push(actOf(state, next.wish));
}

function releaseEmotion(state: State, now: number): void {
  state.nextEmotion = undefined;
  const current = felt(state);
  if (current && now >= current.since + current.min) current.leaving = true;
  else if (current) state.nextEmotion = { wish: wish("neutral", "emotion"), from: now };
}

const gestureEnd = (a: Act): number => a.since + (a.hold > 0 ? a.hold : a.clip.ms);

function wantGesture(state: State, w: Wish): void {
  const playing = state.gestures.findLast((a) => !a.leaving);
  if (playing?.state === w.state) return;
  if (w.prio < PRIO_HOST && tooSoon(state, w)) return;
  if (!playing || w.prio > playing.prio) startGesture(state, w);
  else if (!state.nextGesture || w.prio >= state.nextGesture.prio) state.nextGesture = w;
}

/** The server keeps these gaps too; a merged or replayed stream must not break them. */
function tooSoon(state: State, w: Wish): boolean {
  const any = Math.max(Number.NEGATIVE_INFINITY, ...state.gestureAt.values());
  const same = state.gestureAt.get(w.state) ?? Number.NEGATIVE_INFINITY;
  return state.now - same < SAME_GESTURE_GAP_MS || state.now - any < GESTURE_GAP_MS;
}

function startGesture(state: State, w: Wish): void {
  for (const a of state.gestures) a.leaving = true;
  state.gestures.push(actOf(state, w));
  state.gestureAt.set(w.state, state.now);
}

// ---------------------------------------------------------------- one step

/** Moves time on by `dt` ms and returns the pose to draw (the same object every time). */
export function step(state: State, dt: number): Pose {
  const ms = Math.min(250, Math.max(0, dt));
  state.now += ms;
  settle(state);
  fade(state, ms);
  if (state.still) Object.assign(state.mouth, createMouth());
  else stepMouth(state.mouth, ms);
  const target = compose(state);
  if (!state.still) stepPresence(state, target, ms);
  chase(state, target, ms);
  applyMouth(state);
  return state.shown;
}

function settle(state: State): void {
  if (state.now >= state.idleAt) finish(state);
  const feeling = felt(state);
  if (feeling && over(state, feeling)) feeling.leaving = true;
  settleBase(state);
  settleEmotion(state);
  for (const a of state.gestures) if (state.now >= gestureEnd(a)) a.leaving = true;
  const next = state.nextGesture;
  if (next && state.gestures.every((a) => a.leaving)) {
    state.nextGesture = undefined;
    startGesture(state, next);
  }
}

function over(state: State, a: Act): boolean {
  const dwelt = state.now >= a.since + a.min;
  if (a.hold > 0) return dwelt && state.now >= a.since + a.hold;
  return a.hold < 0 && dwelt && state.sentence > a.sentence;
}

function finish(state: State): void {
  state.idleAt = Number.POSITIVE_INFINITY;
  state.speaking = false;
  state.pending = [];
  releaseEmotion(state, state.now);
  wantBase(state, wish(state.listening ? "listening" : "idle", "base"));
}

const move = (level: number, up: boolean, ms: number, span: number): number =>
  span <= 0 ? (up ? 1 : 0) : Math.min(1, Math.max(0, level + ((up ? 1 : -1) * ms) / span));

function fade(state: State, ms: number): void {
  const top = state.base.at(-1);
  if (top) top.level = move(top.level, true, ms, state.still ? 600 : top.in);
  if (top?.level === 1) state.base.splice(0, state.base.length - 1);
  for (const a of [...state.emotions, ...state.gestures]) a.level = move(a.level, !a.leaving, ms, a.leaving ? a.out : a.in);
  state.gestures = state.gestures.filter((a) => a.level > 0 || !a.leaving);
  // The last feeling stays in the list while its dwell runs, so that the next one has to wait.
  state.emotions = state.emotions.filter((a) => a.level > 0 || !a.leaving || state.now < a.since + a.min);
}

export const ease = (x: number): number => x * x * (3 - 2 * x);
/** A gesture first dips the other way, as a body does before it moves. */
const anticipate = (x: number, leaving: boolean): number =>
  leaving ? ease(x) : ease(x) - 0.09 * Math.sin(Math.PI * Math.min(1, x / 0.4)) * (x < 0.4 ? 1 : 0);

/** The weights of the feelings now shown; they never sum to more than 1: the newest keeps its own, older ones give way. */
export function emotionWeights(state: State): readonly { readonly state: string; readonly w: number }[] {
  let room = 1;
  return state.emotions.toReversed().map((a) => {
    const w = Math.min(room, a.w * ease(a.level));
    room -= w;
    return { state: a.state, w };
  });
}

function lean(pose: Pose, from: Partial<Pose>, w: number): void {
  for (const key in from) {
    const channel = key as Channel;
    pose[channel] += ((from[channel] as number) - pose[channel]) * w;
  }
}

/** One base pose over rest. */
function basePose(a: Act, now: number, still: boolean): Pose {
  const pose: Pose = { ...REST };
  lean(pose, a.clip.face, a.w);
  lean(pose, a.clip.body, a.w);
  if (!still) addWaves(pose, a.clip.waves, now / 1000, a.w);
  return pose;
}

function compose(state: State): Pose {
  const [first, ...later] = state.base;
  const pose = first ? basePose(first, state.now, state.still) : { ...REST };
  for (const a of later) lean(pose, basePose(a, state.now, state.still), ease(a.level));
  if (!state.still && state.base.at(-1)?.state === "talk_calm") addBeat(state, pose);
  const weights = emotionWeights(state);
  state.emotions.toReversed().forEach((a, i) => {
    const w = weights[i]?.w ?? 0;
    lean(pose, a.clip.face, w);
    if (!state.still) addWaves(pose, a.clip.waves, (state.now - a.since) / 1000, w);
  });
  for (const a of state.gestures) {
    const w = a.w * anticipate(a.level, a.leaving);
    lean(pose, a.clip.face, Math.max(0, w));
    lean(pose, a.clip.body, w);
    if (!state.still) addWaves(pose, a.clip.waves, (state.now - a.since) / 1000, Math.max(0, w));
  }
  return pose;
}

/** A small lift of one forearm, about every eight words. */
function addBeat(state: State, pose: Pose): void {
  const t = (state.now - state.beat.since) / 1100;
  if (t < 0 || t > 1) return;
  const lift = Math.sin(Math.PI * t) ** 1.5;
  const { side } = state.beat;
  pose[`bend${side}`] -= 1.25 * lift;
  pose[`fwd${side}`] -= 0.3 * lift;
  pose[`out${side}`] += 0.16 * lift;
  pose[`turn${side}`] += 0.8 * lift;
  pose[`foreZ${side}`] += 0.25 * lift;
}

// ---------------------------------------------------------------- from wish to motion

/** Spring rate (rad/s) and damping by channel: eyes are quick, heads slower, arms carry through a little. */
function springOf(channel: Channel): readonly [number, number] {
  if (channel.startsWith("look")) return [42, 1];
  if (channel.startsWith("hair")) return [17, 0.22];
  if (/^(blink|squint|wide|smileEye|brow|smile|grin|frown|sideways|pucker)/.test(channel)) return [24, 1];
  if (/^(head|spine|bounce|breath|shrug)/.test(channel)) return [15, 0.9];
  if (/^(curl|index|thumb|wrist|turn)/.test(channel)) return [20, 0.85];
  return [17, 0.78];
}
const SPRINGS = CHANNELS.filter((c) => !c.startsWith("mouth")).map((c) => [c, ...springOf(c)] as const);
const SUBSTEP_S = 1 / 120;

/** Every channel follows its target on a spring from where it is now: whatever interrupts, nothing snaps. */
function chase(state: State, target: Pose, ms: number): void {
  const { shown, speed } = state;
  const steps = Math.max(1, Math.ceil(ms / 1000 / SUBSTEP_S));
  const h = ms / 1000 / steps;
  for (const [channel, rate, damping] of SPRINGS) {
    const omega = state.still ? 9 : rate;
    const zeta = state.still ? 1 : damping;
    const goal = target[channel];
    let x = shown[channel];
    let v = speed[channel];
    for (let i = 0; i < steps; i++) {
      v += (omega * omega * (goal - x) - 2 * zeta * omega * v) * h;
      x += v * h;
    }
    shown[channel] = x;
    speed[channel] = v;
  }
}

/** Lips bypass the springs: the lip-sync has its own smoothing and must close on time. */
function applyMouth(state: State): void {
  const { shown, mouth } = state;
  const [w, u, l, s, teeth, tongue] = mouth.shape as [number, number, number, number, number, number];
  Object.assign(shown, { mouthW: w, mouthU: u, mouthL: l, mouthS: s, mouthTeeth: teeth, mouthTongue: tongue, mouthOwn: mouth.own });
}

/** What is shown now, by name. */
export function summary(state: State): { base: string; emotion: string; gesture: string | null; mouth: number } {
  return {
    base: state.base.at(-1)?.state ?? "idle",
    emotion: felt(state)?.state ?? "neutral",
    gesture: state.gestures.findLast((a) => !a.leaving)?.state ?? null,
    mouth: openness(state.mouth),
  };
}
