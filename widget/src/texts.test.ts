import { describe, expect, it } from "vitest";
import { chooseLanguage, errorText, TEXTS, textsFor } from "./texts";
import { sayable } from "./ui/announcer";

describe("the language", () => {
  it.each([
    ["what was asked for", "fr", "en", ["de"], ["en", "fr"], "fr"],
    ["the page's", undefined, "de-AT", ["fr"], ["en", "de"], "de"],
    ["the browser's", "auto", "", ["es-MX", "en"], ["en", "es"], "es"],
    ["one the bot speaks", undefined, "fr", ["fr"], ["de"], "de"],
    ["English where we know none", "xx", "", [], ["xx"], "en"],
  ] as const)("%s", (_name, asked, page, browser, spoken, wanted) => {
    expect(chooseLanguage(asked, page, browser, spoken)).toBe(wanted);
  });

  it("every row says something everywhere", () => {
    for (const texts of Object.values(TEXTS)) {
      for (const value of [...Object.values(texts), ...Object.values(texts.errors)]) {
        if (typeof value === "string") expect(value.trim()).not.toBe("");
      }
    }
  });

  it("unknown errors have a text", () => expect(errorText(textsFor("de-CH"), "??")).toBe("Etwas ist schiefgegangen."));
});

describe("what the live region may say", () => {
  it.each([
    ["no sentence yet", "Hello the", 0, false, 0],
    ["a sentence", "Hello there. How a", 0, false, 12],
    ["the next one", "Hello there. How are you? F", 12, false, 25],
    ["not inside a number", "It costs 3.5", 0, false, 0],
    ["all of it at the end", "Hello the", 0, true, 9],
  ] as const)("%s", (_name, text, from, finished, wanted) => expect(sayable(text, from, finished)).toBe(wanted));
});
