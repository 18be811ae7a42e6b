/** The look as custom properties: the tenant's accent made readable, light or dark as the page is. */

import { contrast, filled, luminance, mix, parseHex, type Rgb, readable, toHex } from "../colour";
import type { ThemeMode } from "../options";

const DEFAULT_ACCENT: Rgb = [91, 91, 214];
const LIGHT_BG: Rgb = [255, 255, 255];
const DARK_BG: Rgb = [23, 24, 33];
const TOKEN = /^[a-z][a-z-]{1,30}$/;
const TOKEN_VALUE = /^[^;{}<>\\]{1,200}$/;

/** Properties that follow from the accent. */
export function accentTokens(accent: string, dark: boolean): Record<string, string> {
  const colour = parseHex(accent) ?? DEFAULT_ACCENT;
  const ground = dark ? DARK_BG : LIGHT_BG;
  const { background, text } = filled(colour);
  const soft = mix(ground, colour, dark ? 0.2 : 0.1);
  return {
    "--accent": toHex(background),
    "--on-accent": toHex(text),
    "--accent-text": toHex(readable(readable(colour, ground), soft)),
    "--accent-soft": toHex(soft),
    "--accent-line": toHex(mix(ground, colour, dark ? 0.42 : 0.28)),
    "--focus": toHex(contrast(colour, ground) >= 3 ? colour : readable(colour, ground, 3)),
    "--stage-1": toHex(mix(ground, colour, dark ? 0.34 : 0.24)),
    "--stage-2": toHex(mix(ground, colour, dark ? 0.1 : 0.05)),
  };
}

/** Whether to be dark: as told, else as the page says it is, else as its background looks. */
export function isDark(mode: ThemeMode): boolean {
  if (mode !== "auto") return mode === "dark";
  const scheme = getComputedStyle(document.documentElement).colorScheme.split(" ");
  const [light, dark] = [scheme.includes("light"), scheme.includes("dark")];
  if (light || dark) return dark && (!light || matchMedia("(prefers-color-scheme: dark)").matches);
  return [document.body, document.documentElement].some((element) => element && looksDark(element));
}

function looksDark(element: HTMLElement): boolean {
  const parts = /^rgba?\((\d+)[, ]+(\d+)[, ]+(\d+)(?:[, /]+([\d.]+))?\)/.exec(
    getComputedStyle(element).backgroundColor,
  );
  if (!parts || Number(parts[4] ?? 1) < 0.5) return false;
  return luminance([Number(parts[1]), Number(parts[2]), Number(parts[3])]) < 0.18;
}

/** A page's own tokens (`setTheme({tokens: {radius: "8px"}})`), the harmless ones. */
export function pageTokens(tokens: Readonly<Record<string, string>>): Record<string, string> {
  const kept = Object.entries(tokens).filter(([name, value]) => TOKEN.test(name) && TOKEN_VALUE.test(value));
  return Object.fromEntries(kept.map(([name, value]) => [`--parlour-${name}`, value]));
}
