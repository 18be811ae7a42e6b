import { Mesh } from "three";
import { describe, expect, it } from "vitest";
import { buildCharacter, type Character } from "./body";
import { REST } from "./clips";
import { LOOKS, resolveLook } from "./looks";

function build(name: string): Character {
  const steps = buildCharacter(resolveLook(name));
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

function meshes(character: Character): Mesh[] {
  const found: Mesh[] = [];
  character.root.traverse((o) => {
    if (o instanceof Mesh) found.push(o);
  });
  return found;
}

describe("the character", () => {
  it.each(Object.keys(LOOKS))("stays within its budget as %s", (name) => {
    const character = build(name);
    character.pose(REST);
    const drawn = meshes(character);
    const triangles = drawn.reduce((sum, m) => sum + (m.geometry.index?.count ?? 0) / 3, 0);
    expect(drawn.length).toBeLessThanOrEqual(16);
    expect(triangles).toBeLessThanOrEqual(18000);
    for (const { geometry } of drawn)
      for (const attribute of ["position", "normal", "color"])
        for (const x of geometry.getAttribute(attribute).array)
          if (!Number.isFinite(x)) throw new Error(`${name}: ${attribute}`);
    character.dispose();
  });
  it("changes hair, accessory and colours in place", () => {
    const character = build("indigo");
    const before = meshes(character).length;
    character.setLook(resolveLook("fern"));
    character.setLook(resolveLook({ skin: "#ff0000", hairStyle: "long" }));
    expect(meshes(character).length).toBe(before);
    character.dispose();
  });
});

describe("resolveLook", () => {
  it("falls back for unknown names and bad values", () => {
    expect(resolveLook("nobody")).toEqual(LOOKS.indigo);
    expect(resolveLook({ skin: "red; url(x)", hairStyle: "wig" as "bob" })).toEqual(LOOKS.indigo);
  });
  it("dresses in the brand colour", () => {
    expect(resolveLook("coral", "#00aa55")).toMatchObject({
      cloth: "#00aa55",
      accent: "#00aa55",
      hair: LOOKS.coral?.hair,
    });
    expect(resolveLook("coral", "no colour")).toEqual(LOOKS.coral);
  });
});
