import { describe, expect, it } from "vitest";
import { type Options, readOptions } from "./options";

function read(given: Record<string, unknown>): [Options | null, string[]] {
  const warnings: string[] = [];
  return [
    readOptions(
      (name) => given[name],
      (text) => warnings.push(text),
    ),
    warnings,
  ];
}

describe("the tag's attributes", () => {
  it("are read and typed", () => {
    const [options, warnings] = read({
      bot: "bot_01JX",
      mode: "inline",
      offsetX: "12",
      theme: "dark",
      accent: "#aBcDeF",
      open: "true",
      unknown: "x",
    });
    expect(options).toEqual({
      bot: "bot_01JX",
      mode: "inline",
      offsetX: 12,
      theme: "dark",
      accent: "#aBcDeF",
      open: "true",
    });
    expect(warnings).toEqual([]);
  });

  it.each([
    ["label", "<b>hi</b>"],
    ["label", "x".repeat(1_000_000)],
    ["accent", "red;background:url(x)"],
    ["accent", "var(--x)"],
    ["mode", "popup9"],
    ["locale", "../../x"],
    ["offsetX", "-5"],
    ["offsetX", "1e9"],
    ["theme", "javascript:1"],
    ["id", "a b"],
    ["position", "top"],
  ])("%s with a bad value is ignored with one warning", (name, value) => {
    const [options, warnings] = read({ bot: "bot_1", [name]: value });
    expect(options).toEqual({ bot: "bot_1" });
    expect(warnings).toHaveLength(1);
  });

  it.each(["", undefined, "../x", "<script>", "a".repeat(65)])("no bot without a usable id: %s", (bot) => {
    expect(read({ bot })[0]).toBeNull();
  });
});
