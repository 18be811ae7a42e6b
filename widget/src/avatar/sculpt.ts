import { BufferAttribute, BufferGeometry, type Color } from "three";
import type { Palette, Slot } from "./palette";

export type Vec = readonly [number, number, number];
/** Colour of a vertex: slot `a` mixed towards `b` by `mix`, then multiplied by `shade`. */
export interface Ink {
  readonly a: Slot;
  readonly b?: Slot;
  readonly mix?: number;
  readonly shade?: number;
}
export type Paint = Slot | ((p: Vec, u: number, v: number) => Ink);
/** The bone that carries a vertex, or two bones and the share of the second. */
export type Bind = number | ((p: Vec, u: number, v: number) => readonly [number, number, number]);
export type Surface = (u: number, v: number) => Vec;

const sub = (a: Vec, b: Vec): Vec => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
const cross = (a: Vec, b: Vec): Vec => [
  a[1] * b[2] - a[2] * b[1],
  a[2] * b[0] - a[0] * b[2],
  a[0] * b[1] - a[1] * b[0],
];
const dot = (a: Vec, b: Vec): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
export const mixVec = (a: Vec, b: Vec, t: number): Vec => [
  a[0] + (b[0] - a[0]) * t,
  a[1] + (b[1] - a[1]) * t,
  a[2] + (b[2] - a[2]) * t,
];

export function unit(a: Vec): Vec {
  const n = Math.hypot(a[0], a[1], a[2]) || 1;
  return [a[0] / n, a[1] / n, a[2] / n];
}

export const smooth = (a: number, b: number, x: number): number => {
  const t = Math.min(1, Math.max(0, (x - a) / (b - a)));
  return t * t * (3 - 2 * t);
};

function normalOf(surface: Surface, u: number, v: number): Vec {
  const e = 0.004;
  const vv = Math.min(1 - e, Math.max(e, v)); // poles have no derivative of their own
  const du = sub(surface(u + e, vv), surface(u - e, vv));
  const dv = sub(surface(u, vv + e), surface(u, vv - e));
  return unit(cross(du, dv));
}

/** Collects parametric sheets into one skinned, vertex-coloured mesh that can be recoloured at any time. */
export class Sculpt {
  private readonly positions: number[] = [];
  private readonly normals: number[] = [];
  private readonly indices: number[] = [];
  private readonly bones: number[] = [];
  private readonly weights: number[] = [];
  private readonly inks: Ink[] = [];

  /**
   * Adds the surface sampled on `nu` x `nv` quads; the winding turns itself outward from the middle.
   * `soften` bends the normals towards those of a ball around the origin, so that many small shapes light as one.
   */
  sheet(nu: number, nv: number, surface: Surface, paint: Paint, bind: Bind, soften = 0): this {
    const first = this.inks.length;
    for (let j = 0; j <= nv; j++) for (let i = 0; i <= nu; i++) this.vertex(surface, i / nu, j / nv, paint, bind);
    const inward = this.facesIn(first);
    if (inward) this.turnOut(first);
    this.stitch(first, nu, nv, inward);
    if (soften > 0) this.soften(first, soften);
    return this;
  }

  private vertex(surface: Surface, u: number, v: number, paint: Paint, bind: Bind): void {
    const p = surface(u, v);
    this.positions.push(...p);
    this.normals.push(...normalOf(surface, u, v));
    this.inks.push(typeof paint === "string" ? { a: paint } : paint(p, u, v));
    const [a, b, w] = typeof bind === "number" ? [bind, bind, 0] : bind(p, u, v);
    this.bones.push(a, b, 0, 0);
    this.weights.push(1 - w, w, 0, 0);
  }

  private at(list: readonly number[], i: number): Vec {
    return [list[3 * i] as number, list[3 * i + 1] as number, list[3 * i + 2] as number];
  }

  private facesIn(first: number): boolean {
    const end = this.inks.length;
    let middle: Vec = [0, 0, 0];
    for (let i = first; i < end; i++) middle = mixVec(middle, this.at(this.positions, i), 1 / (i - first + 1));
    let sum = 0;
    for (let i = first; i < end; i++) sum += dot(this.at(this.normals, i), sub(this.at(this.positions, i), middle));
    return sum < 0;
  }

  private soften(first: number, share: number): void {
    for (let i = first; i < this.inks.length; i++) {
      const n = unit(mixVec(this.at(this.normals, i), unit(this.at(this.positions, i)), share));
      for (let k = 0; k < 3; k++) this.normals[3 * i + k] = n[k] as number;
    }
  }

  private turnOut(first: number): void {
    for (let i = 3 * first; i < this.normals.length; i++) this.normals[i] = -(this.normals[i] as number);
  }

  private stitch(first: number, nu: number, nv: number, flip: boolean): void {
    for (let j = 0; j < nv; j++)
      for (let i = 0; i < nu; i++) {
        const a = first + j * (nu + 1) + i;
        const [b, c, d] = flip ? [a + nu + 1, a + 1, a + nu + 2] : [a + 1, a + nu + 1, a + nu + 2];
        this.triangle(a, b, c);
        this.triangle(c, b, d);
      }
  }

  private triangle(a: number, b: number, c: number): void {
    const p = this.at(this.positions, a);
    const area = cross(sub(this.at(this.positions, b), p), sub(this.at(this.positions, c), p));
    if (dot(area, area) > 1e-14) this.indices.push(a, b, c); // poles make slivers: leave them out
  }

  /** An ellipsoid. */
  ball(at: Vec, radii: Vec, paint: Paint, bind: Bind, nu = 12, nv = 8, soften = 0): this {
    return this.sheet(
      nu,
      nv,
      (u, v) => {
        const a = u * Math.PI * 2;
        const b = v * Math.PI;
        return [
          at[0] + radii[0] * Math.sin(b) * Math.cos(a),
          at[1] + radii[1] * Math.cos(b),
          at[2] + radii[2] * Math.sin(b) * Math.sin(a),
        ];
      },
      paint,
      bind,
      soften,
    );
  }

  /** A tube along `path`; `radius` gives (side, outward) radii at t, `out` the direction of the second one. */
  tube(
    nu: number,
    nv: number,
    path: (t: number) => Vec,
    radius: (t: number) => readonly [number, number],
    paint: Paint,
    bind: Bind,
    out: (p: Vec, t: number) => Vec = () => [0, 0, 1],
  ): this {
    return this.sheet(
      nu,
      nv,
      (u, v) => {
        const t = Math.min(1, Math.max(0, v));
        const p = path(t);
        const along = unit(sub(path(Math.min(1, t + 0.01)), path(Math.max(0, t - 0.01))));
        const side = unit(cross(along, out(p, t)));
        const up = cross(side, along);
        const [rs, ro] = radius(t);
        const c = Math.cos(u * Math.PI * 2) * rs;
        const s = Math.sin(u * Math.PI * 2) * ro;
        return [p[0] + side[0] * c + up[0] * s, p[1] + side[1] * c + up[1] * s, p[2] + side[2] * c + up[2] * s];
      },
      paint,
      bind,
    );
  }

  /** The collected mesh; paint it with `repaint` before the first frame. */
  geometry(): BufferGeometry {
    const geometry = new BufferGeometry();
    geometry.setAttribute("position", new BufferAttribute(new Float32Array(this.positions), 3));
    geometry.setAttribute("normal", new BufferAttribute(new Float32Array(this.normals), 3));
    geometry.setAttribute("color", new BufferAttribute(new Float32Array(this.positions.length), 3));
    geometry.setAttribute("skinIndex", new BufferAttribute(new Uint8Array(this.bones), 4));
    geometry.setAttribute("skinWeight", new BufferAttribute(new Float32Array(this.weights), 4));
    geometry.setIndex(new BufferAttribute(new Uint16Array(this.indices), 1));
    return geometry;
  }

  /** The inks of all vertices in order, for `repaint`. */
  get colours(): readonly Ink[] {
    return this.inks;
  }
}

/** Writes the colours of a palette into a geometry made from these inks. */
export function repaint(geometry: BufferGeometry, inks: readonly Ink[], palette: Palette, scratch: Color): void {
  const colour = geometry.getAttribute("color");
  inks.forEach((ink, i) => {
    scratch.copy(palette[ink.a]);
    if (ink.b) scratch.lerp(palette[ink.b], ink.mix ?? 0);
    scratch.multiplyScalar(ink.shade ?? 1);
    colour.setXYZ(i, scratch.r, scratch.g, scratch.b);
  });
  colour.needsUpdate = true;
}
