/** A person to draw: seven colours, a haircut and one accessory. Colours are `#rrggbb`. */
export interface Look {
  readonly skin: string;
  readonly hair: string;
  readonly eyes: string;
  readonly lips: string;
  readonly cloth: string;
  readonly accent: string;
  readonly hairStyle: HairStyle;
  readonly accessory: Accessory;
}

export type HairStyle = "bob" | "short" | "long" | "bun" | "curly";
export type Accessory = "headset" | "glasses" | "none";

/** The presets a tenant can pick by name; `indigo` is the one used when nothing is chosen. */
export const LOOKS: Readonly<Record<string, Look>> = {
  indigo: {
    skin: "#eab08c",
    hair: "#43323f",
    eyes: "#3f9c98",
    lips: "#c9575c",
    cloth: "#5b55d6",
    accent: "#4a45bd",
    hairStyle: "bob",
    accessory: "headset",
  },
  fern: {
    skin: "#8a5236",
    hair: "#2a2022",
    eyes: "#6b4a2c",
    lips: "#a8484c",
    cloth: "#1f8f6b",
    accent: "#f2b84b",
    hairStyle: "curly",
    accessory: "none",
  },
  coral: {
    skin: "#f6cdb6",
    hair: "#cf7a34",
    eyes: "#4f9a6a",
    lips: "#d0605c",
    cloth: "#e8593f",
    accent: "#d94a35",
    hairStyle: "bun",
    accessory: "headset",
  },
  amber: {
    skin: "#bd8053",
    hair: "#241d22",
    eyes: "#5a3d28",
    lips: "#b1524c",
    cloth: "#e0a030",
    accent: "#3b4a63",
    hairStyle: "short",
    accessory: "glasses",
  },
  slate: {
    skin: "#f0c3a2",
    hair: "#a9adb5",
    eyes: "#4b7fb5",
    lips: "#c26660",
    cloth: "#42607f",
    accent: "#2f4760",
    hairStyle: "short",
    accessory: "headset",
  },
  plum: {
    skin: "#f3c7a2",
    hair: "#2b2430",
    eyes: "#5b3b30",
    lips: "#cc5566",
    cloth: "#96498f",
    accent: "#7a3574",
    hairStyle: "long",
    accessory: "none",
  },
};

const DEFAULT_LOOK = "indigo";
const HEX = /^#[0-9a-f]{6}$/i;
const COLOURS = ["skin", "hair", "eyes", "lips", "cloth", "accent"] as const;
const STYLES: readonly string[] = ["bob", "short", "long", "bun", "curly"] satisfies HairStyle[];
const ACCESSORIES: readonly string[] = ["headset", "glasses", "none"] satisfies Accessory[];

/** Resolves a preset name or part of a look; unknown names and bad values fall back to the default look. */
export function resolveLook(choice: string | Partial<Look> | undefined, accent?: string): Look {
  const named = typeof choice === "string" ? LOOKS[choice] : undefined;
  const start = named ?? (LOOKS[DEFAULT_LOOK] as Look);
  const look: Record<string, string> = { ...start, ...(typeof choice === "object" ? choice : {}) };
  if (accent !== undefined && HEX.test(accent)) look.cloth = look.accent = accent;
  for (const key of COLOURS) if (!HEX.test(look[key] ?? "")) look[key] = start[key];
  if (!STYLES.includes(look.hairStyle ?? "")) look.hairStyle = start.hairStyle;
  if (!ACCESSORIES.includes(look.accessory ?? "")) look.accessory = start.accessory;
  return look as unknown as Look;
}
