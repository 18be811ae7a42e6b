import type { State } from "./acts";
import type { Pose } from "./clips";
import { openness } from "./lipsync";

/** What a body does by itself: blink, breathe, look about, follow the pointer, carry its hair. */
export interface Presence {
  random: () => number;
  blinkAt: number;
  blink: number;
  double: boolean;
  gaze: { x: number; y: number; until: number };
  pointer: { x: number; y: number; at: number };
  cue: { target: string; until: number } | undefined;
  headWas: { x: number; z: number };
  nudge: number;
}

/** A small seeded generator (mulberry32): the same seed gives the same performance, so pictures can be compared. */
function seeded(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export function createPresence(seed: number): Presence {
  return {
    random: seeded(seed),
    blinkAt: 1800,
    blink: -1,
    double: false,
    gaze: { x: 0, y: 0, until: 900 },
    pointer: { x: 0, y: 0, at: Number.NEGATIVE_INFINITY },
    cue: undefined,
    headWas: { x: 0, z: 0 },
    nudge: 0,
  };
}

/** The pointer moved to (x, y), each -1..1 with y up. */
export function pointAt(state: State, x: number, y: number): void {
  state.presence.pointer = { x: Math.min(1, Math.max(-1, x)), y: Math.min(1, Math.max(-1, y)), at: state.now };
}

const FOLLOW_MS = 2600;
const CLOSE_MS = 75;
const SHUT_MS = 35;
const OPEN_MS = 140;

/** Lid closure at `t` ms into a blink. */
function lidAt(t: number): number {
  if (t < 0 || t > CLOSE_MS + SHUT_MS + OPEN_MS) return 0;
  if (t < CLOSE_MS) return Math.sin((Math.PI / 2) * (t / CLOSE_MS));
  return t < CLOSE_MS + SHUT_MS ? 1 : 0.5 + 0.5 * Math.cos((Math.PI * (t - CLOSE_MS - SHUT_MS)) / OPEN_MS);
}

function blink(state: State, pose: Pose): void {
  const p = state.presence;
  if (state.now >= p.blinkAt) {
    p.blink = p.blinkAt = state.now;
    p.double = !p.double && p.random() < 0.15;
    p.blinkAt += p.double ? 330 : 2000 + 4000 * -Math.log(1 - 0.632 * p.random());
  }
  const t = p.blink < 0 ? -1 : state.now - p.blink;
  pose.blinkL = Math.max(pose.blinkL, lidAt(t));
  pose.blinkR = Math.max(pose.blinkR, lidAt(t - 9));
}

const TARGETS: Readonly<Record<string, readonly [number, number]>> = {
  visitor: [0, 0],
  text: [0.1, -0.75],
  away: [0.7, 0.45],
};

/** Where the eyes want to be: a cue first, then the pointer, then small wanderings around the visitor. */
function gazeGoal(state: State): readonly [number, number] {
  const p = state.presence;
  if (p.cue && state.now >= p.cue.until) p.cue = undefined;
  const target = p.cue && TARGETS[p.cue.target];
  if (target) return target;
  if (state.now - p.pointer.at < FOLLOW_MS) return [p.pointer.x * 0.9, p.pointer.y * 0.8];
  if (state.listening && state.now % 3400 < 1500) return TARGETS.text as readonly [number, number];
  return [p.gaze.x, p.gaze.y];
}

function wander(state: State): void {
  const p = state.presence;
  if (state.now < p.gaze.until) return;
  const contact = p.random() < (state.speaking ? 0.62 : 0.45);
  const reach = state.speaking ? 0.3 : 0.45;
  p.gaze = {
    x: contact ? 0 : (p.random() * 2 - 1) * reach,
    y: contact ? 0 : (p.random() * 2 - 1.1) * reach * 0.6,
    until: state.now + 500 + 2000 * p.random(),
  };
  if (!contact && p.random() < 0.25) p.blinkAt = Math.min(p.blinkAt, state.now + 30); // eyes often blink as they jump
}

function look(state: State, pose: Pose): void {
  wander(state);
  const [x, y] = gazeGoal(state);
  const free = 1 - Math.min(1, Math.hypot(pose.lookX, pose.lookY)); // a clip that looks away keeps its gaze
  pose.lookX += x * (0.35 + 0.65 * free);
  pose.lookY += y * (0.35 + 0.65 * free);
  pose.headY += 0.24 * x * free;
  pose.headX -= 0.15 * y * free;
}

/** Pitch on open vowels: the head speaks with the mouth. */
function stress(state: State, pose: Pose, ms: number): void {
  const p = state.presence;
  p.nudge += ((state.mouth.own > 0 ? openness(state.mouth) : 0) - p.nudge) * (1 - Math.exp(-ms / 110));
  pose.headX += 0.07 * p.nudge;
  pose.browUpL += 0.16 * p.nudge;
  pose.browUpR += 0.16 * p.nudge;
}

/** Hair and cords lag behind the head: their target is the head's own speed, backwards. */
function carry(state: State, pose: Pose): void {
  pose.hairX = Math.max(-0.5, Math.min(0.5, -state.speed.headX * 0.16 - state.speed.bounce * 0.5));
  pose.hairZ = Math.max(-0.5, Math.min(0.5, -state.speed.headZ * 0.16 + state.speed.headY * 0.05));
}

/** Adds life to the target pose. */
export function stepPresence(state: State, pose: Pose, ms: number): void {
  const t = state.now / 1000;
  pose.breath += Math.sin(2 * Math.PI * 0.25 * t);
  pose.shrugL += 0.1 * Math.sin(2 * Math.PI * 0.25 * t - 0.4);
  pose.shrugR += 0.1 * Math.sin(2 * Math.PI * 0.25 * t - 0.5);
  look(state, pose);
  stress(state, pose, ms);
  carry(state, pose);
  blink(state, pose);
}
