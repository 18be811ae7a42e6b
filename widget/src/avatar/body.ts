import {
  Color,
  DoubleSide,
  FrontSide,
  Group,
  Matrix4,
  Mesh,
  MeshBasicMaterial,
  MeshStandardMaterial,
  SkinnedMesh,
} from "three";
import type { Pose } from "./clips";
import { createFace, type Faces, poseFace } from "./face";
import { addHair } from "./hair";
import { addHand } from "./hands";
import { createFaceMap, headPoint, headShade } from "./head";
import type { Look } from "./looks";
import { addAccessory, addEars, addOutfit } from "./outfit";
import { paletteOf } from "./palette";
import { type Ink, repaint, Sculpt, smooth, type Vec } from "./sculpt";
import { boneIndex, createRig, poseRig, type Rig } from "./skeleton";

const HEAD = boneIndex("head");
const NECK = boneIndex("neck");
const SPINE = boneIndex("spine");

const near = (p: Vec, x: number, y: number, rx: number, ry: number): number =>
  p[2] > 0 ? Math.exp(-(((Math.abs(p[0]) - x) / rx) ** 2) - ((p[1] - y) / ry) ** 2) : 0;

/** Cheeks, warm eye sockets and shade are painted on the skin itself: no texture, no extra draw. */
function headInk(p: Vec): Ink {
  const blush = near(p, 0.56, -0.36, 0.17, 0.12) * 0.62 + near(p, 0, -0.24, 0.1, 0.08) * 0.2;
  const socket = near(p, 0.36, 0.1, 0.26, 0.22) * 0.07;
  return { a: "skin", b: "blush", mix: Math.min(0.9, blush + socket), shade: headShade(p) };
}

function addHead(sculpt: Sculpt): void {
  sculpt.sheet(
    44,
    32,
    (u, v) => {
      const a = u * Math.PI * 2;
      const b = v * Math.PI;
      return headPoint([Math.sin(b) * Math.sin(a), Math.cos(b), -Math.sin(b) * Math.cos(a)]);
    },
    headInk,
    HEAD,
  );
  sculpt.ball(
    [0, -0.215, 0.86],
    [0.082, 0.07, 0.075],
    (p) => ({ a: "nose", b: "skin", mix: 0.75 * smooth(-0.22, -0.14, p[1]) }),
    HEAD,
    14,
    9,
  );
}

function addNeck(sculpt: Sculpt): void {
  sculpt.sheet(
    18,
    5,
    (u, v) => {
      const a = u * Math.PI * 2;
      const r = 0.27 + 0.05 * v * v;
      return [r * Math.cos(a), -0.72 - 0.75 * v, r * Math.sin(a) - 0.05];
    },
    (p) => ({ a: "skin", b: "skinShade", mix: 0.75 * smooth(-1.3, -0.86, p[1]) }),
    (p) => (p[1] > -1.05 ? [HEAD, NECK, smooth(-0.8, -1.05, p[1])] : [NECK, SPINE, smooth(-1.05, -1.35, p[1])]),
  );
}

interface Part {
  readonly mesh: Mesh;
  readonly inks: readonly Ink[];
}

/** The character: six meshes on one skeleton, posed by channels, recoloured in place. */
export interface Character {
  readonly root: Group;
  pose(pose: Pose): void;
  setLook(look: Look): void;
  dispose(): void;
}

const volume = (roughness: number): MeshStandardMaterial => new MeshStandardMaterial({ vertexColors: true, roughness });

const MATERIALS = () => ({
  skin: volume(0.6),
  cloth: volume(0.74),
  hair: volume(0.4),
  lit: Object.assign(volume(0.6), { side: FrontSide }),
  flat: new MeshBasicMaterial({ vertexColors: true, side: DoubleSide }),
  // Pulled towards the camera, so that brows stay readable over a fringe but not over a hand.
  brows: new MeshBasicMaterial({
    vertexColors: true,
    side: DoubleSide,
    polygonOffset: true,
    polygonOffsetUnits: -420000,
  }),
});
type Materials = ReturnType<typeof MATERIALS>;

/** Builds everything in steps; the caller decides how many steps fit in one slice of time. */
export function* buildCharacter(look: Look): Generator<void, Character> {
  const rig = createRig();
  const materials = MATERIALS();
  const skin = new Sculpt();
  for (const add of [addHead, addNeck, addEars, (s: Sculpt) => addHand(s, 1), (s: Sculpt) => addHand(s, -1)]) {
    add(skin);
    yield;
  }
  const cloth = new Sculpt();
  yield* addOutfit(cloth);
  yield;
  const map = createFaceMap();
  yield;
  const figure = new Figure(rig, materials, createFace(map));
  figure.add("skin", skinned(skin, materials.skin, rig));
  yield;
  figure.add("cloth", skinned(cloth, materials.cloth, rig));
  yield* figure.dress(look);
  yield;
  figure.paint(look);
  return figure;
}

function skinned(sculpt: Sculpt, material: MeshStandardMaterial, rig: Rig): Part {
  const mesh = new SkinnedMesh(sculpt.geometry(), material);
  mesh.bind(rig.skeleton, new Matrix4()); // without a matrix three would take the present pose for the rest pose
  mesh.frustumCulled = false;
  return { mesh, inks: sculpt.colours };
}

type PartName = "skin" | "cloth" | "hair" | keyof Faces;

class Figure implements Character {
  readonly root = new Group();
  private readonly parts = new Map<PartName, Part>();
  private readonly rig: Rig;
  private readonly materials: Materials;
  private readonly faces: Faces;
  private worn = "";

  constructor(rig: Rig, materials: Materials, faces: Faces) {
    this.rig = rig;
    this.materials = materials;
    this.faces = faces;
    this.root.add(rig.root);
    for (const name of ["lit", "flat", "brows"] as const) this.mountFace(name);
  }

  add(name: PartName, part: Part): void {
    this.parts.set(name, part);
    this.root.add(part.mesh);
  }

  pose(pose: Pose): void {
    poseRig(this.rig, pose);
    for (const face of Object.values(this.faces)) poseFace(face, pose);
  }

  setLook(look: Look): void {
    for (const _step of this.dress(look)); // all steps at once
    this.paint(look);
  }

  /** Changes hair and accessory when they differ from what is worn. */
  *dress(look: Look): Generator<void> {
    const wears = `${look.hairStyle} ${look.accessory}`;
    if (wears === this.worn) return;
    const sculpt = new Sculpt();
    yield* addHair(sculpt, look.hairStyle);
    addAccessory(sculpt, look.accessory, look.hairStyle);
    yield;
    const old = this.parts.get("hair")?.mesh;
    old?.removeFromParent();
    old?.geometry.dispose();
    this.add("hair", skinned(sculpt, this.materials.hair, this.rig));
    this.worn = wears;
  }

  paint(look: Look): void {
    const scratch = new Color();
    const palette = paletteOf(look);
    this.materials.hair.roughness = look.hairStyle === "curly" ? 0.72 : 0.4;
    for (const { mesh, inks } of this.parts.values()) repaint(mesh.geometry, inks, palette, scratch);
  }

  dispose(): void {
    for (const { mesh } of this.parts.values()) mesh.geometry.dispose();
    for (const material of Object.values(this.materials)) material.dispose();
    this.rig.skeleton.dispose();
  }

  /** Face vertices are in the coordinates of the whole character; the head's bone stands at the neck. */
  private mountFace(name: keyof Faces): void {
    const { geometry, inks } = this.faces[name];
    const mesh = new Mesh(geometry, this.materials[name]);
    mesh.position.set(0, 0.98, 0.05);
    mesh.frustumCulled = false;
    this.rig.bones.head?.add(mesh);
    this.parts.set(name, { mesh, inks });
  }
}
