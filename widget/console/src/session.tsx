/** Who is signed in: one query, and the client every screen talks through. */

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext, useEffect } from "react";
import { type Client, Problem } from "./api";
import type { Session } from "./resources";

const ApiContext = createContext<Client | null>(null);

export const SESSION = ["session"] as const;

/** The client of this console. */
export function useApi(): Client {
  const client = useContext(ApiContext);
  if (!client) throw new Error("useApi needs an ApiProvider above it");
  return client;
}

export function ApiProvider({ client, children }: { client: Client; children: ReactNode }): ReactNode {
  const queries = useQueryClient();
  useEffect(() => {
    client.onSignedOut = () => {
      client.csrfToken = null;
      // The next member must not see a byte of what this one saw.
      queries.setQueryData(SESSION, null);
      queries.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== SESSION[0] && queryKey[0] !== "screen" });
    };
  }, [client, queries]);
  return <ApiContext value={client}>{children}</ApiContext>;
}

/** The open session, null when nobody is signed in. */
export async function readSession(client: Client): Promise<Session | null> {
  try {
    return enter(client, await client.get<Session>("/v1/session"));
  } catch (failure) {
    if (failure instanceof Problem && failure.status === 401) return null;
    throw failure;
  }
}

/** Remembers the token that every change must carry. */
export function enter(client: Client, session: Session): Session {
  client.csrfToken = session.csrf_token;
  return session;
}

export function useSession() {
  const api = useApi();
  return useQuery({ queryKey: SESSION, queryFn: () => readSession(api), staleTime: Number.POSITIVE_INFINITY });
}
