import { Badge, Button, SimpleGrid, Skeleton, Text, Title } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import type { ReactNode } from "react";
import { Link } from "wouter";
import { ago } from "../format";
import { Icon } from "../icons";
import { Heading } from "../pieces";
import type { Bot } from "../resources";
import { Empty, Failure } from "../states";
import { CreateBot } from "./create";
import { useDrafts } from "./draft";
import { Face } from "./face";
import { useBots } from "./queries";

export default function BotList(): ReactNode {
  const bots = useBots();
  const [creating, { open, close }] = useDisclosure(false);
  const all = bots.data?.pages.flatMap((page) => page.data) ?? [];
  const create = (
    <Button leftSection={<Icon name="plus" size={16} />} onClick={open}>
      Create bot
    </Button>
  );
  return (
    <>
      <Heading
        title="Bots"
        lead="Each bot has its own persona, look, knowledge and sites."
        actions={all.length > 0 && create}
      />
      {bots.isPending && <Placeholders />}
      {bots.isError && <Failure failure={bots.error} retry={() => void bots.refetch()} />}
      {bots.isSuccess && all.length === 0 && (
        <Empty icon="bot" title="Create your first bot" action={create}>
          Give it a name, upload what it should know, and paste one line into your site. It takes about five minutes.
        </Empty>
      )}
      <SimpleGrid cols={{ base: 1, md: 2, xl: 3 }} spacing="md">
        {all.map((bot) => (
          <BotCard key={bot.id} bot={bot} />
        ))}
      </SimpleGrid>
      {bots.hasNextPage && (
        <Button mt="lg" variant="default" loading={bots.isFetchingNextPage} onClick={() => void bots.fetchNextPage()}>
          Show more
        </Button>
      )}
      <CreateBot opened={creating} onClose={close} />
    </>
  );
}

function BotCard({ bot }: { bot: Bot }): ReactNode {
  const { drafts } = useDrafts();
  const { config } = bot;
  const sites = config.allowed_origins.length;
  return (
    <Link href={`/bots/${bot.id}`} className="card bot-card">
      <Face accent={config.theme.accent} size={46} />
      <div className="bot-card-text">
        <Title order={2} size="h5" lineClamp={1}>
          {config.name}
        </Title>
        <Text size="sm" c="dimmed" lineClamp={2} mt={2}>
          {config.persona || "No persona yet."}
        </Text>
        <div className="facts">
          <span>{config.languages.join(", ")}</span>
          <span>{sites === 0 ? "no site yet" : sites === 1 ? "1 site" : `${sites} sites`}</span>
          <span>edited {ago(bot.updated_at)}</span>
          {drafts.has(bot.id) && (
            <Badge size="sm" color="yellow" variant="light">
              Unsaved
            </Badge>
          )}
        </div>
      </div>
    </Link>
  );
}

function Placeholders(): ReactNode {
  return (
    <SimpleGrid cols={{ base: 1, md: 2, xl: 3 }} spacing="md" role="status" aria-label="Loading bots">
      {["one", "two", "three"].map((name) => (
        <Skeleton key={name} height={128} radius="lg" />
      ))}
    </SimpleGrid>
  );
}
