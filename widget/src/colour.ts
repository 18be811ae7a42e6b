/** Colours that stay readable whatever accent a tenant picks (WCAG 2.2 contrast). */

export type Rgb = readonly [number, number, number];

const HEX = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i;
const BLACK: Rgb = [0, 0, 0];
const WHITE: Rgb = [255, 255, 255];
const INK: Rgb = [17, 19, 28];

export function parseHex(value: string): Rgb | null {
  const found = HEX.exec(value);
  return found ? [parse(found[1]), parse(found[2]), parse(found[3])] : null;
}

function parse(pair: string | undefined): number {
  return Number.parseInt(pair ?? "0", 16);
}

export function toHex(colour: Rgb): string {
  return `#${colour.map((part) => Math.round(part).toString(16).padStart(2, "0")).join("")}`;
}

/** Relative luminance, 0 (black) to 1 (white). */
export function luminance([red, green, blue]: Rgb): number {
  return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
}

function linear(part: number): number {
  const share = part / 255;
  return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
}

/** Contrast ratio, 1 to 21. */
export function contrast(one: Rgb, other: Rgb): number {
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b) as [number, number];
  return (light + 0.05) / (dark + 0.05);
}

export function mix(one: Rgb, other: Rgb, share: number): Rgb {
  return [0, 1, 2].map((i) => Math.round((one[i] ?? 0) * (1 - share) + (other[i] ?? 0) * share)) as unknown as Rgb;
}

/** A background near `accent` and the text colour that reads on it at 4.5:1 or better. */
export function filled(accent: Rgb): { readonly background: Rgb; readonly text: Rgb } {
  if (contrast(accent, WHITE) < 3) return { background: accent, text: INK };
  return { background: readable(accent, WHITE), text: WHITE };
}

/** `colour` moved toward black or white just far enough to reach `ratio` against `background`. */
export function readable(colour: Rgb, background: Rgb, ratio = 4.5): Rgb {
  const goal = luminance(background) > 0.4 ? BLACK : WHITE;
  for (let share = 0; share < 1; share += 0.04) {
    const tried = mix(colour, goal, share);
    if (contrast(tried, background) >= ratio) return tried;
  }
  return goal;
}

/** White or near-black, whichever shows on `accent` (`#rrggbb`); a rough measure that is enough for an icon. */
export function textOn(accent: string): string {
  const value = Number.parseInt(accent.slice(1), 16);
  return (value >> 16) * 4 + ((value >> 8) & 255) * 10 + (value & 255) > 1600 ? "#11131c" : "#fff";
}
