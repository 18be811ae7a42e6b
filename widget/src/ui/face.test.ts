import { beforeEach, describe, expect, it } from "vitest";
import { ANIMATIONS } from "../protocol";
import { Face } from "./face";

let container: HTMLElement;
beforeEach(() => {
  container = document.createElement("div");
});
const make = () => new Face({ container, accent: "#5b5bd6", reducedMotion: true });

/** What one sees: every path and transform. */
const picture = () =>
  [...container.querySelectorAll("*")]
    .map((part) => `${part.getAttribute("d")}${part.getAttribute("transform")}`)
    .join();

describe("the drawn face", () => {
  it("has a pose of its own for every animation but plain talk", () => {
    const seen = new Map<string, string>();
    for (const name of ANIMATIONS) {
      container.replaceChildren();
      make().animate(name);
      seen.set(name, picture());
    }
    expect(new Set(seen.values()).size).toBe(ANIMATIONS.length);
  });

  it("fires a cue when the reveal passes its character, once", () => {
    const face = make();
    const idle = picture();
    face.begin("s1");
    face.cue([{ id: "c1", state: "happy", at: { char: 10 } }]);
    expect(picture()).toBe(idle);
    face.reveal(9, "123456789");
    face.reveal(10, "0");
    const happy = picture();
    expect(happy).not.toBe(idle);
    face.cue([{ id: "c1", state: "neutral" }]);
    expect(picture()).toBe(happy);
  });

  it("forgets what is cancelled and ignores what it does not know", () => {
    const face = make();
    const idle = picture();
    face.begin("s1");
    face.cue([
      { id: "c1", state: "happy", at: { char: 10 } },
      { cancel: "c1" },
      { id: "c2", state: "juggle" as "nod" },
      { id: "c3", state: "away" },
    ]);
    face.end();
    expect(picture()).toBe(idle);
  });

  it("looks friendly at rest: the inner ends of brows and lids are not below the outer ones", () => {
    make();
    const ends = [...container.querySelectorAll("path")]
      .map(
        (part) =>
          /^M(\S+) (\S+)Q\S+ \S+ (\S+) (\S+)$/
            .exec(part.getAttribute("d") ?? "")
            ?.slice(1)
            .map(Number) ?? [],
      )
      .filter(([x = 0, y = 0, x2 = 0]) => y < 100 && x2 - x < 40 && x2 > x);
    expect(ends).toHaveLength(4); // two brows, two lash lines
    for (const [x = 0, y = 0, , y2 = 0] of ends) expect(x < 100 && x + 12 < 100 ? y2 : y).toBeLessThan(x < 90 ? y : y2);
  });

  it("leaves nothing behind", () => {
    make().dispose();
    expect(container.childElementCount).toBe(0);
  });
});
