import { Button, Group, Modal, Stack, Textarea, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, type ReactNode, useRef, useState } from "react";
import { useLocation } from "wouter";
import { asProblem, newKey } from "../api";
import type { Bot } from "../resources";
import { useApi } from "../session";
import { Failure } from "../states";
import { BOTS, botKey } from "./queries";

export function CreateBot({ opened, onClose }: { opened: boolean; onClose: () => void }): ReactNode {
  return (
    <Modal opened={opened} onClose={onClose} title="Create a bot">
      {opened && <CreateForm onClose={onClose} />}
    </Modal>
  );
}

function CreateForm({ onClose }: { onClose: () => void }): ReactNode {
  const api = useApi();
  const queries = useQueryClient();
  const [, navigate] = useLocation();
  const [name, setName] = useState("");
  const [persona, setPersona] = useState("");
  // One key per filled form: a double click or a repeated try after a lost answer makes one bot, not two.
  const attempt = useRef({ body: "", key: "" });
  const create = useMutation({
    mutationFn: () => {
      const config = { name: name.trim(), ...(persona.trim() ? { persona: persona.trim() } : {}) };
      const body = JSON.stringify(config);
      if (attempt.current.body !== body) attempt.current = { body, key: newKey() };
      return api.post<Bot>("/v1/bots", { config }, { idempotencyKey: attempt.current.key });
    },
    onSuccess: (bot) => {
      queries.setQueryData(botKey(bot.id), bot);
      void queries.invalidateQueries({ queryKey: BOTS });
      onClose();
      navigate(`/bots/${bot.id}`);
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
        {problem && !problem.at("name") && !problem.at("persona") && <Failure failure={problem} />}
        <TextInput
          label="Name"
          description="Visitors see it above the chat."
          placeholder="Nova"
          data-autofocus
          maxLength={80}
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
          error={problem?.at("name")}
        />
        <Textarea
          label="Persona"
          description="Who it is, how it speaks, what it must not do. You can change this at any time."
          placeholder="You help the customers of a small bicycle shop. You are warm, precise and brief."
          autosize
          minRows={3}
          maxRows={8}
          maxLength={8000}
          value={persona}
          onChange={(event) => setPersona(event.currentTarget.value)}
          error={problem?.at("persona")}
        />
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" loading={create.isPending} disabled={!name.trim()}>
            Create bot
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
