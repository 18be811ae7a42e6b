/** A bot's documents, kept current by the server: a list first, then every change as it happens. */

import { type QueryClient, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import type { Client, Page } from "../api";
import type { BotDocument } from "../resources";
import { useApi } from "../session";

export const documentsKey = (botId: string) => ["documents", botId] as const;

type List = readonly BotDocument[];

/** Newest first; the order stays put while a document's progress moves. */
export function sorted(list: List): List {
  return [...list].sort((a, b) => b.created_at.localeCompare(a.created_at) || b.id.localeCompare(a.id));
}

/** The list with `document` put in or in place of its former state; an older state never covers a newer one. */
export function withDocument(list: List, document: BotDocument): List {
  const former = list.find(({ id }) => id === document.id);
  if (former && former.updated_at > document.updated_at) return list;
  return sorted([...list.filter(({ id }) => id !== document.id), document]);
}

export function withoutDocument(list: List, id: string): List {
  return list.filter((document) => document.id !== id);
}

async function readAll(api: Client, botId: string, signal: AbortSignal): Promise<List> {
  const all: BotDocument[] = [];
  let cursor: string | null = null;
  do {
    const query = { limit: 100, cursor };
    const page: Page<BotDocument> = await api.get(`/v1/bots/${encodeURIComponent(botId)}/documents`, { query, signal });
    all.push(...page.data);
    cursor = page.has_more ? page.next_cursor : null;
  } while (cursor);
  return sorted(all);
}

export function changeDocuments(queries: QueryClient, botId: string, change: (list: List) => List): void {
  queries.setQueryData<List>(documentsKey(botId), (list) => change(list ?? []));
}

const RETRY_MS = 3000;
const SNAPSHOT_LIMIT = 100;

/** A snapshot is the whole list unless it is as long as one may be; then all pages are read. */
async function takeSnapshot(queries: QueryClient, botId: string, data: List): Promise<void> {
  const queryKey = documentsKey(botId);
  if (data.length >= SNAPSHOT_LIMIT) return queries.invalidateQueries({ queryKey });
  // A list read before the snapshot must not arrive after it.
  void queries.cancelQueries({ queryKey });
  changeDocuments(queries, botId, () => sorted(data));
}

/** Listens to the server's events; returns the function that stops it. */
function listen(botId: string, queries: QueryClient, tell: (live: boolean) => void): () => void {
  let source: EventSource;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const change = (next: (list: List) => List) => changeDocuments(queries, botId, next);
  const on = <T>(name: string, act: (data: T) => void) =>
    source.addEventListener(name, (event) => act(JSON.parse((event as MessageEvent<string>).data) as T));
  const open = () => {
    source = new EventSource(`/v1/bots/${encodeURIComponent(botId)}/documents/events`);
    source.onopen = () => tell(true);
    source.onerror = () => {
      tell(false);
      // The browser reconnects by itself after a broken connection, not after a refusal.
      if (source.readyState !== EventSource.CLOSED) return;
      void queries.invalidateQueries({ queryKey: documentsKey(botId) });
      timer = setTimeout(open, RETRY_MS);
    };
    on<{ data: List }>("snapshot", ({ data }) => void takeSnapshot(queries, botId, data));
    on<BotDocument>("document", (document) => change((list) => withDocument(list, document)));
    on<{ id: string }>("removed", ({ id }) => change((list) => withoutDocument(list, id)));
  };
  open();
  return () => {
    clearTimeout(timer);
    source.close();
  };
}

/** The documents and whether they are live at this moment. */
export function useDocuments(botId: string) {
  const api = useApi();
  const queries = useQueryClient();
  const [live, setLive] = useState(true);
  useEffect(() => listen(botId, queries, setLive), [botId, queries]);
  const list = useQuery({
    queryKey: documentsKey(botId),
    queryFn: ({ signal }) => readAll(api, botId, signal),
    refetchInterval: live ? false : RETRY_MS,
  });
  return { list, live };
}
