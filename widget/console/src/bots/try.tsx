import { Alert, Button, Group, Text } from "@mantine/core";
import { type ReactNode, useEffect, useState } from "react";
import { Problem } from "../api";
import { Icon } from "../icons";
import type { Bot } from "../resources";
import { Failure, Loading } from "../states";

declare module "react" {
  namespace JSX {
    interface IntrinsicElements {
      "parlour-chat": DetailedHTMLProps<HTMLAttributes<HTMLElement>, HTMLElement> & { bot: string; mode: "inline" };
    }
  }
}

const LOADER = "/widget/v1/loader.js";

/** Runs the same file a site runs, once a page; a failed load may be tried again. */
function loadWidget(): Promise<void> {
  if (customElements.get("parlour-chat")) return Promise.resolve();
  return new Promise((done, fail) => {
    const script = document.createElement("script");
    script.async = true;
    script.src = LOADER;
    script.onload = () => done();
    script.onerror = () => {
      script.remove();
      fail(new Error("The widget could not be loaded."));
    };
    document.head.append(script);
  });
}

type State = "loading" | "ready" | "failed" | "refused";

const TITLES = {
  failed: "The widget could not be started.",
  refused: "The server does not let this console use the bot. Add the console's own origin under Sites.",
} as const;

/** The real widget, talking to the saved bot over the real socket. */
export function Try({ bot, dirty }: { bot: Bot; dirty: boolean }): ReactNode {
  const [state, setState] = useState<State>("loading");
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    let gone = false;
    const tell = (next: State) => !gone && setState(next);
    tell("loading");
    loadWidget().then(
      () => tell("ready"),
      () => tell("failed"),
    );
    const refused = (event: Event) => {
      const { code } = (event as CustomEvent<{ code?: string }>).detail;
      if (code === "origin_not_allowed") tell("refused");
      else if (code === "unavailable" || code === "load_failed") tell("failed");
    };
    document.addEventListener("parlour:error", refused);
    return () => {
      gone = true;
      document.removeEventListener("parlour:error", refused);
    };
  }, [attempt]);
  const again = () => setAttempt(attempt + 1);
  return (
    <div className="try">
      <Group justify="space-between" mb="sm" gap="xs">
        <Text size="sm" c="dimmed">
          The real widget, answering from version {bot.version}. It counts like any visitor.
        </Text>
        <Button variant="default" size="xs" leftSection={<Icon name="refresh" size={14} />} onClick={again}>
          Reload the widget
        </Button>
      </Group>
      {dirty && (
        <Alert color="yellow" variant="light" mb="sm" icon={<Icon name="alert" />}>
          Your unsaved changes are not in it yet.
        </Alert>
      )}
      {state === "loading" && <Loading label="Loading the widget…" />}
      {(state === "failed" || state === "refused") && (
        <Failure failure={new Problem(0, { title: TITLES[state] })} retry={again} />
      )}
      {state === "ready" && (
        <parlour-chat key={`${bot.id} ${bot.version} ${attempt}`} bot={bot.id} mode="inline" className="try-chat" />
      )}
    </div>
  );
}
