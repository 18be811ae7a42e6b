/** Saving a bot: If-Match, what the server refused, and what to do when somebody else saved first. */

import { Alert, Button, Group, List, Text } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useEffect, useState } from "react";
import { asProblem, type Client, fieldPath, type Problem } from "../api";
import { Icon } from "../icons";
import type { Bot } from "../resources";
import { useApi } from "../session";
import { changed, type Draft, edits, rebase, type Section, settle, useDrafts } from "./draft";
import { BOTS, botKey } from "./queries";

const SECTION_NAMES: Readonly<Record<Section, string>> = {
  name: "name",
  persona: "persona",
  greeting: "greeting",
  starters: "starters",
  languages: "languages",
  providers: "provider chain",
  model: "model settings",
  theme: "theme",
  avatar: "avatar",
  animations: "gestures",
  allowed_origins: "sites",
  limits: "limits",
};

function send(api: Client, draft: Draft): Promise<Bot> {
  const path = `/v1/bots/${encodeURIComponent(draft.base.id)}`;
  return api.patch<Bot>(path, { config: edits(draft) }, { version: draft.base.version });
}

export function useSave(bot: Bot) {
  const api = useApi();
  const queries = useQueryClient();
  const { drafts, update } = useDrafts();
  const draft = drafts.get(bot.id);
  const save = useMutation({
    mutationFn: (sent: Draft) => send(api, sent),
    onSuccess: (saved, sent) => {
      queries.setQueryData(botKey(bot.id), saved);
      void queries.invalidateQueries({ queryKey: BOTS });
      update(bot.id, (present) => (present ? settle(present, sent, saved) : null));
    },
  });
  const refetch = useMutation({
    mutationFn: () => api.get<Bot>(`/v1/bots/${encodeURIComponent(bot.id)}`),
    onSuccess: (fresh) => queries.setQueryData(botKey(bot.id), fresh),
  });

  const discard = () => {
    save.reset();
    update(bot.id, () => null);
  };
  const takeTheirs = () => refetch.mutate(undefined, { onSuccess: discard });
  const keepMine = () =>
    refetch.mutate(undefined, {
      onSuccess: (fresh) => {
        if (!draft) return;
        const rebased = rebase(draft, fresh);
        update(bot.id, () => rebased);
        save.mutate(rebased);
      },
    });
  return {
    draft,
    save: () => draft && save.mutate(draft),
    discard,
    takeTheirs,
    keepMine,
    saving: save.isPending,
    reloading: refetch.isPending,
    saved: save.isSuccess && !draft ? save.data.version : null,
    problem: save.error ? asProblem(save.error) : refetch.error ? asProblem(refetch.error) : null,
    sent: save.variables,
  };
}

export type Save = ReturnType<typeof useSave>;

/** The refused field's text, until that field is edited again. */
export function fieldError(save: Save, path: string): string | null {
  const section = path.split(".")[0] as Section;
  const untouched = save.sent && save.draft && save.sent.config[section] === save.draft.config[section];
  return untouched ? (save.problem?.at(path) ?? null) : null;
}

export function SaveBar({ save }: { save: Save }): ReactNode {
  const { draft, problem } = save;
  if (!draft) return <Said key={save.saved} version={save.saved} />;
  return (
    <section className="save-bar" aria-label="Unsaved changes">
      {problem?.status === 412 ? <Conflict save={save} draft={draft} /> : problem && <Refused problem={problem} />}
      <div className="save-row">
        <div className="save-what" role="status">
          <Text fw={600} size="sm">
            Unsaved changes
          </Text>
          <Text size="xs" c="dimmed" truncate>
            {changed(draft)
              .map((key) => SECTION_NAMES[key])
              .join(", ")}
          </Text>
        </div>
        {problem?.status !== 412 && (
          <Group gap="xs" wrap="nowrap">
            <Button variant="default" onClick={save.discard} disabled={save.saving}>
              Discard
            </Button>
            <Button onClick={save.save} loading={save.saving}>
              Save
            </Button>
          </Group>
        )}
      </div>
    </section>
  );
}

const SAID_MS = 4000;

/** Says that it was saved, for a moment. */
function Said({ version }: { version: number | null }): ReactNode {
  const [fresh, setFresh] = useState(true);
  useEffect(() => {
    const timer = setTimeout(() => setFresh(false), SAID_MS);
    return () => clearTimeout(timer);
  }, []);
  return (
    <div role="status" className="save-said">
      {version !== null && fresh && (
        <span>
          <Icon name="check" size={16} /> Saved as version {version}
        </span>
      )}
    </div>
  );
}

function Conflict({ save, draft }: { save: Save; draft: Draft }): ReactNode {
  return (
    <Alert
      color="yellow"
      variant="light"
      icon={<Icon name="alert" />}
      title="Somebody else saved this bot meanwhile"
      role="alert"
    >
      <Text size="sm">
        You edited version {draft.base.version}; a newer one exists. Nothing of yours is lost. Keeping your changes puts
        only the parts you edited on top of the newer version.
      </Text>
      <Group gap="xs" mt="sm">
        <Button size="xs" onClick={save.keepMine} loading={save.reloading || save.saving}>
          Keep my changes and save
        </Button>
        <Button size="xs" variant="default" onClick={save.takeTheirs} disabled={save.reloading || save.saving}>
          Drop mine, load the newer version
        </Button>
      </Group>
    </Alert>
  );
}

function Refused({ problem }: { problem: Problem }): ReactNode {
  return (
    <Alert color="red" variant="light" icon={<Icon name="alert" />} title="Not saved" role="alert">
      {problem.errors.length === 0 && <Text size="sm">{problem.message}</Text>}
      {problem.errors.length > 0 && (
        <List size="sm" mt={4}>
          {problem.errors.map((error) => (
            <List.Item key={`${error.pointer} ${error.code}`}>
              <b>{placeName(error.pointer)}</b>: {error.detail}
            </List.Item>
          ))}
        </List>
      )}
      {problem.requestId && (
        <Text size="xs" c="dimmed" mt={4}>
          Request {problem.requestId}
        </Text>
      )}
    </Alert>
  );
}

/** "/config/theme/accent" as "theme, accent". */
function placeName(pointer: string): string {
  const [section = "", ...rest] = fieldPath(pointer).split("/").filter(Boolean);
  const name = SECTION_NAMES[section as Section] ?? section;
  const inner = rest.map((part) => (/^\d+$/.test(part) ? `no. ${Number(part) + 1}` : part.replaceAll("_", " ")));
  return [name, ...inner].join(", ") || "form";
}
