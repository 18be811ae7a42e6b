import { ActionIcon, Anchor, Menu, Tabs, Text } from "@mantine/core";
import { useDisclosure, useHotkeys } from "@mantine/hooks";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useMemo } from "react";
import { Link, useLocation } from "wouter";
import { fieldPath, Problem } from "../api";
import { Knowledge } from "../documents/knowledge";
import { ago } from "../format";
import { Icon } from "../icons";
import { Confirm, CopyAction, Heading } from "../pieces";
import type { Bot, BotConfig } from "../resources";
import { useApi } from "../session";
import { Empty, Failure, Loading } from "../states";
import { type Section, useDrafts } from "./draft";
import { Face } from "./face";
import { Look } from "./look";
import { Persona } from "./persona";
import { BOTS, botKey, useBot } from "./queries";
import { fieldError, SaveBar, useSave } from "./save";
import { Sites } from "./sites";
import { Try } from "./try";

/** What a tab that edits is given. */
export interface Editing {
  readonly bot: Bot;
  readonly config: BotConfig;
  readonly set: <Key extends Section>(key: Key, value: BotConfig[Key]) => void;
  readonly error: (path: string) => string | null;
}

interface Tab {
  readonly name: string;
  readonly label: string;
  readonly sections: readonly Section[];
  readonly panel: (editing: Editing) => ReactNode;
}

const TABS: readonly Tab[] = [
  {
    name: "persona",
    label: "Persona",
    sections: ["name", "persona", "greeting", "starters", "languages", "providers", "model", "limits"],
    panel: (editing) => <Persona {...editing} />,
  },
  {
    name: "look",
    label: "Look",
    sections: ["theme", "avatar", "animations"],
    panel: (editing) => <Look {...editing} />,
  },
  { name: "sites", label: "Sites", sections: ["allowed_origins"], panel: (editing) => <Sites {...editing} /> },
  { name: "knowledge", label: "Knowledge", sections: [], panel: ({ bot }) => <Knowledge botId={bot.id} /> },
  {
    name: "try",
    label: "Try it",
    sections: [],
    panel: ({ bot, config }) => <Try bot={bot} dirty={config !== bot.config} />,
  },
];

export default function BotEditor({ id, tab }: { id: string; tab: string }): ReactNode {
  const bot = useBot(id);
  if (bot.isPending) return <Loading label="Loading the bot…" />;
  if (bot.data) return <Editor bot={bot.data} tab={tab} />;
  if (bot.error instanceof Problem && bot.error.status === 404) {
    return (
      <Empty
        icon="bot"
        title="This bot does not exist"
        action={
          <Anchor component={Link} href="/bots">
            All bots
          </Anchor>
        }
      >
        It was deleted, or the address is wrong.
      </Empty>
    );
  }
  return <Failure failure={bot.error} retry={() => void bot.refetch()} />;
}

function Editor({ bot, tab }: { bot: Bot; tab: string }): ReactNode {
  const [, navigate] = useLocation();
  const { update } = useDrafts();
  const save = useSave(bot);
  const config = save.draft?.config ?? bot.config;
  useHotkeys([["mod+S", save.save]], [], true);
  const editing = useMemo<Editing>(
    () => ({
      bot,
      config,
      set: (key, value) =>
        update(bot.id, (present) => {
          const draft = present ?? { base: bot, config: bot.config };
          return { ...draft, config: { ...draft.config, [key]: value } };
        }),
      error: (path) => fieldError(save, path),
    }),
    [bot, config, update, save],
  );
  const shown = TABS.find(({ name }) => name === tab) ?? TABS[0];
  const wrong = new Set(save.draft ? save.problem?.errors.map(({ pointer }) => fieldPath(pointer).split("/")[1]) : []);
  return (
    <>
      <Anchor component={Link} href="/bots" size="sm" c="dimmed" className="back">
        <Icon name="back" size={15} /> Bots
      </Anchor>
      <Heading
        title={bot.config.name}
        before={<Face accent={config.theme.accent} size={48} />}
        lead={
          <>
            <code className="id">{bot.id}</code>
            <CopyAction value={bot.id} label="Copy the bot's id" />
            <span>
              version {bot.version}, saved {ago(bot.updated_at)}
            </span>
          </>
        }
        actions={<BotMenu bot={bot} />}
      />
      <Tabs
        value={shown?.name ?? null}
        onChange={(name) => name && navigate(`/bots/${bot.id}/${name}`)}
        keepMounted={false}
      >
        <Tabs.List className="tabs">
          {TABS.map(({ name, label, sections }) => (
            <Tabs.Tab key={name} value={name}>
              {label}
              {sections.some((section) => wrong.has(section)) && (
                <span className="tab-wrong" role="img" aria-label="has an error" />
              )}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        {shown && (
          <Tabs.Panel value={shown.name} className="tab-panel">
            {shown.panel(editing)}
          </Tabs.Panel>
        )}
      </Tabs>
      <SaveBar save={save} />
    </>
  );
}

function BotMenu({ bot }: { bot: Bot }): ReactNode {
  const api = useApi();
  const queries = useQueryClient();
  const { update } = useDrafts();
  const [, navigate] = useLocation();
  const [asking, { open, close }] = useDisclosure(false);
  const remove = useMutation({
    mutationFn: () => api.delete(`/v1/bots/${encodeURIComponent(bot.id)}`, { version: bot.version }),
    onSuccess: async () => {
      update(bot.id, () => null);
      await queries.invalidateQueries({ queryKey: BOTS });
      navigate("/bots");
      queries.removeQueries({ queryKey: botKey(bot.id) });
    },
  });
  return (
    <>
      <Menu>
        <Menu.Target>
          <ActionIcon variant="default" size="lg" aria-label="More about this bot">
            <Icon name="more" />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item
            component={Link}
            href={`/conversations?bot_id=${bot.id}`}
            leftSection={<Icon name="chat" size={16} />}
          >
            Its conversations
          </Menu.Item>
          <Menu.Divider />
          <Menu.Item color="red" leftSection={<Icon name="trash" size={16} />} onClick={open}>
            Delete bot…
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
      <Confirm
        opened={asking}
        title={`Delete ${bot.config.name}?`}
        action="Delete bot"
        busy={remove.isPending}
        failure={remove.error}
        onClose={close}
        onConfirm={() => remove.mutate()}
      >
        <Text span inherit>
          Its documents and settings are deleted and the chat disappears from every site it is on. This cannot be
          undone.
        </Text>
      </Confirm>
    </>
  );
}
