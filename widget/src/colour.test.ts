import { describe, expect, it } from "vitest";
import { contrast, filled, parseHex, type Rgb, textOn, toHex } from "./colour";
import { accentTokens, pageTokens } from "./ui/theme";

const every: string[] = [];
for (let r = 0; r < 256; r += 51)
  for (let g = 0; g < 256; g += 51) for (let b = 0; b < 256; b += 51) every.push(toHex([r, g, b]));
const rgb = (value: string | undefined) => parseHex(value ?? "") as Rgb;

describe("contrast", () => {
  it("knows black on white", () => expect(contrast([0, 0, 0], [255, 255, 255])).toBeCloseTo(21));

  it("of a filled shape and its text is 4.5:1 for any accent", () => {
    for (const accent of every) {
      const { background, text } = filled(rgb(accent));
      expect(contrast(background, text), accent).toBeGreaterThanOrEqual(4.5);
    }
  });

  it.each([
    [false, [255, 255, 255]],
    [true, [23, 24, 33]],
  ] as [boolean, Rgb][])("of accent text is 4.5:1, dark: %s", (dark, ground) => {
    for (const accent of every) {
      const tokens = accentTokens(accent, dark);
      const text = rgb(tokens["--accent-text"]);
      expect(contrast(text, ground), accent).toBeGreaterThanOrEqual(4.5);
      expect(contrast(text, rgb(tokens["--accent-soft"])), accent).toBeGreaterThanOrEqual(4.5);
      expect(contrast(rgb(tokens["--focus"]), ground), accent).toBeGreaterThanOrEqual(3);
    }
  });

  it("of the launcher's icon is 3:1", () => {
    for (const accent of every)
      expect(
        contrast(rgb(accent), rgb(textOn(accent) === "#fff" ? "#ffffff" : "#11131c")),
        accent,
      ).toBeGreaterThanOrEqual(3);
  });
});

it("a page's tokens are custom properties and nothing else", () => {
  expect(pageTokens({ radius: "8px", "x;y": "1", bg: "red;color:blue", font: "url(<x>)", Shadow: "none" })).toEqual({
    "--parlour-radius": "8px",
  });
});
