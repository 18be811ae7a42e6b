import { smooth, unit, type Vec } from "./sculpt";

const gauss = (x: number, y: number, z: number, cx: number, cy: number, cz: number, sigma: number): number =>
  Math.exp(-((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2) / (sigma * sigma));

/** The head in the direction of a unit vector: a sphere with cheeks, a chin and a flatter front. */
export function headPoint([x, y, z]: Vec): Vec {
  const t = Math.max(0, -y);
  const cheek = 0.055 * (gauss(x, y, z, -0.52, -0.42, 0.74, 0.3) + gauss(x, y, z, 0.52, -0.42, 0.74, 0.3));
  const chin = 0.05 * gauss(x, y, z, 0, -0.82, 0.55, 0.25);
  const swell = 1 + cheek + chin;
  const pz = z * 0.93 * (1 - 0.06 * t * t) * swell;
  return [x * (1 - 0.2 * t * t) * swell, y * 0.93 * swell, pz > 0.62 ? 0.62 + (pz - 0.62) * 0.86 : pz];
}

/** Direction at azimuth `a` (0 = front, positive to +x) and polar angle `p` from the top. */
export const direction = (a: number, p: number): Vec => [
  Math.sin(a) * Math.sin(p),
  Math.cos(p),
  Math.cos(a) * Math.sin(p),
];

/** A point `lift` above the head's surface, by azimuth and polar angle. */
export function onHead(a: number, p: number, lift: number): Vec {
  const d = direction(a, p);
  const q = headPoint(d);
  return [q[0] + d[0] * lift, q[1] + d[1] * lift, q[2] + d[2] * lift];
}

/** The surface point over (x, y) on the front of the head, by fixed-point steps on the direction. */
function frontZ(x: number, y: number): number {
  let dx = x;
  let dy = y;
  let z = 0;
  for (let i = 0; i < 12; i++) {
    const r = Math.hypot(dx, dy);
    if (r > 0.985) {
      dx *= 0.985 / r;
      dy *= 0.985 / r;
    }
    const p = headPoint([dx, dy, Math.sqrt(Math.max(0, 1 - dx * dx - dy * dy))]);
    z = p[2];
    dx += x - p[0];
    dy += y - p[1];
  }
  return z;
}

const X0 = -0.84;
const Y0 = -0.86;
const STEP = 0.04;
const NX = 43;
const NY = 41;

/** Where a facial feature sits: the front of the head as a table, so that it can be asked 2,000 times a frame. */
export interface FaceMap {
  readonly z: Float32Array;
}

export function createFaceMap(): FaceMap {
  const z = new Float32Array(NX * NY);
  for (let j = 0; j < NY; j++) for (let i = 0; i < NX; i++) z[j * NX + i] = frontZ(X0 + i * STEP, Y0 + j * STEP);
  return { z };
}

/** Writes the surface point over (x, y), lifted by `offset` along the normal, and the normal; returns nothing new. */
export function place(
  map: FaceMap,
  x: number,
  y: number,
  offset: number,
  at: Float32Array,
  normal: Float32Array,
  i: number,
): void {
  const u = Math.min(NX - 2.001, Math.max(0, (x - X0) / STEP));
  const v = Math.min(NY - 2.001, Math.max(0, (y - Y0) / STEP));
  const col = Math.floor(u);
  const row = Math.floor(v);
  const fu = u - col;
  const fv = v - row;
  const k = row * NX + col;
  const a = map.z[k] as number;
  const b = map.z[k + 1] as number;
  const c = map.z[k + NX] as number;
  const d = map.z[k + NX + 1] as number;
  const z = (a * (1 - fu) + b * fu) * (1 - fv) + (c * (1 - fu) + d * fu) * fv;
  const slopeX = ((b - a) * (1 - fv) + (d - c) * fv) / STEP;
  const slopeY = ((c - a) * (1 - fu) + (d - b) * fu) / STEP;
  const n = 1 / Math.hypot(slopeX, slopeY, 1);
  normal[i] = -slopeX * n;
  normal[i + 1] = -slopeY * n;
  normal[i + 2] = n;
  at[i] = x - slopeX * n * offset;
  at[i + 1] = y - slopeY * n * offset;
  at[i + 2] = z + n * offset;
}

/** Soft dark under the fringe and at the sides of the jaw: baked light, so that no shadow map is needed. */
export function headShade(p: Vec): number {
  const d = unit(p);
  const jaw = 1 - 0.16 * smooth(-0.35, -0.95, d[1]) * smooth(0.6, -0.2, d[2]);
  return jaw * (1 - 0.2 * smooth(0.34, 0.62, p[1]));
}
