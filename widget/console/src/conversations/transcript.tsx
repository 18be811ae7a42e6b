import { Button, Text } from "@mantine/core";
import type { ReactNode } from "react";
import { count, moment, money } from "../format";
import type { Conversation, Message } from "../resources";
import { Empty, Failure, Loading } from "../states";
import { MessageItem } from "./message";
import { useMessages } from "./queries";

export function Transcript({ id, about }: { id: string; about: Conversation | undefined }): ReactNode {
  const messages = useMessages(id);
  if (messages.isPending) return <Loading label="Loading the transcript…" />;
  const all = messages.data?.pages.flatMap((page) => page.data) ?? [];
  if (messages.isError && all.length === 0)
    return <Failure failure={messages.error} retry={() => void messages.refetch()} />;
  if (all.length === 0) {
    return (
      <Empty icon="chat" title="Nothing was said">
        The visitor opened the chat and wrote nothing.
      </Empty>
    );
  }
  return (
    <>
      <div className="transcript-top">
        <Text size="sm" fw={500}>
          {moment((about ?? all[0])?.created_at ?? "")}
        </Text>
        <Text size="sm" c="dimmed">
          {totals(all)}
        </Text>
      </div>
      <ol className="transcript">
        {all.map((message) => (
          <MessageItem key={message.id} message={message} />
        ))}
      </ol>
      {messages.hasNextPage && (
        <Button variant="default" loading={messages.isFetchingNextPage} onClick={() => void messages.fetchNextPage()}>
          Show more
        </Button>
      )}
    </>
  );
}

/** "6 messages, $0.0012". */
function totals(messages: readonly Message[]): string {
  const cost = messages.reduce((sum, message) => sum + (message.cost_nanousd ?? 0), 0);
  return `${count(messages.length, "message")}, ${money(cost)}`;
}
