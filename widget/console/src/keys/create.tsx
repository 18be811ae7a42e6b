import { Alert, Button, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, type ReactNode, useRef, useState } from "react";
import { asProblem, newKey } from "../api";
import { Icon } from "../icons";
import { Snippet } from "../pieces";
import type { NewApiKey } from "../resources";
import { useApi } from "../session";
import { Failure } from "../states";
import { KEYS } from "./queries";

export function CreateKey({ opened, onClose }: { opened: boolean; onClose: () => void }): ReactNode {
  const [made, setMade] = useState<NewApiKey | null>(null);
  const close = () => {
    setMade(null);
    onClose();
  };
  return (
    <Modal
      opened={opened}
      onClose={close}
      title={made ? "Copy your key now" : "Create an API key"}
      closeOnClickOutside={!made}
      closeOnEscape={!made}
    >
      {opened && (made ? <Made made={made} onDone={close} /> : <CreateForm onMade={setMade} onClose={close} />)}
    </Modal>
  );
}

function CreateForm({ onMade, onClose }: { onMade: (key: NewApiKey) => void; onClose: () => void }): ReactNode {
  const api = useApi();
  const queries = useQueryClient();
  const [name, setName] = useState("");
  const attempt = useRef({ name: "", key: "" });
  const create = useMutation({
    mutationFn: () => {
      const wanted = name.trim();
      if (attempt.current.name !== wanted) attempt.current = { name: wanted, key: newKey() };
      return api.post<NewApiKey>("/v1/api-keys", { name: wanted }, { idempotencyKey: attempt.current.key });
    },
    onSuccess: (made) => {
      void queries.invalidateQueries({ queryKey: KEYS });
      onMade(made);
    },
  });
  const problem = create.error && asProblem(create.error);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    create.mutate();
  };
  return (
    <form onSubmit={submit} noValidate>
      <Stack>
        {problem && !problem.at("name") && <Failure failure={problem} />}
        <TextInput
          label="Name"
          description="Where it will be used, so that you know later which one to revoke."
          placeholder="Order system"
          data-autofocus
          maxLength={80}
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
          error={problem?.at("name")}
        />
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" loading={create.isPending} disabled={!name.trim()}>
            Create key
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

function Made({ made, onDone }: { made: NewApiKey; onDone: () => void }): ReactNode {
  return (
    <Stack>
      <Alert color="yellow" variant="light" icon={<Icon name="alert" />}>
        <Text size="sm">This is the only time the key is shown. Only a fingerprint of it is stored.</Text>
      </Alert>
      <Snippet code={made.key} label="Your new key" />
      <Group justify="flex-end">
        <Button onClick={onDone}>I have stored it</Button>
      </Group>
    </Stack>
  );
}
