import { expect, it } from "vitest";
import { ago, count, duration, money, size, words } from "./format";
import { safeNext } from "./login";

it.each([
  [0, "0 B"],
  [1023, "1023 B"],
  [1536, "1.5 KB"],
  [1_900_000, "1.8 MB"],
  [52_428_800, "50 MB"],
])("%d bytes are %s", (bytes, text) => expect(size(bytes)).toBe(text));

it.each([
  [0, "$0"],
  [1, "$0.000000001"],
  [311_000, "$0.00031"],
  [12_345_678, "$0.01"],
  [1_234_567_890_000, "$1,234.57"],
])("%d nano-USD are %s", (nanousd, text) => expect(money(nanousd)).toBe(text));

it("speaks of time as people do", () => {
  const now = Date.parse("2026-01-02T00:00:00Z");
  expect(ago("2026-01-01T23:59:40Z", now)).toBe("just now");
  expect(ago("2026-01-01T21:00:00Z", now)).toBe("3 hours ago");
  expect(ago("2026-01-01T00:00:00Z", now)).toBe("yesterday");
  expect(duration(412)).toBe("412 ms");
  expect(duration(1630)).toBe("1.6 s");
});

it("counts and names", () => {
  expect(count(1, "source")).toBe("1 source");
  expect(count(1200, "chunk")).toBe("1,200 chunks");
  expect(words("talk_calm")).toBe("Talk calm");
});

it.each([
  [null, "/bots"],
  ["/conversations?bot_id=bot_1", "/conversations?bot_id=bot_1"],
  ["//evil.example", "/bots"],
  ["https://evil.example", "/bots"],
  ["/\\evil.example", "/bots"],
  ["javascript:alert(1)", "/bots"],
])("goes from sign-in to %s by way of %s", (next, place) => expect(safeNext(next)).toBe(place));
