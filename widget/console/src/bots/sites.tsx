import { ActionIcon, Alert, Button, Stack, Text, TextInput } from "@mantine/core";
import { type FormEvent, type ReactNode, useState } from "react";
import { Icon } from "../icons";
import { Section, Snippet } from "../pieces";
import type { Editing } from "./editor";

const ORIGIN = /^https?:\/\/(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*(:[0-9]{1,5})?$/;
const MAX_ORIGINS = 50;

/** What was typed or pasted as an origin: a whole address is cut down to it, https is assumed; null when it is none. */
export function readOrigin(typed: string): string | null {
  const plain = typed.trim().toLowerCase();
  const whole = /^https?:\/\//.test(plain) ? plain : `https://${plain}`;
  const origin = whole.replace(/^(https?:\/\/[^/?#]*).*$/, "$1");
  return ORIGIN.test(origin) ? origin : null;
}

/** The one line to paste; everything else about the bot is configured here, so the line never changes. */
export function tag(server: string, botId: string): string {
  return `<script async src="${server}/widget/v1/loader.js" data-bot="${botId}"></script>`;
}

function inlineTag(server: string, botId: string): string {
  return [
    `<script async src="${server}/widget/v1/loader.js"></script>`,
    `<parlour-chat bot="${botId}" mode="inline" style="height:600px"></parlour-chat>`,
  ].join("\n");
}

function policy(server: string): string {
  return `script-src ${server}; connect-src ${server} ${server.replace(/^http/, "ws")}`;
}

/** Where the bot may appear, and what to paste there. */
export function Sites(editing: Editing): ReactNode {
  const server = location.origin;
  const { bot, config } = editing;
  const unsaved = config.allowed_origins !== bot.config.allowed_origins;
  return (
    <>
      <Section title="Allowed sites" lead="The chat answers only on these origins. Everywhere else it stays hidden.">
        <Origins {...editing} />
      </Section>
      <Section
        title="Add it to a site"
        lead="One line, anywhere in the page. It loads after your page and shows a launcher in the corner."
      >
        <Stack>
          <Snippet code={tag(server, bot.id)} label="The line to paste" />
          {bot.config.allowed_origins.length === 0 && (
            <Alert color="yellow" variant="light" icon={<Icon name="alert" />}>
              {unsaved
                ? "Save the allowed sites before you paste it."
                : "Allow a site first, or the chat stays hidden there."}
            </Alert>
          )}
        </Stack>
      </Section>
      <Section title="Inside the page" lead="Instead of the launcher: the chat as a part of your layout.">
        <Snippet code={inlineTag(server, bot.id)} label="The inline form to paste" />
      </Section>
      <Section title="Strict sites" lead="If your page has a Content Security Policy, add these two directives.">
        <Snippet code={policy(server)} label="The policy to add" />
      </Section>
    </>
  );
}

function Origins({ config, set, error }: Editing): ReactNode {
  const [typed, setTyped] = useState("");
  const [wrong, setWrong] = useState<string | null>(null);
  const origins = config.allowed_origins;
  const add = (event: FormEvent) => {
    event.preventDefault();
    const origin = readOrigin(typed);
    if (!origin) return setWrong("Write an origin such as https://shop.example or https://*.shop.example.");
    if (origins.includes(origin)) return setWrong("This site is on the list already.");
    set("allowed_origins", [...origins, origin]);
    setTyped("");
  };
  return (
    <Stack>
      <form onSubmit={add} className="add-row" noValidate>
        <TextInput
          className="grow"
          label="Site"
          placeholder="https://shop.example"
          inputMode="url"
          autoCapitalize="none"
          autoCorrect="off"
          spellCheck={false}
          value={typed}
          onChange={(event) => {
            setTyped(event.currentTarget.value);
            setWrong(null);
          }}
          error={wrong}
          description="Exact, or with *. in front for every subdomain."
          inputWrapperOrder={["label", "input", "error", "description"]}
        />
        <Button type="submit" variant="default" disabled={!typed.trim() || origins.length >= MAX_ORIGINS}>
          Allow
        </Button>
      </form>
      {origins.length === 0 ? (
        <Text size="sm" c="dimmed">
          No site is allowed yet.
        </Text>
      ) : (
        <ul className="rows">
          {origins.map((origin, index) => (
            <li key={origin}>
              <Icon name="globe" size={16} />
              <span className="grow">
                <span className="break">{origin}</span>
                {error(`allowed_origins.${index}`) && (
                  <Text size="xs" c="var(--mantine-color-error)">
                    {error(`allowed_origins.${index}`)}
                  </Text>
                )}
              </span>
              <ActionIcon
                variant="subtle"
                color="gray"
                aria-label={`Remove ${origin}`}
                onClick={() =>
                  set(
                    "allowed_origins",
                    origins.filter((other) => other !== origin),
                  )
                }
              >
                <Icon name="cross" size={16} />
              </ActionIcon>
            </li>
          ))}
        </ul>
      )}
      {error("allowed_origins") && !origins.some((_origin, index) => error(`allowed_origins.${index}`)) && (
        <Text size="xs" c="var(--mantine-color-error)" role="alert">
          {error("allowed_origins")}
        </Text>
      )}
    </Stack>
  );
}
