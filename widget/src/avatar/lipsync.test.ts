import { describe, expect, it } from "vitest";
import {
  createMouth,
  endMouth,
  feedMouth,
  type Mouth,
  openness,
  SHAPES,
  shutMouth,
  stepMouth,
  VISEMES,
  visemesOf,
} from "./lipsync";

const TEXT =
  "My map of Bombay moves people. Five brave wolves often have fun; maybe we speak, or think about a bigger picture!";

/** Reveals `text` at `rate` characters a second in frames of 16 ms; calls `each` after every frame. */
function speak(mouth: Mouth, text: string, rate: number, each: (ms: number) => void): void {
  let shown = 0;
  for (let ms = 0; shown < text.length; ms += 16) {
    const upTo = Math.min(text.length, Math.floor((ms / 1000) * rate));
    if (upTo > shown) feedMouth(mouth, text.slice(shown, upTo));
    shown = upTo;
    stepMouth(mouth, 16);
    each(ms);
  }
}

function run(mouth: Mouth, ms: number): void {
  for (let t = 0; t < ms; t += 16) stepMouth(mouth, 16);
}

describe("visemesOf", () => {
  it("maps letters and digraphs by class", () => {
    expect(visemesOf("ma")).toEqual(["PP", "aa"]);
    expect(visemesOf("the")).toEqual(["TH", "E"]);
    expect(visemesOf("Phone")).toEqual(["FF", "O", "nn", "E"]);
  });
  it("folds accents and marks pauses", () => {
    expect(visemesOf("é, à")).toEqual(["E", "sil", "aa"]);
  });
  it("moves the mouth for scripts it has no letters for", () => {
    expect(visemesOf("你好").length).toBe(2);
    expect(visemesOf("👍 **")).toEqual([]);
  });
  it("has a shape for each of the fifteen wire ids", () => {
    expect(Object.keys(SHAPES)).toEqual([...VISEMES]);
  });
});

describe("the mouth", () => {
  it("changes shape at most ten times a second at the reveal's pace", () => {
    const mouth = createMouth();
    let changes = 0;
    let last = mouth.current;
    let total = 0;
    speak(mouth, TEXT.repeat(3), 45, (ms) => {
      if (mouth.current !== last) changes++;
      last = mouth.current;
      total = ms;
    });
    expect(changes / (total / 1000)).toBeLessThanOrEqual(10);
    expect(changes / (total / 1000)).toBeGreaterThan(4);
  });
  it("stays less than half a second behind the text", () => {
    const mouth = createMouth();
    speak(mouth, TEXT, 45, () => expect(mouth.queue.length).toBeLessThan(24));
  });
  it("closes the lips for m, b and p", () => {
    const mouth = createMouth();
    let least = 1;
    feedMouth(mouth, "amaba");
    for (let t = 0; t < 900; t += 16) {
      stepMouth(mouth, 16);
      if (mouth.current === "PP") least = Math.min(least, (mouth.shape[1] as number) + (mouth.shape[2] as number));
    }
    expect(least).toBeLessThan(0.1 * ((SHAPES.aa[1] as number) + (SHAPES.aa[2] as number)));
  });
  it("ends at sil with the lips closed", () => {
    const mouth = createMouth();
    speak(mouth, TEXT, 45, () => undefined);
    endMouth(mouth);
    run(mouth, 1000);
    expect(mouth.current).toBe("sil");
    expect(openness(mouth)).toBe(0);
    expect(mouth.own).toBe(0);
  });
  it("closes by itself when the text stalls", () => {
    const mouth = createMouth();
    feedMouth(mouth, "aaaa");
    run(mouth, 1500);
    expect(openness(mouth)).toBe(0);
  });
  it("is shut within 150 ms of a barge-in", () => {
    const mouth = createMouth();
    speak(mouth, "aoaoaoaoaoaoao", 45, () => undefined);
    expect(openness(mouth)).toBeGreaterThan(0.2);
    shutMouth(mouth);
    run(mouth, 144);
    expect(openness(mouth)).toBe(0);
  });
  it("does not read out a jump in the text", () => {
    const mouth = createMouth();
    feedMouth(mouth, TEXT.repeat(40));
    expect(mouth.queue.length).toBeLessThanOrEqual(64);
  });
});
