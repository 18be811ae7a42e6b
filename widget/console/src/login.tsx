import { Button, PasswordInput, Stack, Text, TextInput, Title } from "@mantine/core";
import { useDocumentTitle } from "@mantine/hooks";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, type ReactNode, useState } from "react";
import { Redirect, useSearchParams } from "wouter";
import { asProblem } from "./api";
import { Mark } from "./icons";
import type { Session } from "./resources";
import { enter, SESSION, useApi, useSession } from "./session";
import { Failure } from "./states";

/** Where to go after signing in: a path of this console, never another site. */
export function safeNext(next: string | null): string {
  return next && /^\/[\w\-/?=&.%]*$/.test(next) && !next.startsWith("//") ? next : "/bots";
}

export default function Login(): ReactNode {
  const api = useApi();
  const queries = useQueryClient();
  const session = useSession();
  const [search] = useSearchParams();
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  useDocumentTitle("Sign in · Parlour");
  const signIn = useMutation({
    mutationFn: () => api.post<Session>("/v1/session", { email: email.trim(), password }),
    onSuccess: (opened) => queries.setQueryData(SESSION, enter(api, opened)),
  });
  if (session.data) return <Redirect to={safeNext(search.get("next"))} replace />;

  const problem = signIn.error && asProblem(signIn.error);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    signIn.mutate();
  };
  return (
    <main className="login">
      <form className="card login-card" onSubmit={submit} noValidate>
        <Stack gap="md">
          <div>
            <Mark size={44} />
            <Title order={1} size="h2" mt="md">
              Sign in to Parlour
            </Title>
            <Text c="dimmed" size="sm" mt={4}>
              Your bots, what they know and what people ask them.
            </Text>
          </div>
          {problem && !problem.at("email") && !problem.at("password") && <Failure failure={problem} />}
          <TextInput
            label="E-mail"
            type="email"
            name="email"
            autoComplete="username"
            autoFocus
            required
            withAsterisk={false}
            value={email}
            onChange={(event) => setEmail(event.currentTarget.value)}
            error={problem?.at("email")}
          />
          <PasswordInput
            label="Password"
            name="password"
            autoComplete="current-password"
            required
            withAsterisk={false}
            value={password}
            onChange={(event) => setPassword(event.currentTarget.value)}
            error={problem?.at("password")}
            visibilityToggleButtonProps={{ "aria-label": "Show password", tabIndex: 0 }}
          />
          <Button type="submit" size="md" fullWidth loading={signIn.isPending} disabled={!email.trim() || !password}>
            Sign in
          </Button>
          <Text size="xs" c="dimmed">
            Started with <code>parlour serve --demo</code>? The owner's address and password were printed in that
            terminal.
          </Text>
        </Stack>
      </form>
    </main>
  );
}
