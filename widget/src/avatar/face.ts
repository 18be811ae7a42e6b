import { BufferAttribute, BufferGeometry } from "three";
import type { Pose } from "./clips";
import { type FaceMap, place } from "./head";
import { type MouthShape, SHAPES } from "./lipsync";
import type { Ink } from "./sculpt";

/** A grid of face vertices whose (x, y, offset) is recomputed from the pose every frame. */
interface Strip {
  readonly cols: number;
  readonly rows: number;
  readonly ink: (u: number, v: number) => Ink;
  /** Writes x, y and offset for the column u and row v (0..1). */
  readonly at: (pose: Pose, u: number, v: number, out: Spot) => void;
  /** How far the fake normals bulge, so that flat lids look round. */
  readonly bulge?: number;
}
interface Spot {
  x: number;
  y: number;
  lift: number;
}

const mix = (a: number, b: number, t: number): number => a + (b - a) * t;
const clamp = (x: number, lo: number, hi: number): number => Math.min(hi, Math.max(lo, x));

/** Eye centre, radii and the radii inside it; head radii. */
const EYE = { x: 0.365, y: -0.03, rx: 0.178, ry: 0.222 } as const;
const IRIS = { rx: 0.142, ry: 0.178 } as const;
const PUPIL = { rx: 0.074, ry: 0.096 } as const;

type Side = 1 | -1; // +1 is the character's left, on the viewer's right

const blinkOf = (pose: Pose, side: Side): number => (side > 0 ? pose.blinkL : pose.blinkR);

/** The upper and lower edge of the eye's opening at s in -1..1 (nose side negative). */
function opening(pose: Pose, side: Side, s: number): readonly [number, number] {
  const round = Math.sqrt(Math.max(0, 1 - s * s));
  const slant = EYE.y + 0.022 * s;
  const top = slant + EYE.ry * round;
  const bottom = slant - EYE.ry * round * 0.96;
  const blink = clamp(blinkOf(pose, side), 0, 1);
  const lower = clamp(0.02 + 0.2 * pose.squint + 0.4 * pose.smileEye + 0.1 * blink, 0, 0.6);
  const rest = clamp(0.1 + 0.24 * pose.squint - 0.09 * pose.wide + 0.05 * pose.smileEye - 0.1 * pose.lookY, 0, 0.7);
  const upper = mix(rest, 0.97 - lower, blink);
  const low = mix(bottom, top, lower * (1.35 * round - 0.08)); // raised, it arches: smiling eyes
  return [Math.max(low, mix(top, bottom, upper)), low];
}

const across = (u: number): number => -Math.cos(Math.PI * clamp(u, 0, 1));
const eyeX = (side: Side, s: number): number => side * (EYE.x + EYE.rx * s);

function eyeWhite(side: Side): Strip {
  const stops = [0, 0.13, 0.3, 0.8, 1];
  const shades = [1, 0.45, 0, 0, 0.25];
  return {
    cols: 20,
    rows: 4,
    ink: (_u, v) => ({ a: "white", b: "whiteShade", mix: shades[Math.round(v * 4)] as number }),
    at: (pose, u, v, out) => {
      const s = across(u);
      const [up, low] = opening(pose, side, s);
      out.x = eyeX(side, s);
      out.y = mix(up, low, stops[Math.round(v * 4)] as number);
      out.lift = 0.005;
    },
  };
}

/** A disc inside the eye that the lids cut off: what would lie outside is pressed to the edge. */
function disc(
  side: Side,
  rings: readonly number[],
  cols: number,
  radii: { rx: number; ry: number },
  shift: readonly [number, number],
  lift: number,
  ink: Strip["ink"],
): Strip {
  return {
    cols,
    rows: rings.length - 1,
    ink,
    at: (pose, u, v, out) => {
      const r = rings[Math.round(v * (rings.length - 1))] as number;
      const a = u * Math.PI * 2;
      const grow = 1 + 0.05 * pose.wide;
      const cx = side * EYE.x - side * 0.012 + pose.lookX * 0.062 + shift[0];
      const cy = EYE.y - 0.004 + pose.lookY * 0.062 + shift[1];
      const s = clamp((side * (cx + radii.rx * grow * r * Math.cos(a)) - EYE.x) / EYE.rx, -0.985, 0.985);
      const [up, low] = opening(pose, side, s);
      out.x = eyeX(side, s);
      out.y = clamp(cy + radii.ry * grow * r * Math.sin(a), low, up);
      out.lift = lift;
    },
  };
}

const IRIS_RINGS = [0, 0.5, 0.78, 0.9, 1];
/** Dark rim, darker above, a light crescent below. */
function irisInk(u: number, v: number): Ink {
  const up = Math.sin(u * Math.PI * 2);
  if (v > 0.7) return { a: "iris", b: "irisRim", mix: v > 0.9 ? 1 : 0.72 };
  return up > 0 ? { a: "iris", b: "irisRim", mix: 0.5 * up } : { a: "iris", b: "irisLight", mix: -up };
}

function eye(side: Side): Strip[] {
  const plain = (slot: Ink["a"]) => (): Ink => ({ a: slot });
  return [
    eyeWhite(side),
    disc(side, IRIS_RINGS, 26, IRIS, [0, 0], 0.0095, irisInk),
    disc(side, [0, 1], 20, PUPIL, [0, 0.004], 0.0135, plain("pupil")),
    disc(side, [0, 1], 14, { rx: 0.05, ry: 0.06 }, [0.052, 0.082], 0.0175, plain("glint")),
    disc(side, [0, 1], 10, { rx: 0.024, ry: 0.028 }, [-0.056, -0.078], 0.0175, plain("glint")),
    lash(side),
    lowerLash(side),
  ];
}

/** The line of the upper lashes: thicker and longer outward. */
function lash(side: Side): Strip {
  return {
    cols: 20,
    rows: 2,
    ink: () => ({ a: "lash" }),
    at: (pose, u, v, out) => {
      const s = mix(-0.97, 1.16, u);
      const inside = clamp(s, -1, 0.985);
      const [up] = opening(pose, side, inside);
      const thick = 0.012 + 0.03 * Math.sin(Math.PI * Math.min(1, 0.1 + u * 0.72)) ** 1.4;
      const wing = Math.max(0, s - 0.985) * 0.34;
      out.x = eyeX(side, s);
      out.y = up + wing + (0.5 - v) * thick * (s > 1 ? 1 - (s - 1) / 0.17 : 1) + thick * 0.25;
      out.lift = 0.031;
    },
  };
}

/** A thin line under the eye; without it a light eye has no lower edge. */
function lowerLash(side: Side): Strip {
  return {
    cols: 16,
    rows: 1,
    ink: (u) => ({ a: "lid", b: "lash", mix: 0.12 + 0.3 * u }),
    at: (pose, u, v, out) => {
      const s = mix(-0.8, 0.98, u);
      const [up, low] = opening(pose, side, s);
      const thick = 0.013 * Math.sin(Math.PI * mix(0.06, 0.94, u)) * (up - low > 0.03 ? 1 : 0);
      out.x = eyeX(side, s);
      out.y = low - v * thick;
      out.lift = 0.019;
    },
  };
}

/** The skin of the upper lid, from above the eye down to the lash; it carries the crease. */
function lid(side: Side): Strip {
  return {
    cols: 20,
    rows: 4,
    bulge: 0.5,
    ink: (u, v) => ({ a: "skin", b: "lid", mix: Math.sin(Math.PI * u) * smoothRow(v) }),
    at: (pose, u, v, out) => {
      const s = across(side > 0 ? u : 1 - u) * 0.995; // both lids wind the same way, or one is lit from behind
      const [up] = opening(pose, side, s);
      const crease = EYE.y + 0.022 * s + (EYE.ry + 0.045) * Math.sqrt(Math.max(0, 1 - s * s));
      out.x = eyeX(side, s * (1 + 0.04 * (1 - v)));
      out.y = mix(crease, up, v);
      out.lift = mix(0.002, 0.026, Math.sin((v * Math.PI) / 2)) * Math.sqrt(Math.max(0.02, 1 - s * s));
    },
  };
}
const smoothRow = (v: number): number => (v < 0.1 ? 0 : 0.35 + 0.65 * v);

const LIFT = { up: 0.085, down: 0.07 } as const;

/** An eyebrow; drawn over the hair, so that feelings stay readable under a fringe. */
function brow(side: Side): Strip {
  return {
    cols: 14,
    rows: 2,
    ink: () => ({ a: "brow" }),
    at: (pose, u, v, out) => {
      const up = side > 0 ? pose.browUpL : pose.browUpR;
      const down = side > 0 ? pose.browDownL : pose.browDownR;
      const inner = 1 - u;
      const arch = (0.05 + 0.03 * up) * Math.sin(Math.PI * (0.15 + 0.75 * u));
      const lift =
        LIFT.up * up * (0.75 + 0.5 * u) -
        LIFT.down * down * (0.6 + 0.8 * inner) +
        pose.browInner * (0.1 * inner - 0.035 * u);
      const thick = 0.056 * Math.sin(Math.PI * (0.22 + 0.74 * u)) ** 0.8 * (1 - 0.35 * u);
      out.x = side * (EYE.x + mix(-0.175, 0.205, u) - 0.02 * down);
      out.y = EYE.y + 0.285 + arch + lift + (0.5 - v) * thick;
      out.lift = 0.035 + 0.012 * Math.sin(Math.PI * v);
    },
  };
}

export interface MouthForm {
  readonly width: number;
  readonly upper: number;
  readonly lower: number;
  readonly corner: number;
  readonly teeth: number;
  readonly tongue: number;
  readonly skew: number;
}

/** The mouth the expression asks for, taken over by speech as far as `mouthOwn`; corners keep 40 % of the feeling. */
export function mouthForm(pose: Pose): MouthForm {
  const { smile, grin, frown, pucker, mouthOwn: own } = pose;
  const rest = SHAPES.sil as MouthShape;
  const width = rest[0] * 0.92 + 0.085 * smile + 0.1 * grin - 0.03 * frown - 0.095 * pucker;
  const corner = 0.035 + 0.07 * smile + 0.09 * grin - 0.105 * frown - 0.03 * pucker;
  const kept = 0.4 * (corner - rest[3]);
  return {
    width: mix(width, pose.mouthW + 0.1 * (width - rest[0]), own),
    upper: mix(0.012 * grin + 0.004 * pucker, pose.mouthU, own),
    lower: mix(0.185 * grin + 0.012 * pucker, pose.mouthL, own),
    corner: mix(corner, pose.mouthS + kept, own),
    teeth: mix(mix(0.95, 0.36, clamp(grin * 1.3, 0, 1)), pose.mouthTeeth, own),
    tongue: mix(0.42, pose.mouthTongue, own),
    skew: pose.sideways,
  };
}

const MOUTH_Y = -0.5;
/** Rows of the mouth from top to bottom; neighbours share an edge but not a colour, so edges stay crisp. */
const MOUTH_BANDS: readonly (readonly [Ink["a"], Ink["a"]])[] = [
  ["lipEdge", "lip"],
  ["teethShade", "teeth"],
  ["mouth", "mouth"],
  ["tongue", "tongue"],
  ["lip", "lipEdge"],
];

/** The heights of the six edges between the bands at s in -1..1. */
export function mouthEdges(form: MouthForm, s: number): readonly number[] {
  const round = Math.sqrt(Math.max(0, 1 - s * s));
  const line = 0.0125 * (1 - s ** 6); // closed lips keep a drawn line, else they break into dashes
  const middle = MOUTH_Y + form.corner * (Math.abs(s) ** 1.8 - 0.35) + form.skew * 0.075 * s;
  const up = middle + Math.max(form.upper * round, line);
  const low = middle - Math.max(form.lower * round ** 0.9, line);
  const gap = Math.max(0, up - low - 2 * line);
  const teeth = up - Math.min(gap * form.teeth, form.teeth > 0.7 ? gap : 0.085 * round);
  const tongue = low + Math.min(gap * form.tongue, 0.13) * round;
  const cupid = 1 - 0.2 * Math.exp(-((s / 0.16) ** 2));
  const lip = (0.024 + 0.1 * Math.max(0, 0.2 - form.width)) * round ** 0.8;
  return [up + lip * cupid, up, teeth, Math.min(teeth, tongue), low, low - lip * 1.25];
}

function mouthBand(band: number): Strip {
  const [a, b] = MOUTH_BANDS[band] as (typeof MOUTH_BANDS)[number];
  return {
    cols: 24,
    rows: 1,
    ink: (_u, v) => ({ a: v < 0.5 ? a : b }),
    at: (pose, u, v, out) => {
      const s = across(u) * 0.999;
      const form = mouthForm(pose);
      const edges = mouthEdges(form, s);
      const edge = band === 3 ? [edges[3], edges[4]] : [edges[band], edges[band + 1]];
      out.x = form.width * s + form.skew * 0.07;
      out.y = (v < 0.5 ? edge[0] : edge[1]) as number;
      out.lift = 0.014;
    },
  };
}

/** Small shadow under the lower lip and at the corners: gives the flat mouth a place in the face. */
function corner(side: Side): Strip {
  return {
    cols: 4,
    rows: 3,
    ink: () => ({ a: "skinShade", b: "lip", mix: 0.3 }),
    at: (pose, u, v, out) => {
      const form = mouthForm(pose);
      const size = clamp((form.corner - 0.05) * 0.26, 0, 0.024);
      const y = mouthEdges(form, side * 0.999)[1] as number;
      const a = mix(-1.15, 1.15, v);
      out.x =
        form.width * side +
        form.skew * 0.07 +
        side * (0.012 + size * 0.9 * Math.cos(a) * (0.55 + u * 0.45) - size * 0.3);
      out.y = y + size * 1.5 * Math.sin(a);
      out.lift = 0.013;
    },
  };
}

/** A face mesh: strips, their colours and the buffers rewritten from the pose. */
export interface FaceMesh {
  readonly geometry: BufferGeometry;
  readonly inks: readonly Ink[];
  readonly strips: readonly Strip[];
  readonly map: FaceMap;
}

const count = (s: Strip): number => (s.cols + 1) * (s.rows + 1);

function indicesOf(strips: readonly Strip[]): number[] {
  const out: number[] = [];
  let first = 0;
  for (const strip of strips) {
    for (let j = 0; j < strip.rows; j++)
      for (let i = 0; i < strip.cols; i++) {
        const a = first + j * (strip.cols + 1) + i;
        const c = a + strip.cols + 1;
        out.push(a, c, a + 1, a + 1, c, c + 1);
      }
    first += count(strip);
  }
  return out;
}

function meshOf(map: FaceMap, strips: readonly Strip[]): FaceMesh {
  const n = strips.reduce((sum, s) => sum + count(s), 0);
  const inks: Ink[] = [];
  for (const s of strips)
    for (let j = 0; j <= s.rows; j++) for (let i = 0; i <= s.cols; i++) inks.push(s.ink(i / s.cols, j / s.rows));
  const geometry = new BufferGeometry();
  for (const name of ["position", "normal", "color"])
    geometry.setAttribute(name, new BufferAttribute(new Float32Array(3 * n), 3));
  geometry.setIndex(new BufferAttribute(new Uint16Array(indicesOf(strips)), 1));
  return { geometry, inks, strips, map };
}

const SIDES: readonly Side[] = [1, -1];

export interface Faces {
  readonly flat: FaceMesh;
  readonly lit: FaceMesh;
  readonly brows: FaceMesh;
}

/** The flat features (eyes, mouth), the lit ones (lids) and the brows, each one draw call. */
export function createFace(map: FaceMap): Faces {
  const mouth = MOUTH_BANDS.map((_band, i) => mouthBand(i));
  return {
    flat: meshOf(map, [...SIDES.flatMap(eye), ...SIDES.map(corner), ...mouth]),
    lit: meshOf(map, SIDES.map(lid)),
    brows: meshOf(map, SIDES.map(brow)),
  };
}

/** Moves every vertex of the mesh to where the pose wants it. */
export function poseFace({ geometry, strips, map }: FaceMesh, pose: Pose): void {
  const position = geometry.getAttribute("position");
  const normal = geometry.getAttribute("normal");
  const at = position.array as Float32Array;
  const n = normal.array as Float32Array;
  const spot: Spot = { x: 0, y: 0, lift: 0 };
  let k = 0;
  for (const strip of strips)
    for (let j = 0; j <= strip.rows; j++)
      for (let i = 0; i <= strip.cols; i++, k += 3) {
        const u = i / strip.cols;
        const v = j / strip.rows;
        strip.at(pose, u, v, spot);
        place(map, spot.x, spot.y, spot.lift, at, n, k);
        if (strip.bulge) n[k + 1] = (n[k + 1] as number) + strip.bulge * (0.5 - v);
      }
  position.needsUpdate = normal.needsUpdate = true;
}
