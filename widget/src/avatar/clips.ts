import type { Animation } from "../protocol";

/** Every number the character can be posed by; angles in radians, face weights 0..1, look and sideways -1..1. */
export const CHANNELS = [
  "blinkL",
  "blinkR",
  "squint",
  "wide",
  "smileEye",
  "lookX",
  "lookY",
  "browUpL",
  "browUpR",
  "browDownL",
  "browDownR",
  "browInner",
  "smile",
  "grin",
  "frown",
  "sideways",
  "pucker",
  "mouthW",
  "mouthU",
  "mouthL",
  "mouthS",
  "mouthTeeth",
  "mouthTongue",
  "mouthOwn",
  "headX",
  "headY",
  "headZ",
  "spineX",
  "spineY",
  "spineZ",
  "bounce",
  "breath",
  "hairX",
  "hairZ",
  "shrugL",
  "outL",
  "fwdL",
  "twistL",
  "bendL",
  "foreZL",
  "turnL",
  "wristXL",
  "wristZL",
  "curlL",
  "indexL",
  "thumbL",
  "shrugR",
  "outR",
  "fwdR",
  "twistR",
  "bendR",
  "foreZR",
  "turnR",
  "wristXR",
  "wristZR",
  "curlR",
  "indexR",
  "thumbR",
] as const;
export type Channel = (typeof CHANNELS)[number];
export type Pose = Record<Channel, number>;

export type Layer = "base" | "emotion" | "gesture" | "gaze";
export type Inner = "listening" | "concern" | "neutral";

/** A steady motion on one channel: `amp * sin(2 pi (hz t + phase))`; `beat` keeps the upper half only. */
export interface Wave {
  readonly channel: Channel;
  readonly amp: number;
  readonly hz: number;
  readonly phase?: number;
  readonly beat?: boolean;
}
/** What a state looks like: `face` is all an emotion may move, `body` is added by bases and gestures. */
export interface Clip {
  readonly layer: Layer;
  readonly face: Partial<Pose>;
  readonly body: Partial<Pose>;
  readonly waves: readonly Wave[];
  /** Length of the gesture in ms; 0 for loops. */
  readonly ms: number;
}

/** Arms hanging, hands relaxed: where every motion starts and ends. */
export const REST: Pose = {
  ...(Object.fromEntries(CHANNELS.map((c) => [c, 0])) as Pose),
  smile: 0.3,
  browUpL: 0.08,
  browUpR: 0.08,
  outL: 0.13,
  outR: 0.13,
  bendL: -0.16,
  bendR: -0.16,
  fwdL: 0.04,
  fwdR: 0.04,
  curlL: 0.35,
  curlR: 0.35,
  indexL: 0.2,
  indexR: 0.2,
  thumbL: 0.1,
  thumbR: 0.1,
};

const loop = (face: Partial<Pose>, body: Partial<Pose>, waves: readonly Wave[]): Clip => ({
  layer: "base",
  face,
  body,
  waves,
  ms: 0,
});

/** The nine public states; a new member of Animation does not compile until it has a clip. */
export const CLIPS: Readonly<Record<Animation, Clip>> = {
  idle: loop({}, {}, [
    { channel: "spineZ", amp: 0.012, hz: 0.11 },
    { channel: "headZ", amp: 0.02, hz: 0.09, phase: 0.3 },
    { channel: "headY", amp: 0.03, hz: 0.07 },
  ]),
  talk_calm: loop({ browUpL: 0.16, browUpR: 0.2, smile: 0.25 }, { headY: 0.03, headZ: -0.02 }, [
    { channel: "headX", amp: 0.022, hz: 0.83 },
    { channel: "headZ", amp: 0.03, hz: 0.37, phase: 0.2 },
    { channel: "headY", amp: 0.045, hz: 0.29 },
    { channel: "spineY", amp: 0.02, hz: 0.23 },
  ]),
  talk_explain: loop(
    { browUpL: 0.4, browUpR: 0.48, smile: 0.35 },
    {
      headY: -0.09,
      headZ: -0.045,
      outL: 0.36,
      fwdL: -0.42,
      bendL: -1.72,
      foreZL: 0.28,
      turnL: 0.95,
      wristXL: 0.25,
      curlL: 0.22,
      indexL: 0.05,
      thumbL: 0.1,
      outR: 0.34,
      fwdR: -0.3,
      bendR: -1.55,
      foreZR: 0.3,
      turnR: 0.95,
      wristXR: 0.25,
      curlR: 0.28,
      indexR: 0.08,
      thumbR: 0.1,
    },
    [
      { channel: "bendL", amp: -0.26, hz: 0.8, beat: true },
      { channel: "bendR", amp: -0.26, hz: 0.8, phase: 0.5, beat: true },
      { channel: "outL", amp: 0.07, hz: 0.4 },
      { channel: "outR", amp: 0.07, hz: 0.4, phase: 0.4 },
      { channel: "turnL", amp: 0.16, hz: 0.8, phase: 0.1 },
      { channel: "turnR", amp: 0.16, hz: 0.8, phase: 0.6 },
      { channel: "headX", amp: 0.03, hz: 0.8 },
      { channel: "headZ", amp: 0.035, hz: 0.4, phase: 0.2 },
    ],
  ),
  happy: {
    layer: "emotion",
    ms: 0,
    body: {},
    face: {
      grin: 1,
      smile: 0,
      smileEye: 0.85,
      browUpL: 0.55,
      browUpR: 0.6,
      headX: -0.03,
      headZ: 0.1,
      shrugL: 0.25,
      shrugR: 0.25,
    },
    waves: [{ channel: "bounce", amp: 0.035, hz: 1.5, beat: true }],
  },
  thumbs_up: {
    layer: "gesture",
    ms: 1700,
    face: { smile: 1, grin: 0.25, smileEye: 0.4, browUpL: 0.35, browUpR: 0.35 },
    body: {
      headY: 0.08,
      headZ: -0.07,
      headX: -0.02,
      outR: 0.22,
      fwdR: -0.72,
      bendR: -1.12,
      foreZR: -0.12,
      turnR: 0.3,
      curlR: 1.6,
      indexR: 1.6,
      thumbR: -0.35,
      shrugR: 0.15,
    },
    waves: [{ channel: "bendR", amp: -0.07, hz: 1.4, beat: true }],
  },
  nod: {
    layer: "gesture",
    ms: 760,
    face: { smile: 0.75, browUpL: 0.2, browUpR: 0.2 },
    body: { headX: 0.05 },
    waves: [{ channel: "headX", amp: 0.26, hz: 2.4, beat: true }],
  },
  thinking: loop(
    { lookX: -0.75, lookY: 0.85, pucker: 0.65, smile: 0, sideways: 0.25, browUpR: 0.9, browDownL: 0.3, browUpL: 0 },
    {
      headX: -0.06,
      headY: -0.12,
      headZ: 0.11,
      spineZ: 0.02,
      outR: -0.1,
      fwdR: -1.41,
      bendR: -1.44,
      foreZR: -0.51,
      turnR: 0.95,
      curlR: 1.25,
      indexR: 0.45,
      thumbR: 0.15,
      shrugR: 0.1,
    },
    [
      { channel: "headZ", amp: 0.025, hz: 0.22 },
      { channel: "lookX", amp: 0.2, hz: 0.19 },
      { channel: "indexR", amp: 0.22, hz: 0.9, beat: true },
    ],
  ),
  confused: {
    layer: "emotion",
    ms: 1900,
    face: {
      sideways: 0.9,
      frown: 0.5,
      smile: 0,
      browUpL: 1,
      browDownR: 0.8,
      squint: 0.2,
      headX: 0.02,
      headY: 0.06,
      headZ: -0.17,
    },
    body: {
      headZ: -0.22,
      shrugL: 0.9,
      shrugR: 0.75,
      outL: 0.46,
      fwdL: -0.12,
      bendL: -1.6,
      foreZL: 0.75,
      turnL: 1.3,
      wristXL: 0.35,
      wristZL: 0.25,
      curlL: 0.15,
      indexL: 0.05,
      thumbL: -0.2,
      outR: 0.4,
      fwdR: -0.05,
      bendR: -1.45,
      foreZR: 0.7,
      turnR: 1.3,
      wristXR: 0.35,
      wristZR: 0.25,
      curlR: 0.2,
      indexR: 0.1,
      thumbR: -0.2,
    },
    waves: [{ channel: "shrugL", amp: 0.06, hz: 0.8 }],
  },
  wave: {
    layer: "gesture",
    ms: 1800,
    face: { grin: 0.9, smile: 0, smileEye: 0.4, browUpL: 0.5, browUpR: 0.5 },
    body: {
      headY: 0.05,
      headZ: 0.09,
      shrugR: 0.2,
      outR: 0.85,
      fwdR: -0.1,
      foreZR: 2.15,
      bendR: -0.15,
      turnR: 1.57,
      curlR: 0.06,
      indexR: 0.02,
      thumbR: -0.25,
    },
    waves: [
      { channel: "foreZR", amp: 0.34, hz: 2.2 },
      { channel: "wristXR", amp: 0.12, hz: 2.2, phase: 0.2 },
      { channel: "headZ", amp: 0.025, hz: 1.1 },
    ],
  },
};

/** States that only the server and the director use. */
export const INNER_CLIPS: Readonly<Record<Inner, Clip>> = {
  listening: loop(
    { browUpL: 0.24, browUpR: 0.24, smile: 0.42, wide: 0.15 },
    { spineX: 0.05, headX: 0.03, headZ: 0.07, headY: 0.05 },
    [
      { channel: "headZ", amp: 0.015, hz: 0.17 },
      { channel: "headX", amp: 0.02, hz: 0.21 },
    ],
  ),
  concern: {
    layer: "emotion",
    ms: 0,
    body: {},
    face: {
      browInner: 1,
      frown: 0.85,
      smile: 0,
      lookY: -0.15,
      squint: 0.15,
      headX: 0.1,
      headY: -0.05,
      headZ: -0.06,
      spineX: 0.03,
    },
    waves: [{ channel: "headX", amp: 0.05, hz: 0.5, beat: true }],
  },
  neutral: { layer: "emotion", ms: 0, face: {}, body: {}, waves: [] },
};

export type State = Animation | Inner;

/** The clip of a state name off the wire, or undefined for a name this version does not know. */
export function clipOf(state: string): Clip | undefined {
  if (Object.hasOwn(CLIPS, state)) return CLIPS[state as Animation];
  return Object.hasOwn(INNER_CLIPS, state) ? INNER_CLIPS[state as Inner] : undefined;
}

/** Adds the waves of a clip at time `t` seconds, scaled by `w`. */
export function addWaves(pose: Pose, waves: readonly Wave[], t: number, w: number): void {
  for (const wave of waves) {
    const s = Math.sin(2 * Math.PI * (wave.hz * t + (wave.phase ?? 0)));
    pose[wave.channel] += w * wave.amp * (wave.beat ? Math.max(0, s) : s);
  }
}
