import { ColorInput, SegmentedControl, Select, SimpleGrid, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { LOOKS } from "../../../src/avatar/looks";
import { contrast, parseHex } from "../../../src/colour";
import { words } from "../format";
import { Section } from "../pieces";
import { ANIMATIONS, type Animation, type BotConfig, OCCASIONS, type Occasion } from "../resources";
import { useApi } from "../session";
import type { Editing } from "./editor";
import { accentColours } from "./face";
import { Portrait } from "./portrait";
import { Preview } from "./preview";

const SWATCHES = [
  "#5b5bd6",
  "#2563eb",
  "#0891b2",
  "#0f9d7a",
  "#65a30d",
  "#d97706",
  "#e5484d",
  "#d6409f",
  "#8e4ec6",
  "#334155",
];

const OCCASION_NAMES: Readonly<Record<Occasion, string>> = {
  positive: "Good mood",
  negative: "Bad mood",
  neutral: "Everything else",
  greeting: "Greeting",
  farewell: "Goodbye",
  explanation: "Explaining",
  question: "Asking",
};

/** How the chat and its character look on a page. */
export function Look(editing: Editing): ReactNode {
  return (
    <div className="look">
      <div className="look-fields">
        <ThemeFields {...editing} />
        <AvatarFields {...editing} />
        <Gestures {...editing} />
      </div>
      <aside className="look-preview" aria-label="Preview">
        <Preview config={editing.config} />
      </aside>
    </div>
  );
}

interface ChoiceProps<Value extends string> {
  label: string;
  value: Value;
  choices: readonly { value: Value; label: string }[];
  onChange: (value: Value) => void;
}

function Choice<Value extends string>({ label, value, choices, onChange }: ChoiceProps<Value>): ReactNode {
  return (
    <fieldset className="plain">
      <legend>{label}</legend>
      <SegmentedControl
        fullWidth
        data={[...choices]}
        value={value}
        onChange={(next) => onChange(next as Value)}
        aria-label={label}
      />
    </fieldset>
  );
}

function ThemeFields({ config, set, error }: Editing): ReactNode {
  const { theme } = config;
  const change = (part: Partial<BotConfig["theme"]>) => set("theme", { ...theme, ...part });
  return (
    <Section title="Theme" lead="Colours and place of the chat on your page.">
      <Stack>
        <ColorInput
          label="Accent"
          description={contrastNote(theme.accent)}
          format="hex"
          swatches={SWATCHES}
          swatchesPerRow={10}
          value={theme.accent}
          onChange={(accent) => change({ accent })}
          error={error("theme.accent") ?? (parseHex(theme.accent) === null && "A colour is written #rrggbb.")}
        />
        <Choice
          label="Light or dark"
          value={theme.mode}
          choices={[
            { value: "auto", label: "As the page" },
            { value: "light", label: "Light" },
            { value: "dark", label: "Dark" },
          ]}
          onChange={(mode) => change({ mode })}
        />
        <Choice
          label="Corner"
          value={theme.position}
          choices={[
            { value: "left", label: "Left" },
            { value: "right", label: "Right" },
          ]}
          onChange={(position) => change({ position })}
        />
      </Stack>
    </Section>
  );
}

/** Says when the widget will use another colour than the one picked, and why. */
function contrastNote(accent: string): string {
  const picked = parseHex(accent);
  if (!picked) return "The colour of the launcher, the visitor's messages and links.";
  const { background } = accentColours(accent);
  if (background === accent.toLowerCase()) return `The colour of the launcher, the visitor's messages and links.`;
  const ratio = contrast(picked, [255, 255, 255]).toFixed(1);
  return `White text on it has a contrast of only ${ratio}:1, so filled areas use ${background}.`;
}

function AvatarFields({ config, set, error }: Editing): ReactNode {
  const { avatar } = config;
  const known = useLooks();
  const names = known.includes(avatar.look) ? known : [...known, avatar.look];
  return (
    <Section
      title="Avatar"
      lead="The character that listens, thinks and speaks. It loads after the chat and never delays it."
    >
      <Stack>
        <Choice
          label="Kind"
          value={avatar.kind}
          choices={[
            { value: "3d", label: "3D" },
            { value: "2d", label: "Flat" },
            { value: "none", label: "None" },
          ]}
          onChange={(kind) => set("avatar", { ...avatar, kind })}
        />
        {avatar.kind !== "none" && (
          <fieldset className="plain">
            <legend>Look</legend>
            <SimpleGrid cols={{ base: 2, xs: 4 }} spacing="xs">
              {names.map((name) => (
                <label key={name} className="look-choice">
                  <input
                    type="radio"
                    name="look"
                    value={name}
                    checked={name === avatar.look}
                    onChange={() => set("avatar", { ...avatar, look: name })}
                  />
                  <Portrait look={name} accent={config.theme.accent} size={60} />
                  <span>{words(name)}</span>
                </label>
              ))}
            </SimpleGrid>
            {error("avatar") && (
              <Text size="xs" c="var(--mantine-color-error)" mt={4}>
                {error("avatar")}
              </Text>
            )}
          </fieldset>
        )}
      </Stack>
    </Section>
  );
}

/** The presets the server offers; until it says so, those that this build can draw. */
function useLooks(): readonly string[] {
  const api = useApi();
  const looks = useQuery({
    queryKey: ["avatar-looks"],
    queryFn: ({ signal }) => api.get<{ data: string[] }>("/v1/avatar-looks", { signal }),
    staleTime: Number.POSITIVE_INFINITY,
  });
  return looks.data?.data ?? Object.keys(LOOKS);
}

const GESTURES = [
  { value: "", label: "Built-in choice" },
  ...ANIMATIONS.map((value) => ({ value, label: words(value) })),
];

function Gestures({ config, set, error }: Editing): ReactNode {
  const change = (occasion: Occasion, value: string | null) => {
    const { [occasion]: _dropped, ...rest } = config.animations;
    set("animations", value ? { ...rest, [occasion]: value as Animation } : rest);
  };
  return (
    <Section title="Gestures" lead="What the avatar does, by what is being said. The built-in choices suit most bots.">
      <SimpleGrid cols={{ base: 1, xs: 2 }}>
        {OCCASIONS.map((occasion) => (
          <Select
            key={occasion}
            label={OCCASION_NAMES[occasion]}
            allowDeselect={false}
            data={GESTURES}
            value={config.animations[occasion] ?? ""}
            onChange={(value) => change(occasion, value)}
            error={error(`animations.${occasion}`)}
          />
        ))}
      </SimpleGrid>
    </Section>
  );
}
