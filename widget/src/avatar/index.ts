import type { Animation, Cue } from "../protocol";
import * as director from "./director";
import { type Look, resolveLook } from "./looks";
import { pointAt } from "./presence";
import { openStage, type Stage } from "./stage";

export { type Accessory, type HairStyle, LOOKS, type Look } from "./looks";

export interface AvatarOptions {
  container: HTMLElement;
  /** A preset's name or parts of a look. */
  look?: string | Partial<Look>;
  /** The brand colour (`#rrggbb`): clothes and headset. */
  accent?: string;
  /** Static poses with one slow cross-fade; no lips, blinks or breathing. */
  reducedMotion?: boolean;
  /** The picture is gone (lost context, failed build): show the flat face instead. */
  onLost?: (reason: string) => void;
}

export interface Avatar {
  /** A new answer: cue ids are forgotten and the reveal starts at 0. */
  begin(streamId: string): void;
  /** Cues of the protocol; each fires when the reveal passes `at.char`, without `at` now. */
  cue(cues: readonly Cue[]): void;
  /** The short form: one of the nine names, now. */
  animate(name: Animation): void;
  /** `chars` UTF-16 units are revealed in all, `text` is the newest piece: drives the mouth and the cues. */
  reveal(chars: number, text: string): void;
  /** The stream is over: idle after 400 ms, feelings fade. */
  end(): void;
  /** The visitor types. */
  listen(on: boolean): void;
  /** The pointer, each axis -1..1 from the middle of the avatar, y upward. */
  look(x: number, y: number): void;
  pause(): void;
  resume(): void;
  dispose(): void;
  setLook(look: string | Partial<Look>): void;
  /** Settles when the character is first drawn. */
  readonly ready: Promise<void>;
  readonly state: { base: string; emotion: string; gesture: string | null; mouth: number };
  readonly stats: { triangles: number; drawCalls: number; programs: number };
}

const CALM_MS = 700;

/** Opens the character in a container. Throws when the browser has no WebGL2. */
export function createAvatar(options: AvatarOptions): Avatar {
  const still = options.reducedMotion ?? false;
  const state = director.createState({ still, seed: Math.floor(Math.random() * 2 ** 31) });
  let touched = 0;
  const stage: Stage = openStage({
    container: options.container,
    look: resolveLook(options.look, options.accent),
    still,
    pose: (dt) => director.step(state, dt),
    busy: () => state.speaking || state.gestures.length > 0 || state.base.length > 1 || state.now - touched < CALM_MS,
    restless: () => director.restless(state),
    onLost: (reason) => options.onLost?.(reason),
  });
  const after =
    <A extends unknown[]>(change: (...args: A) => void): ((...args: A) => void) =>
    (...args) => {
      change(...args);
      touched = state.now;
      stage.wake();
    };
  return {
    begin: after((id: string) => director.begin(state, id)),
    cue: after((cues: readonly Cue[]) => director.receive(state, cues)),
    animate: after((name: Animation) => director.animate(state, name)),
    reveal: after((chars: number, text: string) => director.reveal(state, chars, text)),
    end: after(() => director.end(state)),
    listen: after((on: boolean) => director.listen(state, on)),
    look: after((x: number, y: number) => pointAt(state, x, y)),
    setLook: (look) => stage.setLook(resolveLook(look, options.accent)),
    pause: () => stage.pause(),
    resume: () => stage.resume(),
    dispose: () => stage.dispose(),
    ready: stage.ready,
    get state() {
      return director.summary(state);
    },
    get stats() {
      return stage.stats;
    },
  };
}
