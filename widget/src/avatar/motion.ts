import type { Act, State } from "./acts";
import { addWaves, CHANNELS, type Channel, type Pose, REST } from "./clips";

const ease = (x: number): number => x * x * (3 - 2 * x);
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

/** The pose the layers ask for: bases cross-faded, feelings and gestures over them. */
export function compose(state: State): Pose {
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

/** Spring rate (rad/s) and damping by channel: eyes are quick, heads slower, arms carry through a little. */
function springOf(channel: Channel): readonly [number, number] {
  if (channel.startsWith("look")) return [42, 1];
  if (channel.startsWith("hair")) return [17, 0.22];
  if (/^(squint|wide|smileEye|brow|smile|grin|frown|sideways|pucker)/.test(channel)) return [24, 1];
  if (/^(head|spine|bounce|breath|shrug)/.test(channel)) return [15, 0.9];
  if (/^(curl|index|thumb|wrist|turn)/.test(channel)) return [20, 0.85];
  return [17, 0.78];
}
const SPRINGS = CHANNELS.filter((c) => !/^(mouth|blink)/.test(c)).map((c) => [c, ...springOf(c)] as const);
const SUBSTEP_S = 1 / 120;

/** Every channel follows its target on a spring from where it is now: whatever interrupts, nothing snaps. */
export function chase(state: State, target: Pose, ms: number): void {
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

/** Lips and blinks bypass the springs: they have their own smoothing and must close on time. */
export function applyMouth(state: State, target: Pose): void {
  const { shown, mouth } = state;
  shown.blinkL = target.blinkL;
  shown.blinkR = target.blinkR;
  const [w, u, l, s, teeth, tongue] = mouth.shape as [number, number, number, number, number, number];
  Object.assign(shown, {
    mouthW: w,
    mouthU: u,
    mouthL: l,
    mouthS: s,
    mouthTeeth: teeth,
    mouthTongue: tongue,
    mouthOwn: mouth.own,
  });
}
