import { Badge, Button, Skeleton, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { ago, moment } from "../format";
import { Icon } from "../icons";
import { Confirm, Heading } from "../pieces";
import type { ApiKey } from "../resources";
import { useApi } from "../session";
import { Empty, Failure } from "../states";
import { CreateKey } from "./create";
import { KEYS, useApiKeys } from "./queries";

export default function ApiKeys(): ReactNode {
  const [creating, { open, close }] = useDisclosure(false);
  const keys = useApiKeys();
  const all = keys.data?.pages.flatMap((page) => page.data) ?? [];
  const create = (
    <Button leftSection={<Icon name="plus" size={16} />} onClick={open}>
      Create key
    </Button>
  );
  return (
    <>
      <Heading
        title="API keys"
        lead="For your own servers and scripts. Never put a key into a web page: the chat needs none."
        actions={all.length > 0 && create}
      />
      {keys.isPending && <Skeleton height={72} radius="lg" role="status" aria-label="Loading keys" />}
      {keys.isError && all.length === 0 && <Failure failure={keys.error} retry={() => void keys.refetch()} />}
      {keys.isSuccess && all.length === 0 && (
        <Empty icon="key" title="No keys yet" action={create}>
          With a key, everything this console does can be done over the REST API.
        </Empty>
      )}
      {all.length > 0 && (
        <ul className="card documents">
          {all.map((key) => (
            <KeyRow key={key.id} apiKey={key} />
          ))}
        </ul>
      )}
      {keys.hasNextPage && (
        <Button mt="md" variant="default" loading={keys.isFetchingNextPage} onClick={() => void keys.fetchNextPage()}>
          Show more
        </Button>
      )}
      <CreateKey opened={creating} onClose={close} />
    </>
  );
}

function KeyRow({ apiKey }: { apiKey: ApiKey }): ReactNode {
  const api = useApi();
  const queries = useQueryClient();
  const [asking, { open, close }] = useDisclosure(false);
  const revoke = useMutation({
    mutationFn: () => api.delete(`/v1/api-keys/${encodeURIComponent(apiKey.id)}`),
    onSuccess: async () => {
      await queries.invalidateQueries({ queryKey: KEYS });
      close();
    },
  });
  const { name, last_four, created_at, expires_at, revoked_at, last_used_at } = apiKey;
  const expired = expires_at !== null && Date.parse(expires_at) < Date.now();
  const dead = revoked_at !== null || expired;
  return (
    <li className="document" data-dead={dead || undefined}>
      <span className="document-icon">
        <Icon name="key" size={20} />
      </span>
      <div className="document-main">
        <Text fw={500} truncate>
          {name}
        </Text>
        <div className="facts">
          <code>sk_live_…{last_four}</code>
          <span title={moment(created_at)}>created {ago(created_at)}</span>
          <span>{last_used_at ? `used ${ago(last_used_at)}` : "never used"}</span>
          {expires_at && !expired && <span>expires {ago(expires_at)}</span>}
        </div>
      </div>
      <Badge variant="light" color={dead ? "gray" : "teal"} className="document-status">
        {revoked_at ? "Revoked" : expired ? "Expired" : "Active"}
      </Badge>
      {!dead && (
        <Button size="xs" variant="light" color="red" onClick={open} aria-label={`Revoke ${name}`}>
          Revoke
        </Button>
      )}
      <Confirm
        opened={asking}
        title={`Revoke ${name}?`}
        action="Revoke key"
        busy={revoke.isPending}
        failure={revoke.error}
        onClose={close}
        onConfirm={() => revoke.mutate()}
      >
        Whatever still uses the key ending in {last_four} stops working at once. This cannot be undone.
      </Confirm>
    </li>
  );
}
