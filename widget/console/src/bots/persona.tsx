import {
  ActionIcon,
  Button,
  Group,
  MultiSelect,
  Select,
  SimpleGrid,
  Slider,
  Stack,
  Switch,
  TagsInput,
  Text,
  Textarea,
  TextInput,
} from "@mantine/core";
import { type ReactNode, useMemo } from "react";
import { Icon } from "../icons";
import { Section } from "../pieces";
import { Amount } from "./amount";
import type { Editing } from "./editor";

const COMMON_LANGUAGES =
  "en es fr de it pt pt-BR nl pl sv da nb fi cs sk hu ro bg el tr uk ru ar he fa hi bn ur id ms th vi zh-CN zh-TW ja ko".split(
    " ",
  );
const MAX_STARTERS = 6;
const NANO = 1_000_000_000;

/** Who the bot is, how it opens, and how the model behind it is asked. */
export function Persona(editing: Editing): ReactNode {
  return (
    <>
      <Identity {...editing} />
      <Welcome {...editing} />
      <Model {...editing} />
      <Limits {...editing} />
    </>
  );
}

function Identity({ config, set, error }: Editing): ReactNode {
  const languages = useMemo(() => languageChoices(config.languages), [config.languages]);
  return (
    <Section
      title="Persona"
      lead="Who speaks. Every answer starts from this text, so say what it should do and what it must not."
    >
      <Stack>
        <TextInput
          label="Name"
          maxLength={80}
          value={config.name}
          onChange={(event) => set("name", event.currentTarget.value)}
          error={error("name") ?? (config.name.trim() === "" && "A bot needs a name.")}
        />
        <Textarea
          label="Persona"
          autosize
          minRows={6}
          maxRows={18}
          maxLength={8000}
          value={config.persona}
          onChange={(event) => set("persona", event.currentTarget.value)}
          error={error("persona")}
          description={`${config.persona.length.toLocaleString("en-US")} of 8,000 characters`}
          inputWrapperOrder={["label", "input", "error", "description"]}
        />
        <MultiSelect
          label="Languages"
          description="The first one is used until the visitor writes in another."
          data={languages}
          value={[...config.languages]}
          onChange={(value) => set("languages", value)}
          searchable
          hidePickedOptions
          nothingFoundMessage="No such language"
          error={error("languages") ?? (config.languages.length === 0 && "Choose at least one language.")}
        />
      </Stack>
    </Section>
  );
}

function languageChoices(present: readonly string[]) {
  const names = new Intl.DisplayNames("en", { type: "language" });
  return [...new Set([...COMMON_LANGUAGES, ...present])].map((value) => ({ value, label: names.of(value) ?? value }));
}

function Welcome({ config, set, error }: Editing): ReactNode {
  const starters = config.starters;
  const change = (index: number, text: string) => set("starters", starters.with(index, text));
  return (
    <Section
      title="Welcome"
      lead="What a visitor sees before the first question. Starters are sent as written when clicked."
    >
      <Stack>
        <Textarea
          label="Greeting"
          autosize
          minRows={2}
          maxLength={500}
          value={config.greeting}
          onChange={(event) => set("greeting", event.currentTarget.value)}
          error={error("greeting")}
        />
        <fieldset className="plain">
          <legend>Starters</legend>
          {starters.length === 0 && (
            <Text size="sm" c="dimmed" mb="xs">
              None yet. Two or three real questions help people begin.
            </Text>
          )}
          <Stack gap="xs">
            {starters.map((starter, index) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: a starter is its place in the list; its text changes at every key.
              <Group key={index} gap="xs" wrap="nowrap" align="start">
                <TextInput
                  className="grow"
                  aria-label={`Starter ${index + 1}`}
                  placeholder="What are your opening hours?"
                  maxLength={120}
                  value={starter}
                  onChange={(event) => change(index, event.currentTarget.value)}
                  error={error(`starters.${index}`) ?? (starter.trim() === "" && "Write something or remove it.")}
                />
                <ActionIcon
                  variant="subtle"
                  color="gray"
                  size={36}
                  aria-label={`Remove starter ${index + 1}`}
                  onClick={() => set("starters", starters.toSpliced(index, 1))}
                >
                  <Icon name="cross" size={16} />
                </ActionIcon>
              </Group>
            ))}
          </Stack>
          <Button
            mt="xs"
            variant="subtle"
            size="compact-sm"
            leftSection={<Icon name="plus" size={14} />}
            disabled={starters.length >= MAX_STARTERS}
            onClick={() => set("starters", [...starters, ""])}
          >
            Add starter
          </Button>
        </fieldset>
      </Stack>
    </Section>
  );
}

function Model({ config, set, error }: Editing): ReactNode {
  const { model } = config;
  const own = model.temperature !== null;
  return (
    <Section
      title="Model"
      lead="Which models answer, in which order, and how freely they write. The defaults are good."
    >
      <Stack gap="lg">
        <TagsInput
          label="Provider chain"
          description="Tried from first to last. Leave it empty to use the server's own chain."
          placeholder={config.providers.length === 0 ? "Server's own chain" : ""}
          maxTags={12}
          splitChars={[",", " "]}
          value={[...config.providers]}
          onChange={(value) => set("providers", value)}
          error={error("providers")}
        />
        <div>
          <Switch
            label="Set the temperature"
            description={own ? "" : "Off: each provider uses its own default."}
            checked={own}
            onChange={(event) => set("model", { ...model, temperature: event.currentTarget.checked ? 0.4 : null })}
          />
          {own && (
            <Slider
              mt="md"
              mb="lg"
              min={0}
              max={2}
              step={0.1}
              value={model.temperature ?? 0}
              onChange={(value) => set("model", { ...model, temperature: Math.round(value * 10) / 10 })}
              marks={[
                { value: 0, label: "exact" },
                { value: 1, label: "lively" },
                { value: 2, label: "wild" },
              ]}
              thumbProps={{ "aria-label": "Temperature" }}
              label={(value) => value.toFixed(1)}
            />
          )}
          {error("model.temperature") && (
            <Text size="xs" c="var(--mantine-color-error)">
              {error("model.temperature")}
            </Text>
          )}
        </div>
        <Amount
          label="Longest answer"
          unit="tokens"
          low={16}
          high={8192}
          value={model.max_output_tokens}
          onChange={(value) => set("model", { ...model, max_output_tokens: value })}
          error={error("model.max_output_tokens")}
        />
      </Stack>
    </Section>
  );
}

function Limits({ config, set, error }: Editing): ReactNode {
  const { limits } = config;
  const change = (part: Partial<typeof limits>) => set("limits", { ...limits, ...part });
  const budget = limits.monthly_budget_nanousd;
  return (
    <Section title="Limits" lead="How much one visitor may ask, and how much the bot may spend in a month.">
      <Stack>
        <SimpleGrid cols={{ base: 1, xs: 2 }}>
          <Amount
            label="Messages a minute"
            unit="per visitor"
            low={1}
            high={600}
            value={limits.messages_per_minute}
            onChange={(value) => change({ messages_per_minute: value })}
            error={error("limits.messages_per_minute")}
          />
          <Amount
            label="Longest message"
            unit="characters"
            low={1}
            high={4000}
            value={limits.max_message_chars}
            onChange={(value) => change({ max_message_chars: value })}
            error={error("limits.max_message_chars")}
          />
        </SimpleGrid>
        <Select
          label="A message sent while an answer is running"
          allowDeselect={false}
          data={[
            { value: "queue", label: "waits for its turn" },
            { value: "replace", label: "stops that answer and is answered instead" },
            { value: "reject", label: "is refused" },
          ]}
          value={limits.while_answering}
          onChange={(value) => value && change({ while_answering: value as typeof limits.while_answering })}
          error={error("limits.while_answering")}
        />
        <Switch
          label="Monthly budget for this bot"
          description={budget === null ? "Off: only the account's budget applies." : "0 means it may spend nothing."}
          checked={budget !== null}
          onChange={(event) => change({ monthly_budget_nanousd: event.currentTarget.checked ? 10 * NANO : null })}
        />
        {budget !== null && (
          <Amount
            label="Budget"
            unit="US dollars a month"
            low={0}
            high={9_000_000}
            decimals={2}
            value={budget / NANO}
            onChange={(value) => change({ monthly_budget_nanousd: Math.round(value * NANO) })}
            error={error("limits.monthly_budget_nanousd")}
          />
        )}
      </Stack>
    </Section>
  );
}
