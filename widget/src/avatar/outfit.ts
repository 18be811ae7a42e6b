import { onHead } from "./head";
import type { Accessory, HairStyle } from "./looks";
import { type Bind, type Ink, mixVec, type Sculpt, smooth, unit, type Vec } from "./sculpt";
import { boneIndex } from "./skeleton";

const SPINE = boneIndex("spine");
const HEAD = boneIndex("head");
const STRINGS = boneIndex("strings");

/** Torso rings from the neck down: height, half width, half depth. */
const TORSO: readonly Vec[] = [
  [-1.3, 0.4, 0.24],
  [-1.4, 0.53, 0.31],
  [-1.52, 0.63, 0.395],
  [-1.72, 0.655, 0.445],
  [-2.0, 0.64, 0.455],
  [-2.4, 0.635, 0.46],
  [-2.9, 0.66, 0.47],
  [-3.3, 0.67, 0.47],
];

/** A smooth curve through rows of numbers (Catmull-Rom). */
function through(rows: readonly Vec[], t: number): Vec {
  const x = Math.min(0.9999, Math.max(0, t)) * (rows.length - 1);
  const i = Math.floor(x);
  const f = x - i;
  const at = (k: number): Vec => rows[Math.min(rows.length - 1, Math.max(0, k))] as Vec;
  const [a, b, c, d] = [at(i - 1), at(i), at(i + 1), at(i + 2)];
  const one = (k: 0 | 1 | 2): number =>
    0.5 *
    (2 * b[k] +
      (c[k] - a[k]) * f +
      (2 * a[k] - 5 * b[k] + 4 * c[k] - d[k]) * f * f +
      (3 * b[k] - a[k] - 3 * c[k] + d[k]) * f ** 3);
  return [one(0), one(1), one(2)];
}

/** Darker under the chin and the arms, where light does not reach. */
function torsoInk(p: Vec): Ink {
  const chin = smooth(-1.75, -1.3, p[1]) * smooth(0.55, 0.1, Math.abs(p[0])) * 0.3;
  const pit = smooth(0.42, 0.62, Math.abs(p[0])) * smooth(-1.6, -1.95, p[1]) * 0.65;
  return { a: "cloth", b: "clothShade", mix: Math.min(0.85, chin + pit) };
}

function torso(sculpt: Sculpt): void {
  sculpt.sheet(
    30,
    16,
    (u, v) => {
      const [y, rx, rz] = through(TORSO, v);
      const a = u * Math.PI * 2;
      const c = Math.cos(a);
      const s = Math.sin(a);
      return [rx * Math.sign(c) * Math.abs(c) ** 0.88, y, rz * Math.sign(s) * Math.abs(s) ** 0.92 - 0.02];
    },
    torsoInk,
    SPINE,
  );
}

/** How far the front of the torso stands out at (x, y): halving finds the ring, as heights only fall. */
function chest(x: number, y: number): number {
  let low = 0;
  let high = 1;
  for (let i = 0; i < 10; i++) {
    const t = (low + high) / 2;
    if (through(TORSO, t)[0] > y) low = t;
    else high = t;
  }
  const [, rx, rz] = through(TORSO, low);
  return rz * Math.sqrt(Math.max(0, 1 - (x / rx) ** 2)) - 0.02;
}

/** The hood lying on the shoulders: a fat ring, wider behind and open in front. */
function hood(sculpt: Sculpt): void {
  sculpt.sheet(
    38,
    10,
    (u, v) => {
      const a = u * Math.PI * 2;
      const b = v * Math.PI * 2;
      const back = 0.5 - 0.5 * Math.sin(a);
      const thick = 0.105 + 0.05 * back;
      const front = Math.max(0, Math.sin(a)) ** 5;
      const r = 0.43 + 0.02 * back + 0.03 * front + thick * Math.cos(b);
      return [
        r * Math.cos(a) * 1.04,
        -1.24 - 0.08 * Math.sin(a) - 0.17 * front + thick * 1.1 * Math.sin(b),
        r * Math.sin(a) * 0.95,
      ];
    },
    (p, _u, v) => ({
      a: "cloth",
      b: v > 0.5 ? "clothShade" : "clothLight",
      mix: v > 0.5 ? 0.35 : 0.5 * smooth(-1.3, -1.1, p[1]),
    }),
    SPINE,
  );
}

function shirt(sculpt: Sculpt): void {
  sculpt.sheet(
    20,
    6,
    (u, v) => {
      const a = u * Math.PI * 2;
      const edge = Math.sin(Math.min(1, v * 3) * 1.57); // a rolled rim, then the slope of the chest
      const r = 0.3 + 0.035 * edge + 0.17 * v;
      const front = Math.max(0, Math.sin(a));
      return [
        r * Math.cos(a) * (1 - 0.14 * v),
        -1.17 + 0.02 * edge - 0.22 * v - 0.1 * front,
        r * Math.sin(a) * 0.98 - 0.02,
      ];
    },
    (_p, _u, v) => ({ a: "shirt", b: "whiteShade", mix: 0.45 * smooth(0.75, 1, v) + 0.3 * smooth(0.3, 0, v) }),
    SPINE,
  );
}

function trims(sculpt: Sculpt): void {
  const front = (x: number, y: number, lift: number): Vec => [x, y, chest(x, y) + lift];
  sculpt.tube(
    5,
    8,
    (t) => front(0, -1.52 - 1.6 * t, 0.004),
    () => [0.013, 0.011],
    "clothShade",
    SPINE,
  );
  for (const s of [1, -1]) {
    const len = s > 0 ? 0.36 : 0.31;
    const path = (t: number): Vec => {
      const p = front(s * (0.13 - 0.02 * t), -1.42 - len * t, 0.035 - 0.012 * t);
      return t < 0.12 ? [p[0], p[1], p[2] + 0.05] : p;
    };
    const cord: Bind = (_p, _u, v) => [SPINE, STRINGS, v];
    sculpt.tube(6, 8, path, () => [0.017, 0.017], "string", cord);
    const end = path(1);
    sculpt.ball([end[0], end[1] - 0.025, end[2]], [0.027, 0.045, 0.027], "string", STRINGS, 8, 5);
  }
  const at = front(0.33, -1.86, 0.008);
  const n = unit([0.33, 0, 0.6]);
  sculpt.sheet(
    16,
    4,
    (u, v) => {
      const a = u * Math.PI * 2;
      const r = 0.064 * Math.sin((v * Math.PI) / 2);
      const lift = 0.024 * Math.cos((v * Math.PI) / 2);
      return [
        at[0] + r * Math.cos(a) * n[2] + n[0] * lift,
        at[1] + r * Math.sin(a),
        at[2] - r * Math.cos(a) * n[0] + n[2] * lift,
      ];
    },
    "pin",
    SPINE,
  );
}

/** Sleeve radius by share of its length: shoulder, biceps, elbow, forearm, cuff. */
const SLEEVE: readonly Vec[] = [
  [0.04, 0, 0],
  [0.19, 0, 0],
  [0.222, 0, 0],
  [0.214, 0, 0],
  [0.2, 0, 0],
  [0.19, 0, 0],
  [0.188, 0, 0],
  [0.186, 0, 0],
  [0.178, 0, 0],
  [0.17, 0, 0],
  [0.165, 0, 0],
  [0.15, 0, 0],
];

function sleeve(sculpt: Sculpt, s: 1 | -1): void {
  const name = s > 0 ? "left" : "right";
  const bone = (part: string): number => boneIndex(name + part);
  const [shoulder, upper, elbow, lower] = [bone("Shoulder"), bone("UpperArm"), bone("Elbow"), bone("LowerArm")];
  const bind: Bind = (p) => {
    if (p[1] > -1.56) return [shoulder, upper, smooth(-1.3, -1.5, p[1])];
    return p[1] > -2.1 ? [upper, elbow, smooth(-1.94, -2.09, p[1])] : [elbow, lower, smooth(-2.11, -2.26, p[1])];
  };
  const dense = (v: number): number => v ** 1.35; // more rings at the shoulder, which is seen in outline
  const path = (v: number): Vec => {
    const y = -1.34 - 1.23 * dense(v);
    return [s * (0.6 - 0.14 * (1 - smooth(-1.3, -1.62, y))), y, 0];
  };
  const radius = (v: number): readonly [number, number] => {
    const t = dense(v);
    const r = Math.max(0.002, through(SLEEVE, t)[0] * Math.sqrt(Math.min(1, t * 9 + 0.0005)) * (t > 0.97 ? 0 : 1));
    return [r, r];
  };
  const ink = (p: Vec): Ink => {
    const inside = smooth(0.5, 0.38, Math.abs(p[0])) * smooth(-1.8, -2.1, p[1]);
    const fold = 0.5 * Math.exp(-(((p[1] + 2.1) / 0.05) ** 2)) * smooth(0.02, 0.16, p[2]);
    return { a: "cloth", b: "clothShade", mix: Math.min(1, 0.5 * inside + fold) };
  };
  sculpt.tube(14, 22, path, radius, ink, bind);
  sculpt.sheet(
    14,
    7,
    (u, v) => {
      const a = u * Math.PI * 2;
      const b = v * Math.PI * 2;
      const r = 0.135 + 0.046 * Math.cos(b);
      return [s * 0.6 + r * Math.cos(a), -2.55 + 0.06 * Math.sin(b), r * Math.sin(a)];
    },
    (_p, u, v): Ink => ({
      a: "cloth",
      b: v > 0.5 ? "clothShade" : "clothLight",
      mix: 0.45 + 0.1 * Math.cos(u * 28 * Math.PI),
    }),
    lower,
  );
}

/** Hoodie, shirt, cords and pin, in steps. */
export function* addOutfit(sculpt: Sculpt): Generator<void> {
  for (const part of [torso, hood, shirt, trims]) {
    part(sculpt);
    yield;
  }
  sleeve(sculpt, 1);
  yield;
  sleeve(sculpt, -1);
}

/** How far the headset stands off at the sides, and its height, so that thick hair goes under it. */
const SPREAD: Readonly<Record<HairStyle, readonly [number, number]>> = {
  bob: [0.1, 1.22],
  short: [0, 1.2],
  long: [0.1, 1.2],
  bun: [0.02, 1.15],
  curly: [0.22, 1.34],
};

function headset(sculpt: Sculpt, style: HairStyle): void {
  const [wide, high] = SPREAD[style];
  const band = (t: number): Vec => {
    const a = Math.PI * t;
    return [-(1.12 + wide) * Math.cos(a), -0.1 + high * Math.sin(a), -0.06];
  };
  sculpt.tube(
    8,
    30,
    band,
    () => [0.062, 0.036],
    (_p, u) => ({ a: "accent", b: "accentLight", mix: 0.6 * Math.max(0, Math.sin(u * 6.28)) }),
    HEAD,
    (p) => unit([p[0], p[1] + 0.1, 0]),
  );
  for (const s of [1, -1]) {
    sculpt.ball([s * (1.03 + wide), -0.13, -0.05], [0.1, 0.25, 0.23], "black", HEAD, 16, 9);
    sculpt.ball([s * (1.09 + wide), -0.13, -0.05], [0.1, 0.23, 0.21], "accent", HEAD, 16, 9);
    sculpt.ball([s * (1.16 + wide), -0.13, -0.05], [0.05, 0.13, 0.12], "accentLight", HEAD, 12, 7);
  }
  const mouth: Vec = [0.42, -0.67, 0.78];
  const boom = (t: number): Vec =>
    mixVec(mixVec([1.1 + wide, -0.28, 0], [1.1 + wide, -0.74, 0.3], t), mixVec([1.1 + wide, -0.74, 0.3], mouth, t), t);
  sculpt.tube(
    6,
    14,
    boom,
    () => [0.024, 0.024],
    "black",
    HEAD,
    () => [0, 1, 0],
  );
  sculpt.ball(mouth, [0.095, 0.06, 0.06], "black", HEAD, 12, 8);
}

function glasses(sculpt: Sculpt): void {
  const lens =
    (s: 1 | -1): ((t: number) => Vec) =>
    (t) => {
      const a = t * Math.PI * 2 + Math.PI;
      const c = Math.cos(a);
      const q = Math.sin(a);
      const x = s * (0.372 + 0.292 * Math.sign(c) * Math.abs(c) ** 0.8);
      return [x, -0.05 + 0.272 * Math.sign(q) * Math.abs(q) ** 0.8, 0.93 - 0.3 * x * x];
    };
  for (const s of [1, -1] as const) {
    sculpt.tube(6, 34, lens(s), () => [0.021, 0.021], "accent", HEAD);
    const arm = (t: number): Vec =>
      mixVec([s * 0.664, 0.02, 0.8], [s * 0.99, 0.02, -0.05], t).map((x, i) =>
        i === 0 ? x + s * 0.13 * Math.sin(Math.PI * t) : x,
      ) as unknown as Vec;
    sculpt.tube(
      6,
      8,
      arm,
      () => [0.019, 0.019],
      "accent",
      HEAD,
      () => [0, 1, 0],
    );
  }
  sculpt.tube(
    6,
    6,
    (t) => [-0.085 + 0.17 * t, 0.03 * Math.sin(Math.PI * t), 0.93],
    () => [0.018, 0.018],
    "accent",
    HEAD,
    () => [0, 1, 0],
  );
}

/** What is worn on the head. */
export function addAccessory(sculpt: Sculpt, kind: Accessory, style: HairStyle): void {
  if (kind === "headset") headset(sculpt, style);
  if (kind === "glasses") glasses(sculpt);
}

/** The ear, seen when hair is short. */
export function addEars(sculpt: Sculpt): void {
  for (const s of [1, -1]) {
    const at = onHead((s * Math.PI) / 2, 1.72, -0.01);
    sculpt.ball(
      [at[0], at[1], -0.02],
      [0.09, 0.185, 0.12],
      (p) => ({ a: "skin", b: "blush", mix: 0.5 * smooth(0.02, 0.09, p[2]) }),
      HEAD,
      12,
      8,
    );
  }
}
