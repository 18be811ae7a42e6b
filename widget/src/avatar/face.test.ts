import { describe, expect, it } from "vitest";
import { type Pose, REST } from "./clips";
import { createFace, mouthEdges, mouthForm, poseFace } from "./face";
import { createFaceMap } from "./head";
import { SHAPES, VISEMES, type Viseme } from "./lipsync";

function speaking(viseme: Viseme): Pose {
  const [mouthW, mouthU, mouthL, mouthS, mouthTeeth, mouthTongue] = SHAPES[viseme];
  return { ...REST, mouthW, mouthU, mouthL, mouthS, mouthTeeth, mouthTongue, mouthOwn: 1 };
}
const gap = (pose: Pose): number => {
  const edges = mouthEdges(mouthForm(pose), 0);
  return (edges[1] as number) - (edges[4] as number);
};

describe("the mouth", () => {
  it.each(VISEMES)("keeps its bands in order in %s", (viseme) => {
    for (const extra of [{}, { grin: 1 }, { frown: 1 }, { sideways: 1 }])
      for (let s = -1; s <= 1; s += 0.1) {
        const edges = mouthEdges(mouthForm({ ...speaking(viseme), ...extra }), s);
        for (let i = 1; i < edges.length; i++) expect(edges[i]).toBeLessThanOrEqual((edges[i - 1] as number) + 1e-9);
      }
  });
  it("draws a line when closed and a hole when open", () => {
    expect(gap(speaking("PP"))).toBeCloseTo(0.025, 3);
    expect(gap(speaking("aa"))).toBeGreaterThan(0.2);
    expect(gap(REST)).toBeLessThan(0.03);
  });
  it("shows the teeth in FF, so that it differs from PP", () => {
    const edges = mouthEdges(mouthForm(speaking("FF")), 0);
    expect((edges[1] as number) - (edges[2] as number)).toBeGreaterThan(0.015);
  });
  it("lets a feeling move the corners of a speaking mouth, but not open it", () => {
    const sad = mouthForm({ ...speaking("aa"), smile: 0, frown: 1 });
    const glad = mouthForm({ ...speaking("aa"), grin: 1 });
    expect(glad.corner).toBeGreaterThan(sad.corner);
    expect(glad.lower).toBe(sad.lower);
  });
});

describe("the eyes", () => {
  const { flat } = createFace(createFaceMap());
  /** Height of everything drawn around the left eye. */
  function eyeHeight(pose: Pose): number {
    poseFace(flat, pose);
    const at = flat.geometry.getAttribute("position");
    const white = Array.from({ length: 21 * 5 }, (_unused, i) => at.getY(i));
    return Math.max(...white) - Math.min(...white);
  }
  it("closes on a blink and narrows on a smile", () => {
    const open = eyeHeight(REST);
    expect(open).toBeGreaterThan(0.3);
    expect(eyeHeight({ ...REST, blinkL: 1, blinkR: 1 })).toBeLessThan(0.6 * open);
    expect(eyeHeight({ ...REST, smileEye: 1 })).toBeLessThan(open);
  });
  it("keeps every vertex finite in extreme poses", () => {
    const wild = Object.fromEntries(Object.keys(REST).map((c) => [c, 3])) as Pose;
    poseFace(flat, wild);
    for (const x of flat.geometry.getAttribute("position").array) expect(Number.isFinite(x)).toBe(true);
  });
});
