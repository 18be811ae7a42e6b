import { Anchor, Button, Select, Skeleton, Stack, Text } from "@mantine/core";
import type { ReactNode } from "react";
import { Link, useSearchParams } from "wouter";
import { useBots } from "../bots/queries";
import { ago, moment } from "../format";
import { Icon } from "../icons";
import { Heading } from "../pieces";
import type { Bot, Conversation } from "../resources";
import { Empty, Failure } from "../states";
import { useConversations } from "./queries";
import { Transcript } from "./transcript";

/** Everything visitors said: the list on the left, one transcript on the right. */
export default function Conversations({ id }: { id: string | null }): ReactNode {
  const [search, setSearch] = useSearchParams();
  const botId = search.get("bot_id");
  const bots = useBots();
  const known = bots.data?.pages.flatMap((page) => page.data) ?? [];
  const conversations = useConversations(botId);
  const all = conversations.data?.pages.flatMap((page) => page.data) ?? [];
  const query = botId ? `?bot_id=${encodeURIComponent(botId)}` : "";
  const choose = (value: string | null) => setSearch(value ? { bot_id: value } : {}, { replace: true });
  return (
    <>
      <Heading
        title="Conversations"
        lead="What visitors asked, what was answered, from which source and at what cost."
        actions={
          known.length > 1 && (
            <Select
              aria-label="Bot"
              placeholder="All bots"
              clearable
              w={200}
              data={known.map((bot) => ({ value: bot.id, label: bot.config.name }))}
              value={botId}
              onChange={choose}
            />
          )
        }
      />
      {conversations.isError && all.length === 0 && (
        <Failure failure={conversations.error} retry={() => void conversations.refetch()} />
      )}
      {conversations.isSuccess && all.length === 0 && !id ? (
        <Nothing bot={known.find((bot) => bot.id === botId) ?? known[0]} filtered={botId !== null} />
      ) : (
        <div className="inbox" data-open={id !== null || undefined}>
          <nav className="card inbox-list" aria-label="Conversations">
            {conversations.isPending && <Placeholders />}
            <ul>
              {all.map((conversation) => (
                <Row
                  key={conversation.id}
                  conversation={conversation}
                  bots={known}
                  query={query}
                  open={conversation.id === id}
                />
              ))}
            </ul>
            {conversations.hasNextPage && (
              <Button
                variant="subtle"
                fullWidth
                loading={conversations.isFetchingNextPage}
                onClick={() => void conversations.fetchNextPage()}
              >
                Show more
              </Button>
            )}
          </nav>
          <section className="card inbox-transcript" aria-label="Transcript">
            {id ? (
              <>
                <Anchor
                  component={Link}
                  href={`/conversations${query}`}
                  size="sm"
                  c="dimmed"
                  className="back inbox-back"
                >
                  <Icon name="back" size={15} /> All conversations
                </Anchor>
                <Transcript key={id} id={id} about={all.find((conversation) => conversation.id === id)} />
              </>
            ) : (
              <Empty icon="chat" title="Choose a conversation">
                The transcript shows the mood, the intent, the sources used and what every answer cost.
              </Empty>
            )}
          </section>
        </div>
      )}
    </>
  );
}

function Row({
  conversation,
  bots,
  query,
  open,
}: {
  conversation: Conversation;
  bots: readonly Bot[];
  query: string;
  open: boolean;
}): ReactNode {
  const bot = bots.find(({ id }) => id === conversation.bot_id);
  return (
    <li>
      <Link
        href={`/conversations/${conversation.id}${query}`}
        className="inbox-row"
        aria-current={open ? "true" : undefined}
      >
        <span className="inbox-row-top">
          <Text span fw={500} size="sm" truncate>
            {visitorName(conversation.visitor_id)}
          </Text>
          <Text span size="xs" c="dimmed" title={moment(conversation.updated_at)}>
            {ago(conversation.updated_at)}
          </Text>
        </span>
        <Text span size="xs" c="dimmed" truncate>
          {[bot?.config.name, page(conversation.page), conversation.locale].filter(Boolean).join(" · ") ||
            conversation.channel}
        </Text>
      </Link>
    </li>
  );
}

/** "vis_01JX…8QZ" as "Visitor 8QZ4": nobody is named, two are still told apart. */
export function visitorName(id: string): string {
  return `Visitor ${id.slice(-4).toUpperCase()}`;
}

/** A page's address without its scheme and query. */
function page(address: string | null): string | null {
  return (
    address
      ?.replace(/^https?:\/\//, "")
      .replace(/[?#].*$/, "")
      .replace(/\/$/, "") || null
  );
}

function Nothing({ bot, filtered }: { bot: Bot | undefined; filtered: boolean }): ReactNode {
  const next = bot && (
    <Button
      component={Link}
      href={`/bots/${bot.id}/${bot.config.allowed_origins.length ? "try" : "sites"}`}
      variant="light"
    >
      {bot.config.allowed_origins.length ? `Try ${bot.config.name}` : `Put ${bot.config.name} on a site`}
    </Button>
  );
  return (
    <Empty icon="chat" title={filtered ? "Nobody has talked to this bot yet" : "No conversations yet"} action={next}>
      As soon as somebody writes, the conversation appears here.
    </Empty>
  );
}

function Placeholders(): ReactNode {
  return (
    <Stack gap={8} p="sm" role="status" aria-label="Loading conversations">
      {["one", "two", "three", "four"].map((name) => (
        <Skeleton key={name} height={48} radius="md" />
      ))}
    </Stack>
  );
}
