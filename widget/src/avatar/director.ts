import type { Animation, Cue } from "../protocol";
import { type Act, actOf, PRIO, PRIO_HOST, type State, TIMES, type Waiting, type Wish, wish } from "./acts";
import { clipOf, type Layer, type Pose } from "./clips";
import { createMouth, endMouth, feedMouth, openness, shutMouth, stepMouth } from "./lipsync";
import { applyMouth, chase, compose } from "./motion";
import { stepPresence } from "./presence";

export { createState, type State } from "./acts";
export { emotionWeights } from "./motion";

const GAZES: readonly string[] = ["visitor", "pointer", "text", "away"];
const BASES: readonly string[] = ["idle", "listening", "thinking", "talk_calm", "talk_explain"];

const LATE_MS = 1000;
/** More characters than this at once were not read by anyone as they came. */
const JUMP_CHARS = 240;
const THINK_AFTER_MS = 250;
const IDLE_AFTER_MS = 400;
const GESTURE_GAP_MS = 3000;
const SAME_GESTURE_GAP_MS = 8000;
const SENTENCE_END = /[.!?。！？]+["')\]]*(\s|$)|\n/g;

/** The layer a state belongs to when its cue names none, or undefined for an unknown state. */
function layerOf(state: string): Layer | undefined {
  return GAZES.includes(state) ? "gaze" : clipOf(state)?.layer;
}

/** Which layers a state may play on; a cue for any other layer is ignored, as is an unknown state. */
function fits(state: string, layer: Layer): boolean {
  if (layer === "gaze") return GAZES.includes(state);
  if (layer === "base") return BASES.includes(state);
  return (
    clipOf(state) !== undefined &&
    !BASES.includes(state) &&
    (layer === "gesture" ? (clipOf(state)?.ms ?? 0) > 0 : layerOf(state) === "emotion")
  );
}

const number = (value: unknown, fallback: number, low: number, high: number): number =>
  typeof value === "number" && Number.isFinite(value) ? Math.min(high, Math.max(low, value)) : fallback;

function wishOf(cue: Cue): Wish | undefined {
  const state = cue.state ?? "";
  const layer = cue.layer ?? layerOf(state);
  if (layer === undefined || !Object.hasOwn(TIMES, layer) || !fits(state, layer)) return undefined;
  const times = TIMES[layer];
  return {
    id: cue.id ?? "",
    state,
    layer,
    w: number(cue.w, 1, 0, 1),
    in: number(cue.in, times.in, 0, 5000),
    out: number(cue.out, times.out, 0, 5000),
    hold: number(cue.hold, times.hold, -1, 60000),
    min: number(cue.min, times.min, 0, 60000),
    prio: number(cue.prio, PRIO[cue.src ?? "default"] ?? PRIO.default, 0, PRIO_HOST),
  };
}

// ---------------------------------------------------------------- what comes in

/** A new answer begins: ids and anchors of the old one are void; what is shown stays until replaced. */
export function begin(state: State, streamId: string): void {
  if (streamId === state.streamId && state.speaking) return; // a resume of the same stream
  Object.assign(state, {
    streamId,
    revealed: 0,
    trail: [],
    pending: [],
    speaking: true,
    sentence: 0,
    words: 0,
    idleAt: Number.POSITIVE_INFINITY,
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
  return state.trail.find((step) => step.chars >= char)?.at ?? Number.NEGATIVE_INFINITY;
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

/**
 * Text appeared: moves the mouth, fires the cues it passes, and forgets what a `stream_reset` took back.
 * A jump (history, resume, "show all") counts as long past: its gestures are not replayed.
 */
export function reveal(state: State, chars: number, text: string): void {
  if (chars < state.revealed) unreveal(state, chars);
  const jump = chars - state.revealed > JUMP_CHARS;
  state.revealed = chars;
  state.trail.push({ chars, at: jump ? Number.NEGATIVE_INFINITY : state.now });
  if (state.trail.length > 400) state.trail.splice(0, 200);
  if (text !== "") speak(state, text);
  fire(state, jump ? actLate : act);
}

function unreveal(state: State, chars: number): void {
  state.pending = state.pending.filter((p) => p.char < chars);
  state.trail = state.trail.filter((past) => past.chars <= chars);
}

function speak(state: State, text: string): void {
  if (!state.still) feedMouth(state.mouth, text);
  state.speaking = true;
  state.idleAt = Number.POSITIVE_INFINITY;
  countWords(state, text);
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

function fire(state: State, how: typeof act): void {
  const due = state.pending.filter((p) => p.char <= state.revealed);
  if (due.length === 0) return;
  state.pending = state.pending.filter((p) => p.char > state.revealed);
  for (const p of due) how(state, p.wish);
}

/** The short form: one of the nine names, now. */
export function animate(state: State, name: Animation): void {
  const layer = layerOf(name);
  if (!layer) return;
  if (layer === "base") {
    releaseEmotion(state, state.now);
    wantBase(state, wish(name, "base", { prio: PRIO.intent, ...(name === "thinking" ? {} : { min: 0 }) }));
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
  applyMouth(state, target);
  return state.shown;
}

function settle(state: State): void {
  if (state.now >= state.idleAt) finish(state);
  const feeling = felt(state);
  if (feeling && over(state, feeling)) feeling.leaving = true;
  const base = state.base.at(-1);
  if (base && over(state, base)) wantBase(state, wish(state.speaking ? "talk_calm" : "idle", "base"));
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
  for (const a of [...state.emotions, ...state.gestures])
    a.level = move(a.level, !a.leaving, ms, a.leaving ? a.out : a.in);
  state.gestures = state.gestures.filter((a) => a.level > 0 || !a.leaving);
  // The last feeling stays in the list while its dwell runs, so that the next one has to wait.
  state.emotions = state.emotions.filter((a) => a.level > 0 || !a.leaving || state.now < a.since + a.min);
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

/** True while something will still change by itself: fades, holds, waiting wishes. */
export function restless(state: State): boolean {
  return (
    state.idleAt < Number.POSITIVE_INFINITY ||
    state.nextBase !== undefined ||
    state.nextEmotion !== undefined ||
    state.gestures.length > 0 ||
    state.base.length > 1 ||
    state.emotions.some((a) => a.leaving || a.hold !== 0 || a.level < 1)
  );
}
