import { describe, expect, it } from "vitest";
import { readAmount } from "./amount";
import { accentColours } from "./face";
import { readOrigin, tag } from "./sites";

describe("origins", () => {
  it.each([
    ["https://shop.example", "https://shop.example"],
    [" HTTPS://Shop.Example/ ", "https://shop.example"],
    ["shop.example/path?x=1#y", "https://shop.example"],
    ["http://localhost:8000", "http://localhost:8000"],
    ["*.shop.example", "https://*.shop.example"],
  ])("reads %s as %s", (typed, origin) => expect(readOrigin(typed)).toBe(origin));

  it.each([
    "",
    "shop example",
    "ftp://shop.example",
    "https://*",
    "javascript:alert(1)",
    "https://a@b",
    "https://*.*.example",
  ])("refuses %s", (typed) => expect(readOrigin(typed)).toBeNull());
});

describe("amounts", () => {
  it.each([
    ["20", 20],
    ["4,000", 4000],
    [" 7 ", 7],
    ["0", null],
    ["", null],
    ["-3", null],
    ["1e3", null],
    ["9999", null],
  ])("reads %j as %j", (typed, value) => expect(readAmount(typed, 1, 4000)).toBe(value));

  it("keeps cents", () => expect(readAmount("12.345", 0, 100, 2)).toBe(12.35));
});

it("makes the tag that is pasted", () => {
  expect(tag("https://chat.example.com", "bot_1")).toBe(
    '<script async src="https://chat.example.com/widget/v1/loader.js" data-bot="bot_1"></script>',
  );
});

it("keeps text on any accent readable", () => {
  expect(accentColours("#5b5bd6")).toEqual({ background: "#5b5bd6", text: "#ffffff" });
  expect(accentColours("#ffee00").text).not.toBe("#ffffff");
  expect(accentColours("nonsense")).toEqual(accentColours("#5b5bd6"));
});
