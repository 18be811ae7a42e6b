import { Group, Skeleton, Stack, Text } from "@mantine/core";
import type { ReactNode } from "react";
import { count } from "../format";
import type { BotDocument } from "../resources";
import { Failure } from "../states";
import { DropZone } from "./drop";
import { useDocuments } from "./feed";
import { DocumentRow, UploadRow } from "./row";
import { useUploads } from "./uploads";

/** What the bot knows: upload, watch it being read, retry, delete. */
export function Knowledge({ botId }: { botId: string }): ReactNode {
  const { list, live } = useDocuments(botId);
  const { queue, uploads } = useUploads(botId);
  const documents = list.data ?? [];
  const nothing = list.isSuccess && documents.length === 0 && uploads.length === 0;
  return (
    <Stack gap="lg">
      <DropZone onFiles={(files) => queue.add(botId, files)} />
      {list.isError && documents.length === 0 && <Failure failure={list.error} retry={() => void list.refetch()} />}
      <div>
        <Group justify="space-between" mb="xs" mih={24}>
          <Text size="sm" c="dimmed" role="status">
            {summary(documents)}
          </Text>
          {!live && (
            <Text size="xs" c="dimmed" role="status">
              Live updates are interrupted; reconnecting…
            </Text>
          )}
        </Group>
        {list.isPending && <Skeleton height={72} radius="lg" role="status" aria-label="Loading documents" />}
        {nothing && (
          <Text c="dimmed" ta="center" py="xl">
            Nothing yet. Upload a handbook, a price list or your FAQ, then ask about it under “Try it”.
          </Text>
        )}
        {(documents.length > 0 || uploads.length > 0) && (
          <ul className="card documents">
            {uploads.map((upload) => (
              <UploadRow key={upload.key} upload={upload} queue={queue} />
            ))}
            {documents.map((document) => (
              <DocumentRow key={document.id} document={document} />
            ))}
          </ul>
        )}
      </div>
    </Stack>
  );
}

/** "3 documents, 412 chunks, 1 being read". */
export function summary(documents: readonly BotDocument[]): string {
  if (documents.length === 0) return "";
  const chunks = documents.reduce((sum, { chunk_count }) => sum + chunk_count, 0);
  const working = documents.filter(({ status }) => ["queued", "parsing", "embedding"].includes(status)).length;
  const failed = documents.filter(({ status }) => status === "failed").length;
  const parts = [count(documents.length, "document"), count(chunks, "chunk")];
  if (working > 0) parts.push(`${working} being read`);
  if (failed > 0) parts.push(`${failed} failed`);
  return parts.join(", ");
}
