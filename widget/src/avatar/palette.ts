import { Color } from "three";
import type { Look } from "./looks";

/** Every colour of the character, named by what it paints; all are derived from the look. */
export type Slot =
  | "skin"
  | "blush"
  | "nose"
  | "lid"
  | "skinShade"
  | "hair"
  | "hairShade"
  | "hairLight"
  | "brow"
  | "lash"
  | "iris"
  | "irisRim"
  | "irisLight"
  | "pupil"
  | "white"
  | "whiteShade"
  | "glint"
  | "lip"
  | "lipEdge"
  | "mouth"
  | "teeth"
  | "teethShade"
  | "tongue"
  | "cloth"
  | "clothShade"
  | "clothLight"
  | "shirt"
  | "string"
  | "pin"
  | "accent"
  | "accentLight"
  | "metal"
  | "black";
export type Palette = Readonly<Record<Slot, Color>>;

const colour = (hex: string): Color => new Color(hex);
const tint = (c: Color, r: number, g: number, b: number): Color => new Color(c.r * r, c.g * g, c.b * b);
const mix = (a: Color, b: Color, t: number): Color => a.clone().lerp(b, t);
const luminance = (c: Color): number => 0.2126 * c.r + 0.7152 * c.g + 0.0722 * c.b;

/** Light skin blushes rosy; dark skin warms and deepens instead, so one multiply serves all. */
function skinTones(skin: Color): Pick<Palette, "skin" | "blush" | "nose" | "lid" | "skinShade"> {
  const light = Math.min(1, luminance(skin) * 2);
  return {
    skin,
    blush: tint(skin, 1.04 + (1 - light) * 0.22, 0.52 + (1 - light) * 0.14, 0.54 + (1 - light) * 0.1),
    nose: tint(skin, 1.02, 0.8, 0.76),
    lid: tint(skin, 0.92, 0.8, 0.78),
    skinShade: tint(skin, 0.72, 0.52, 0.5),
  };
}

/** Blond and grey brows need more darkening than black ones to be read. */
function hairTones(hair: Color): Pick<Palette, "hair" | "hairShade" | "hairLight" | "brow" | "lash"> {
  const bright = Math.min(1, luminance(hair) * 3);
  return {
    hair,
    hairShade: tint(hair, 0.5, 0.46, 0.5),
    hairLight: mix(hair, colour("#ffffff"), 0.1 + 0.12 * bright),
    brow: tint(hair, 0.75 - 0.4 * bright, 0.7 - 0.42 * bright, 0.7 - 0.42 * bright),
    lash: mix(tint(hair, 0.2, 0.18, 0.2), colour("#1b1216"), 0.6),
  };
}

/** The pin is gold, or white on clothes too close to gold. */
function pinOf(cloth: Color): Color {
  const gold = colour("#f6bf45");
  const far = Math.hypot(cloth.r - gold.r, cloth.g - gold.g, cloth.b - gold.b);
  return far > 0.35 ? gold : colour("#fff6e4");
}

/** All colours of a look, in linear light as vertex colours need them. */
export function paletteOf(look: Look): Palette {
  const white = colour("#ffffff");
  const eyes = colour(look.eyes);
  const lips = colour(look.lips);
  const cloth = colour(look.cloth);
  const accent = colour(look.accent);
  return {
    ...skinTones(colour(look.skin)),
    ...hairTones(colour(look.hair)),
    iris: eyes,
    irisRim: tint(eyes, 0.16, 0.18, 0.2),
    irisLight: mix(tint(eyes, 1.7, 1.7, 1.7), white, 0.14),
    pupil: colour("#0c0b12"),
    white: colour("#fdfbfa"),
    whiteShade: colour("#a9a3bd"),
    glint: white,
    lip: lips,
    lipEdge: mix(lips, colour(look.skin), 0.35),
    mouth: tint(lips, 0.16, 0.08, 0.1),
    teeth: colour("#fffaf5"),
    teethShade: colour("#d9cfd0"),
    tongue: mix(lips, colour("#ef7480"), 0.65),
    cloth,
    clothShade: tint(cloth, 0.55, 0.52, 0.58),
    clothLight: mix(cloth, white, 0.12),
    shirt: colour("#f6f1ee"),
    string: colour("#efeaf4"),
    pin: pinOf(cloth),
    accent,
    accentLight: mix(accent, white, 0.3),
    metal: colour("#d5d8e2"),
    black: colour("#23222b"),
  };
}
