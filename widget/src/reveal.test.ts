import { describe, expect, it } from "vitest";
import * as reveal from "./reveal";

const run = (from: reveal.Reveal, ms: number, stepMs = 16) => {
  let now = from;
  for (let at = 0; at < ms; at += stepMs) now = reveal.step(now, stepMs);
  return now;
};

describe("the reveal buffer", () => {
  it("goes at reading pace when little is waiting", () => {
    const one = run(reveal.receive(reveal.begin(false), 80), 1000);
    expect(one.position).toBeGreaterThan(40);
    expect(one.position).toBeLessThan(50);
  });

  it("catches up when far behind: 2,000 characters in under 12 s", () => {
    expect(run(reveal.receive(reveal.begin(false), 2000), 12_000).position).toBe(2000);
  });

  it("is never slower when more is waiting, and has a ceiling", () => {
    const paces = [0, 50, 90, 200, 1000, 100_000].map(reveal.pace);
    expect(paces).toEqual([...paces].sort((a, b) => a - b));
    expect(paces.at(-1)).toBe(600);
  });

  it("shows all at once where motion is unwelcome", () => {
    expect(reveal.step(reveal.receive(reveal.begin(true), 500), 1).position).toBe(500);
    expect(reveal.all(reveal.receive(reveal.begin(false), 500)).position).toBe(500);
  });

  it("takes shown characters back", () => {
    expect(reveal.receive(run(reveal.receive(reveal.begin(false), 100), 1500), 10).position).toBe(10);
  });

  it("ends only when all is shown", () => {
    const ended = reveal.end(reveal.receive(reveal.begin(false), 90));
    expect(reveal.finished(ended)).toBe(false);
    expect(reveal.finished(run(ended, 3000))).toBe(true);
  });

  it("never shows half a character", () => {
    const text = "a\u{1f600}b";
    const buffer = { ...reveal.receive(reveal.begin(false), text.length), position: 2.5 };
    expect(reveal.shown(buffer, text)).toBe(1);
    expect(reveal.shown({ ...buffer, position: 3 }, text)).toBe(3);
  });
});
