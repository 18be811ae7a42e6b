import { direction, onHead } from "./head";
import type { HairStyle } from "./looks";
import { type Bind, type Ink, mixVec, type Sculpt, smooth, unit, type Vec } from "./sculpt";
import { boneIndex } from "./skeleton";

/** A chunk of hair along the head: azimuth and polar angle (radians) at three points, half width, thickness. */
interface Lock {
  readonly from: readonly [number, number];
  readonly via: readonly [number, number];
  readonly to: readonly [number, number];
  readonly width: number;
  readonly thick: number;
  /** How far the tip stands off the head. */
  readonly tip?: number;
  readonly root?: number;
}
/** The cap's lower edge: polar angle by azimuth `a` (0 front, pi back). */
interface Style {
  readonly edge: (a: number) => number;
  readonly lift: number;
  /** Height of the cap; lower than the locks, or their edges fight with it. */
  readonly cap: number;
  readonly locks: readonly Lock[];
  readonly build?: (sculpt: Sculpt, edge: Style["edge"]) => void;
}

const HEAD = boneIndex("head");
const TOP = boneIndex("hairTop");
const BACK = boneIndex("hairBack");

const lock = (
  from: readonly [number, number],
  via: readonly [number, number],
  to: readonly [number, number],
  width: number,
  thick = 0.07,
  tip = 0.03,
  root = 0.05,
): Lock => ({ from, via, to, width, thick, tip, root });

/** The same lock on both sides of the parting. */
const pair = (l: Lock): readonly Lock[] => {
  const flip = ([a, p]: readonly [number, number]): readonly [number, number] => [-a, p];
  return [l, { ...l, from: flip(l.from), via: flip(l.via), to: flip(l.to) }];
};

/** Angular distance from the front, 0..pi. */
const away = (a: number): number => Math.abs(Math.atan2(Math.sin(a), Math.cos(a)));

const STYLES: Readonly<Record<HairStyle, Style>> = {
  bob: {
    lift: 0.1,
    cap: 0.05,
    edge: (a) => 1.02 + 1.06 * smooth(0.75, 1.35, away(a)) + 0.2 * smooth(1.4, 3, away(a)),
    locks: [
      lock([0.5, 0.12], [0.25, 0.72], [-0.28, 1.2], 0.27, 0.085, 0.035),
      lock([0.4, 0.14], [-0.25, 0.66], [-0.72, 1.22], 0.25, 0.085, 0.03),
      lock([0.5, 0.14], [0.5, 0.72], [0.2, 1.19], 0.22, 0.08, 0.05),
      lock([0.6, 0.14], [0.8, 0.72], [0.74, 1.24], 0.25, 0.085, 0.03),
      lock([0.2, 0.2], [-0.8, 0.8], [-1.02, 1.42], 0.24, 0.08, 0.03),
      ...pair(lock([0.9, 0.16], [1.26, 1.1], [1.12, 2.02], 0.2, 0.09, 0.05)),
      ...pair(lock([1.3, 0.16], [1.52, 1.2], [1.45, 2.28], 0.24, 0.1, 0.06)),
      ...pair(lock([1.9, 0.2], [2.0, 1.4], [1.95, 2.36], 0.3, 0.1, 0.05)),
      ...pair(lock([2.6, 0.2], [2.7, 1.4], [2.7, 2.4], 0.34, 0.1, 0.05)),
    ],
    build: sprig,
  },
  short: {
    lift: 0.075,
    cap: 0.035,
    edge: (a) => 0.86 + 0.62 * smooth(0.7, 1.25, away(a)) + 0.62 * smooth(1.5, 2.3, away(a)),
    locks: [
      lock([0.9, 0.5], [0.35, 0.62], [-0.5, 0.86], 0.24, 0.13, 0.12, 0.04),
      lock([0.8, 0.3], [0.0, 0.5], [-0.85, 0.84], 0.24, 0.14, 0.12, 0.06),
      lock([0.9, 0.62], [0.6, 0.72], [0.12, 0.92], 0.2, 0.11, 0.1, 0.04),
      lock([0.4, 0.1], [-0.6, 0.4], [-1.15, 0.9], 0.26, 0.13, 0.07, 0.06),
      lock([2.2, 0.2], [-1.6, 0.3], [-1.5, 0.95], 0.28, 0.1, 0.04, 0.04),
      lock([0.95, 0.45], [1.1, 0.7], [1.2, 1.15], 0.2, 0.08, 0.03, 0.04),
      ...pair(lock([1.25, 0.7], [1.4, 1.1], [1.36, 1.55], 0.15, 0.06, 0.02)),
    ],
  },
  long: {
    lift: 0.085,
    cap: 0.04,
    edge: (a) => 0.72 + 1.5 * smooth(0.55, 1.25, away(a)) + 0.3 * smooth(1.4, 3, away(a)),
    locks: [
      ...pair(lock([0.06, 0.18], [0.62, 0.72], [0.92, 1.42], 0.27, 0.1, 0.05)),
      ...pair(lock([0.1, 0.16], [0.3, 0.6], [0.62, 1.02], 0.2, 0.08, 0.04)),
      ...pair(lock([0.3, 0.2], [1.0, 0.85], [1.12, 1.95], 0.26, 0.1, 0.06)),
    ],
    build: curtain,
  },
  bun: {
    lift: 0.07,
    cap: 0.035,
    edge: (a) => 0.82 + 0.62 * smooth(0.6, 1.3, away(a)) + 0.55 * smooth(1.5, 2.4, away(a)),
    locks: [
      lock([0.45, 0.2], [0.05, 0.66], [-0.62, 1.06], 0.26, 0.09, 0.04),
      lock([0.5, 0.2], [-0.4, 0.62], [-1.05, 1.22], 0.25, 0.09, 0.03),
      lock([0.55, 0.2], [0.75, 0.66], [1.05, 1.2], 0.26, 0.09, 0.03),
      ...pair(lock([1.15, 0.9], [1.26, 1.4], [1.12, 2.0], 0.085, 0.045, 0.06)),
    ],
    build: bun,
  },
  curly: {
    lift: 0.08,
    cap: 0.03,
    edge: (a) => 0.82 + 0.05 * Math.cos(10 * a) + 0.74 * smooth(0.6, 1.25, away(a)) + 0.6 * smooth(1.4, 2.2, away(a)),
    locks: [],
    build: curls,
  },
};

/** Light from above baked in, strands as stripes, dark where hair tucks under. */
const strandInk = (p: Vec, u: number, v: number): Ink => {
  const shine = Math.exp(-(((v - 0.38) / 0.13) ** 2)) * 0.75;
  const stripe = 0.5 + 0.5 * Math.cos(u * Math.PI * 4);
  return p[1] > -5 && shine > 0.3
    ? { a: "hair", b: "hairLight", mix: shine * (0.6 + 0.4 * stripe) }
    : { a: "hair", b: "hairShade", mix: 0.5 * smooth(0.72, 1, v) + 0.22 * (1 - stripe) };
};

function cap(sculpt: Sculpt, style: Style): void {
  sculpt.sheet(
    40,
    13,
    (u, v) => {
      const a = (u - 0.5) * Math.PI * 2;
      const tuck = 1 - v ** 6; // the edge rolls in, so the cap has a thickness
      return onHead(
        a,
        Math.max(0.0001, v * style.edge(a)),
        (style.cap + 0.06 * smooth(0.7, 1.4, away(a)) * smooth(0.05, 0.35, v)) * tuck,
      );
    },
    (p, u, v) => ({
      a: "hair",
      b: "hairShade",
      mix: 0.25 + 0.4 * smooth(0.75, 1, v) + 0.12 * Math.cos(28 * Math.PI * u),
      shade: p[1] < -2 ? 0.9 : 1,
    }),
    HEAD,
  );
}

const bend = (a: Vec, b: Vec, c: Vec, t: number): Vec => mixVec(mixVec(a, b, t), mixVec(b, c, t), t);

function addLock(sculpt: Sculpt, l: Lock, lift: number): void {
  const path = (t: number): Vec => {
    const a = (1 - t) * (1 - t) * l.from[0] + 2 * t * (1 - t) * l.via[0] + t * t * l.to[0];
    const p = (1 - t) * (1 - t) * l.from[1] + 2 * t * (1 - t) * l.via[1] + t * t * l.to[1];
    return onHead(a, p, lift * (0.4 + 0.5 * (1 - t)) + (l.root ?? 0) * (1 - t) + (l.tip ?? 0) * t * t);
  };
  const radius = (t: number): readonly [number, number] => {
    const shape = Math.min(1, Math.sqrt(t * 3 + 0.004)) * Math.sqrt(Math.max(0, 1 - t ** 2.6));
    return [l.width * shape + 0.001, l.thick * shape + 0.001];
  };
  sculpt.tube(9, 9, path, radius, strandInk, HEAD, (p) => unit(p));
}

/** The springy lock on the crown. */
function sprig(sculpt: Sculpt): void {
  const tuft = (dx: number, dz: number, h: number): void => {
    const path = (t: number): Vec =>
      bend([0.02, 0.96, -0.05], [0.02, 1.02 + h, -0.05 + dz * 0.2], [0.02 + dx, 1.05 + h * 0.9, dz], t);
    const radius = (t: number): readonly [number, number] => {
      const r = 0.052 * Math.sqrt(Math.max(0, 1 - t ** 1.6)) + 0.001;
      return [r, r * 0.8];
    };
    sculpt.tube(7, 8, path, radius, "hair", (p) => [HEAD, TOP, smooth(0.97, 1.12, p[1])]);
  };
  tuft(-0.2, 0.05, 0.24);
  tuft(0.13, -0.04, 0.15);
}

/** Hair that falls behind the shoulders and in front of one. */
function curtain(sculpt: Sculpt): void {
  const hang: Bind = (p) => [HEAD, BACK, smooth(0.1, -1.1, p[1])];
  sculpt.sheet(
    36,
    9,
    (u, v) => {
      const turn = 1 - Math.abs(2 * u - 1); // out along the back, home along the inside: a thick sheet
      const inner = u > 0.5 ? 0.84 : 1;
      const a = Math.PI * (0.42 + 1.16 * turn);
      const w = (1.02 + 0.1 * Math.sin(Math.PI * v) - 0.12 * v * v) * inner * (1 + 0.025 * Math.cos(turn * 40));
      const d = direction(a, Math.PI / 2);
      return [
        d[0] * w,
        0.35 - 2.0 * v + 0.05 * Math.cos(turn * 40) * v,
        d[2] * w * (0.95 - 0.14 * v) - 0.04 - 0.06 * v,
      ];
    },
    (_p, u, v) => ({ a: "hair", b: "hairShade", mix: u > 0.5 ? 0.85 : 0.25 + 0.3 * v + 0.2 * Math.cos(u * 80) }),
    hang,
  );
  for (const s of [1, -1]) {
    const strand = (x0: number, z0: number, x1: number, len: number, w: number): void => {
      const path = (t: number): Vec =>
        bend([s * (x0 - 0.14), 0.5, z0], [s * (x0 + 0.2), -0.62, z0 + 0.02], [s * x1, -len, z0 + 0.12], t);
      const radius = (t: number): readonly [number, number] => {
        const r = Math.sqrt(Math.min(1, t * 6 + 0.05)) * Math.sqrt(Math.max(0, 1 - t ** 3)) + 0.002;
        return [w * r, w * 0.62 * r];
      };
      sculpt.tube(9, 11, path, radius, strandInk, hang, (p) => unit([p[0], 0, p[2] + 0.3]));
    };
    strand(0.9, 0.2, 0.78, 1.62, 0.17);
    strand(0.96, -0.08, 0.9, 1.72, 0.2);
    strand(0.93, -0.35, 0.86, 1.75, 0.22);
  }
}

function bun(sculpt: Sculpt): void {
  const bind: Bind = (p) => [HEAD, TOP, 0.35 * smooth(0.95, 1.3, p[1])];
  sculpt.sheet(
    16,
    10,
    (u, v) => {
      const a = u * Math.PI * 2;
      const b = v * Math.PI;
      const r = 1 + 0.05 * Math.cos(3 * a + 5 * b);
      return [
        0.36 * r * Math.sin(b) * Math.cos(a),
        1.13 + 0.3 * Math.cos(b),
        -0.2 + 0.34 * r * Math.sin(b) * Math.sin(a),
      ];
    },
    (_p, u, v) => {
      const swirl = 0.5 + 0.5 * Math.cos(6 * Math.PI * u + 5 * Math.PI * v);
      return v < 0.4
        ? { a: "hair", b: "hairLight", mix: 0.55 * swirl }
        : { a: "hair", b: "hairShade", mix: 0.5 * (1 - swirl) };
    },
    bind,
  );
  sculpt.sheet(
    18,
    6,
    (u, v) => {
      const a = u * Math.PI * 2;
      const b = v * Math.PI * 2;
      return [
        (0.27 + 0.05 * Math.cos(b)) * Math.cos(a),
        0.9 + 0.05 * Math.sin(b),
        -0.18 + (0.27 + 0.05 * Math.cos(b)) * Math.sin(a),
      ];
    },
    "accent",
    HEAD,
  );
}

/** Points spread evenly over a ball (a sunflower spiral): the middles of the curls. */
const CURLS: readonly Vec[] = Array.from({ length: 96 }, (_unused, i) => {
  const y = 1 - (2 * (i + 0.5)) / 96;
  const r = Math.sqrt(1 - y * y);
  return [r * Math.cos(i * 2.39996), y, r * Math.sin(i * 2.39996)];
});

/** Height of the curl at a direction, 0 in the crease to 1 on top. */
function curlAt(d: Vec): number {
  let best = 1;
  for (const c of CURLS) best = Math.min(best, (d[0] - c[0]) ** 2 + (d[1] - c[1]) ** 2 + (d[2] - c[2]) ** 2);
  return Math.sqrt(Math.max(0, 1 - best / 0.066));
}

/** A cloud of curls: one lumpy shell, so that it lights softly and costs no more than a cap. */
function curls(sculpt: Sculpt, edge: (a: number) => number): void {
  sculpt.sheet(
    76,
    30,
    (u, v) => {
      const a = (u - 0.5) * Math.PI * 2;
      const p = Math.max(0.0001, v * edge(a));
      const body = 0.2 + 0.1 * smooth(0.4, 1.5, away(a)) * smooth(0, 0.6, v);
      return onHead(a, p, (body + 0.16 * curlAt(direction(a, p))) * Math.sqrt(Math.max(0, 1 - v ** 5)));
    },
    (p) => {
      const lump = curlAt(unit(p));
      const top = smooth(-0.2, 1.2, p[1]);
      return lump > 0.6
        ? { a: "hair", b: "hairLight", mix: (lump - 0.6) * 1.3 * top }
        : { a: "hair", b: "hairShade", mix: 1 - lump / 0.6 };
    },
    HEAD,
    0.25,
  );
}

/** Adds one of the five haircuts, in steps. */
export function* addHair(sculpt: Sculpt, name: HairStyle): Generator<void> {
  const style = STYLES[name];
  cap(sculpt, style);
  yield;
  for (const l of style.locks) {
    addLock(sculpt, l, style.lift);
    yield;
  }
  style.build?.(sculpt, style.edge);
}
