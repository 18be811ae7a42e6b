import { Bone, Quaternion, Skeleton } from "three";
import type { Channel, Pose } from "./clips";
import type { Vec } from "./sculpt";

/** Bones by VRM's names, so that foreign clips retarget: parent and rest position (head radii, y up). */
const ARM = (side: "left" | "right", s: 1 | -1): Record<string, readonly [string, Vec]> => ({
  [`${side}Shoulder`]: ["spine", [s * 0.2, -1.42, -0.02]],
  [`${side}UpperArm`]: [`${side}Shoulder`, [s * 0.6, -1.52, 0]],
  [`${side}Elbow`]: [`${side}UpperArm`, [s * 0.6, -2.1, 0]],
  [`${side}LowerArm`]: [`${side}UpperArm`, [s * 0.6, -2.1, 0]],
  [`${side}Hand`]: [`${side}LowerArm`, [s * 0.6, -2.62, 0]],
  [`${side}MiddleProximal`]: [`${side}Hand`, [s * 0.6, -2.86, 0]],
  [`${side}MiddleIntermediate`]: [`${side}MiddleProximal`, [s * 0.6, -2.98, 0]],
  [`${side}IndexProximal`]: [`${side}Hand`, [s * 0.6, -2.86, 0]],
  [`${side}IndexIntermediate`]: [`${side}IndexProximal`, [s * 0.6, -2.98, 0]],
  [`${side}ThumbProximal`]: [`${side}Hand`, [s * 0.585, -2.7, 0.09]],
  [`${side}ThumbDistal`]: [`${side}ThumbProximal`, [s * 0.575, -2.79, 0.17]],
});
const BONES: Readonly<Record<string, readonly [string, Vec]>> = {
  hips: ["", [0, -3, 0]],
  spine: ["hips", [0, -2.6, 0]],
  neck: ["spine", [0, -1.12, -0.06]],
  head: ["neck", [0, -0.98, -0.05]],
  hairTop: ["head", [0, 0.95, -0.05]],
  hairBack: ["head", [0, 0.1, -0.8]],
  strings: ["spine", [0, -1.32, 0.42]],
  ...ARM("left", 1),
  ...ARM("right", -1),
};

export const BONE_NAMES: readonly string[] = Object.keys(BONES);
export const boneIndex = (name: string): number => BONE_NAMES.indexOf(name);

export interface Rig {
  readonly root: Bone;
  readonly skeleton: Skeleton;
  readonly bones: Readonly<Record<string, Bone>>;
}

export function createRig(): Rig {
  const bones: Record<string, Bone> = {};
  for (const [name, [parent, at]] of Object.entries(BONES)) {
    const bone = new Bone();
    bone.name = name;
    const from = BONES[parent]?.[1] ?? [0, 0, 0];
    bone.position.set(at[0] - from[0], at[1] - from[1], at[2] - from[2]);
    bones[parent]?.add(bone);
    bones[name] = bone;
  }
  const root = bones.hips as Bone;
  root.updateMatrixWorld(true);
  return { root, bones, skeleton: new Skeleton(BONE_NAMES.map((n) => bones[n] as Bone)) };
}

const STILL = new Quaternion();

function poseArm(bones: Rig["bones"], pose: Pose, side: "left" | "right", s: 1 | -1): void {
  const get = (name: string): number => pose[`${name}${s > 0 ? "L" : "R"}` as Channel];
  const bone = (name: string): Bone => bones[side + name] as Bone;
  bone("Shoulder").position.y = -1.42 + 2.6 + get("shrug") * 0.11;
  bone("Shoulder").rotation.z = s * get("shrug") * 0.12;
  bone("UpperArm").rotation.set(get("fwd"), get("twist") * s, s * get("out"));
  bone("LowerArm").rotation.set(get("bend"), 0, s * get("foreZ"));
  bone("Elbow").quaternion.slerpQuaternions(STILL, bone("LowerArm").quaternion, 0.5); // keeps the sleeve full
  bone("Hand").rotation.set(get("wristX"), s * get("turn"), s * get("wristZ"));
  const curl = (name: string, amount: number, far: number): void => {
    bone(`${name}Proximal`).rotation.z = -s * amount;
    bone(`${name}Intermediate`).rotation.z = -s * amount * far;
  };
  curl("Middle", get("curl"), 1.05);
  curl("Index", get("index"), 1.05);
  const fist = Math.min(1, Math.max(0, (get("curl") - 0.9) / 0.7));
  bone("ThumbProximal").rotation.set(get("thumb") - 0.35 * fist, s * 0.2, -s * 0.25);
  bone("ThumbDistal").rotation.x = get("thumb") * 0.6;
}

/** Turns the pose into bone rotations. */
export function poseRig({ bones }: Rig, pose: Pose): void {
  const bone = (name: string): Bone => bones[name] as Bone;
  const breath = pose.breath;
  bone("hips").position.y = -3 + pose.bounce;
  bone("spine").rotation.set(pose.spineX - 0.006 * breath, pose.spineY, pose.spineZ);
  bone("spine").scale.set(1, 1 + 0.006 * breath, 1 + 0.012 * breath);
  bone("neck").rotation.set(pose.headX * 0.35 - pose.spineX * 0.4, pose.headY * 0.35, pose.headZ * 0.3);
  bone("head").rotation.set(pose.headX * 0.65, pose.headY * 0.65, pose.headZ * 0.7);
  bone("hairTop").rotation.set(pose.hairX * 1.6, 0, pose.hairZ * 1.6);
  bone("hairBack").rotation.set(pose.hairX * 0.5, 0, pose.hairZ * 0.6);
  bone("strings").rotation.set(Math.max(-0.1, pose.hairX * 0.3), 0, pose.hairZ * 0.5);
  poseArm(bones, pose, "left", 1);
  poseArm(bones, pose, "right", -1);
}
