import { Color, DoubleSide, FrontSide, Group, Mesh, MeshBasicMaterial, MeshStandardMaterial, SkinnedMesh } from "three";
import type { Pose } from "./clips";
import { createFace, type FaceMesh, poseFace } from "./face";
import { addHair } from "./hair";
import { addHand } from "./hands";
import { createFaceMap, type FaceMap, headPoint, headShade } from "./head";
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
  const blush = near(p, 0.56, -0.36, 0.17, 0.12) * 0.85 + near(p, 0, -0.24, 0.1, 0.08) * 0.25;
  const socket = near(p, 0.36, 0.1, 0.26, 0.22) * 0.16;
  return { a: "skin", b: "blush", mix: Math.min(0.9, blush + socket), shade: headShade(p) };
}

function addHead(sculpt: Sculpt): void {
  sculpt.sheet(48, 36, (u, v) => {
    const a = u * Math.PI * 2;
    const b = v * Math.PI;
    return headPoint([Math.sin(b) * Math.sin(a), Math.cos(b), -Math.sin(b) * Math.cos(a)]);
  }, headInk, HEAD);
  sculpt.ball([0, -0.215, 0.86], [0.082, 0.07, 0.075], (p) => ({ a: "nose", b: "skin", mix: 0.75 * smooth(-0.22, -0.14, p[1]) }), HEAD, 14, 9);
  addEars(sculpt);
}

function addNeck(sculpt: Sculpt): void {
  sculpt.sheet(18, 5, (u, v) => {
    const a = u * Math.PI * 2;
    const r = 0.27 + 0.05 * v * v;
    return [r * Math.cos(a), -0.72 - 0.75 * v, r * Math.sin(a) - 0.05];
  }, (p) => ({ a: "skin", b: "skinShade", mix: 0.75 * smooth(-1.3, -0.86, p[1]) }), (p) =>
    p[1] > -1.05 ? [HEAD, NECK, smooth(-0.8, -1.05, p[1])] : [NECK, SPINE, smooth(-1.05, -1.35, p[1])]);
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
  readonly triangles: number;
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
  brows: new MeshBasicMaterial({ vertexColors: true, side: DoubleSide, polygonOffset: true, polygonOffsetUnits: -260000 }),
});
type Materials = ReturnType<typeof MATERIALS>;

/** Builds everything in steps; the caller decides how many steps fit in one slice of time. */
export function* buildCharacter(look: Look): Generator<void, Character> {
  const rig = createRig();
  const materials = MATERIALS();
  const skin = new Sculpt();
  addHead(skin);
  yield;
  addNeck(skin);
  addHand(skin, 1);
  yield;
  addHand(skin, -1);
  yield;
  const cloth = new Sculpt();
  addOutfit(cloth);
  yield;
  const map: FaceMap = createFaceMap();
  yield;
  const face = createFace(map);
  const parts: Record<string, Part> = { skin: skinned(skin, materials.skin, rig), cloth: skinned(cloth, materials.cloth, rig) };
  for (const name of ["lit", "flat", "brows"] as const) parts[name] = onFace(face[name], materials[name], rig);
  yield;
  return assemble(rig, materials, parts, Object.values(face), look);
}

function skinned(sculpt: Sculpt, material: MeshStandardMaterial, rig: Rig): Part {
  const mesh = new SkinnedMesh(sculpt.geometry(), material);
  mesh.bind(rig.skeleton);
  mesh.frustumCulled = false;
  return { mesh, inks: sculpt.colours };
}

function onFace(face: FaceMesh, material: Materials["lit"] | Materials["flat"], rig: Rig): Part {
  const mesh = new Mesh(face.geometry, material);
  const head = rig.bones.head;
  // Face vertices are in the coordinates of the whole character; the bone stands at the neck.
  mesh.position.set(0, 0.98, 0.05);
  mesh.frustumCulled = false;
  head?.add(mesh);
  return { mesh, inks: face.inks };
}

function hairPart(look: Look, materials: Materials, rig: Rig): Part {
  const sculpt = new Sculpt();
  addHair(sculpt, look.hairStyle);
  addAccessory(sculpt, look.accessory);
  return skinned(sculpt, materials.hair, rig);
}

function assemble(rig: Rig, materials: Materials, parts: Record<string, Part>, faces: readonly FaceMesh[], first: Look): Character {
  const root = new Group();
  const scratch = new Color();
  root.add(rig.root);
  for (const { mesh } of [parts.skin, parts.cloth] as Part[]) root.add(mesh);
  let worn = "";
  const setLook = (look: Look): void => {
    const wears = `${look.hairStyle} ${look.accessory}`;
    if (wears !== worn) {
      parts.hair?.mesh.removeFromParent();
      parts.hair?.mesh.geometry.dispose();
      parts.hair = hairPart(look, materials, rig);
      root.add(parts.hair.mesh);
      worn = wears;
    }
    const palette = paletteOf(look);
    for (const { mesh, inks } of Object.values(parts)) repaint(mesh.geometry, inks, palette, scratch);
  };
  setLook(first);
  return {
    root,
    setLook,
    pose(pose) {
      poseRig(rig, pose);
      for (const face of faces) poseFace(face, pose);
    },
    get triangles() {
      return Object.values(parts).reduce((sum, { mesh }) => sum + (mesh.geometry.index?.count ?? 0) / 3, 0);
    },
    dispose() {
      for (const { mesh } of Object.values(parts)) mesh.geometry.dispose();
      for (const material of Object.values(materials)) material.dispose();
      rig.skeleton.dispose();
    },
  };
}
