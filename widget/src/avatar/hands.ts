import { type Bind, type Ink, mixVec, type Sculpt, smooth, type Vec } from "./sculpt";
import { boneIndex } from "./skeleton";

type Side = 1 | -1;
const named = (side: Side, name: string): number => boneIndex((side > 0 ? "left" : "right") + name);

const WRIST_Y = -2.62;
const KNUCKLE_Y = -2.86;
const JOINT_Y = -2.98;

/** Offsets across the palm (z, thumb side positive), lengths and widths of the four fingers. */
const FINGERS: readonly { z: number; length: number; width: number; fan: number; index: boolean }[] = [
  { z: 0.105, length: 0.235, width: 0.047, fan: 0.035, index: true },
  { z: 0.037, length: 0.26, width: 0.048, fan: 0.01, index: false },
  { z: -0.033, length: 0.24, width: 0.047, fan: -0.015, index: false },
  { z: -0.1, length: 0.195, width: 0.043, fan: -0.045, index: false },
];

const handInk = (p: Vec): Ink => ({ a: "skin", b: "blush", mix: 0.32 * smooth(-2.92, -3.12, p[1]) });

function palm(sculpt: Sculpt, side: Side): void {
  const hand = named(side, "Hand");
  sculpt.sheet(
    14,
    8,
    (u, v) => {
      const a = u * Math.PI * 2;
      const b = v * Math.PI;
      const flare = 0.8 + 0.24 * smooth(0.1, 0.75, v);
      return [
        side * 0.6 + 0.085 * Math.sin(b) ** 0.8 * Math.cos(a),
        WRIST_Y - 0.115 + 0.175 * Math.cos(b),
        0.155 * Math.sin(b) ** 0.7 * Math.sin(a) * flare + 0.005,
      ];
    },
    "skin",
    hand,
  );
}

function finger(sculpt: Sculpt, side: Side, f: (typeof FINGERS)[number]): void {
  const hand = named(side, "Hand");
  const near = named(side, f.index ? "IndexProximal" : "MiddleProximal");
  const far = named(side, f.index ? "IndexIntermediate" : "MiddleIntermediate");
  const top = KNUCKLE_Y + 0.05;
  const length = f.length + 0.05;
  const bind: Bind = (p) => {
    if (p[1] > KNUCKLE_Y - 0.03) return [hand, near, smooth(KNUCKLE_Y + 0.05, KNUCKLE_Y - 0.03, p[1])];
    return [near, far, smooth(JOINT_Y + 0.035, JOINT_Y - 0.035, p[1])];
  };
  const dense = (t: number): number => 1 - (1 - t) ** 1.7; // more rings at the tip, where it is round
  const path = (v: number): Vec => [side * 0.6, top - length * dense(v), f.z + f.fan * dense(v)];
  const radius = (v: number): readonly [number, number] => {
    const t = dense(v);
    const end = Math.sqrt(Math.max(0, 1 - Math.max(0, (t - 0.8) / 0.2) ** 2));
    const r = f.width * (1 - 0.1 * t) * end + 0.0005;
    return [r, r];
  };
  sculpt.tube(8, 9, path, radius, handInk, bind);
}

function thumb(sculpt: Sculpt, side: Side): void {
  const hand = named(side, "Hand");
  const near = named(side, "ThumbProximal");
  const far = named(side, "ThumbDistal");
  const a: Vec = [side * 0.595, WRIST_Y - 0.05, 0.06];
  const b: Vec = [side * 0.565, WRIST_Y - 0.2, 0.23];
  const c: Vec = [side * 0.56, WRIST_Y - 0.3, 0.29];
  const dense = (t: number): number => 1 - (1 - t) ** 1.6;
  const path = (v: number): Vec => mixVec(mixVec(a, b, dense(v)), mixVec(b, c, dense(v)), dense(v));
  const radius = (v: number): readonly [number, number] => {
    const t = dense(v);
    const end = Math.sqrt(Math.max(0, 1 - Math.max(0, (t - 0.78) / 0.22) ** 2));
    const r = (0.072 - 0.018 * t) * end + 0.0005;
    return [r, r];
  };
  const bind: Bind = (_p, _u, v) => (v < 0.4 ? [hand, near, smooth(0.05, 0.4, v)] : [near, far, smooth(0.4, 0.75, v)]);
  sculpt.tube(
    9,
    9,
    path,
    radius,
    (p) => ({ a: "skin", b: "blush", mix: 0.3 * smooth(-2.8, -2.95, p[1]) }),
    bind,
    () => [1, 0, 0],
  );
}

/** One hand hanging at the side: palm to the thigh, thumb to the front. */
export function addHand(sculpt: Sculpt, side: Side): void {
  palm(sculpt, side);
  for (const f of FINGERS) finger(sculpt, side, f);
  thumb(sculpt, side);
}
