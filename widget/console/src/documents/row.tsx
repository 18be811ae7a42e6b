import { ActionIcon, Badge, Button, Menu, Progress, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { ago, count, size, words } from "../format";
import { Icon } from "../icons";
import { Confirm } from "../pieces";
import type { BotDocument, DocumentStatus } from "../resources";
import { useApi } from "../session";
import { changeDocuments, withDocument } from "./feed";
import type { Upload, UploadQueue } from "./uploads";

const STATUS: Readonly<Record<DocumentStatus, { label: string; color: string; working: boolean }>> = {
  queued: { label: "Queued", color: "gray", working: true },
  parsing: { label: "Reading", color: "iris", working: true },
  embedding: { label: "Indexing", color: "iris", working: true },
  ready: { label: "Ready", color: "teal", working: false },
  failed: { label: "Failed", color: "red", working: false },
  deleting: { label: "Deleting", color: "gray", working: true },
};

/** Why it failed, for people: a bare code is spelled out. */
function reason(error: string | null): string {
  if (!error) return "It could not be read.";
  return /^[a-z0-9_]+$/.test(error) ? `${words(error)}.` : error;
}

export function DocumentRow({ document }: { document: BotDocument }): ReactNode {
  const api = useApi();
  const queries = useQueryClient();
  const [asking, { open, close }] = useDisclosure(false);
  const path = `/v1/documents/${encodeURIComponent(document.id)}`;
  const change = (next: Parameters<typeof changeDocuments>[2]) => changeDocuments(queries, document.bot_id, next);
  const reindex = useMutation({
    mutationFn: () => api.post<BotDocument | undefined>(`${path}/reindex`),
    onSuccess: (queued) => queued?.id && change((list) => withDocument(list, queued)),
  });
  const remove = useMutation({
    mutationFn: () => api.delete(path),
    onSuccess: () => {
      close();
      // It leaves the list when the server says that it is gone from every store.
      change((list) => list.map((one) => (one.id === document.id ? { ...one, status: "deleting" } : one)));
    },
  });
  const { label, color, working } = STATUS[document.status] ?? STATUS.queued;
  const percent = Math.round(document.progress * 100);
  const failed = document.status === "failed";
  return (
    <li className="document">
      <span className="document-icon">
        <Icon name="file" size={20} />
      </span>
      <div className="document-main">
        <Text fw={500} truncate title={document.name}>
          {document.title || document.name}
        </Text>
        <div className="facts">
          {document.title && document.title !== document.name && <span className="break">{document.name}</span>}
          <span>{size(document.size_bytes)}</span>
          {document.pages !== null && document.pages > 0 && <span>{count(document.pages, "page")}</span>}
          {document.chunk_count > 0 && <span>{count(document.chunk_count, "chunk")}</span>}
          <span>{ago(document.updated_at)}</span>
        </div>
        {(document.status === "parsing" || document.status === "embedding") && (
          <Progress
            value={percent}
            size="sm"
            mt={8}
            aria-label={`${label} ${document.name}`}
            transitionDuration={200}
          />
        )}
        {failed && (
          <Text size="sm" c="var(--mantine-color-error)" mt={4} role="alert">
            {reason(document.error)}
            {document.live_version > 0 && " The version before it still answers."}
          </Text>
        )}
        {reindex.isError && (
          <Text size="sm" c="var(--mantine-color-error)" mt={4} role="alert">
            {reindex.error.message}
          </Text>
        )}
      </div>
      <Badge variant="light" color={color} className="document-status">
        {working && percent > 0 && percent < 100 ? `${label} ${percent}%` : label}
      </Badge>
      {failed && (
        <Button size="xs" variant="light" loading={reindex.isPending} onClick={() => reindex.mutate()}>
          Retry
        </Button>
      )}
      <Menu>
        <Menu.Target>
          <ActionIcon variant="subtle" color="gray" size="lg" aria-label={`More about ${document.name}`}>
            <Icon name="more" />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item
            leftSection={<Icon name="refresh" size={16} />}
            disabled={working || reindex.isPending}
            onClick={() => reindex.mutate()}
          >
            Index again
          </Menu.Item>
          <Menu.Item
            color="red"
            leftSection={<Icon name="trash" size={16} />}
            disabled={document.status === "deleting"}
            onClick={open}
          >
            Delete…
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
      <Confirm
        opened={asking}
        title="Delete this document?"
        action="Delete"
        busy={remove.isPending}
        failure={remove.error}
        onClose={close}
        onConfirm={() => remove.mutate()}
      >
        “{document.title || document.name}” is removed everywhere and the bot stops answering from it at once.
      </Confirm>
    </li>
  );
}

export function UploadRow({ upload, queue }: { upload: Upload; queue: UploadQueue }): ReactNode {
  const { file, state, sent, problem, key } = upload;
  const percent = Math.round(sent * 100);
  return (
    <li className="document">
      <span className="document-icon">
        <Icon name="upload" size={20} />
      </span>
      <div className="document-main">
        <Text fw={500} truncate title={file.name}>
          {file.name}
        </Text>
        <div className="facts">
          <span>{size(file.size)}</span>
        </div>
        {state === "sending" && <Progress value={percent} size="sm" mt={8} aria-label={`Uploading ${file.name}`} />}
        {problem && (
          <Text size="sm" c="var(--mantine-color-error)" mt={4} role="alert">
            {problem.message}
          </Text>
        )}
      </div>
      <Badge variant="light" color={state === "failed" ? "red" : "gray"} className="document-status">
        {state === "sending" ? `Uploading ${percent}%` : state === "failed" ? "Not uploaded" : "Waiting"}
      </Badge>
      {state === "failed" && (
        <Button size="xs" variant="light" onClick={() => queue.retry(key)}>
          Retry
        </Button>
      )}
      {state !== "sending" && (
        <ActionIcon
          variant="subtle"
          color="gray"
          size="lg"
          aria-label={`Dismiss ${file.name}`}
          onClick={() => queue.dismiss(key)}
        >
          <Icon name="cross" size={16} />
        </ActionIcon>
      )}
    </li>
  );
}
