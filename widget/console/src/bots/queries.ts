import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import type { Page } from "../api";
import type { Bot } from "../resources";
import { useApi } from "../session";

export const BOTS = ["bots"] as const;
export const botKey = (id: string) => ["bot", id] as const;

export function useBots() {
  const api = useApi();
  return useInfiniteQuery({
    queryKey: BOTS,
    queryFn: ({ pageParam, signal }) =>
      api.get<Page<Bot>>("/v1/bots", { query: { limit: 50, cursor: pageParam }, signal }),
    initialPageParam: "",
    getNextPageParam: (last) => (last.has_more ? last.next_cursor : null),
  });
}

export function useBot(id: string) {
  const api = useApi();
  return useQuery({
    queryKey: botKey(id),
    queryFn: ({ signal }) => api.get<Bot>(`/v1/bots/${encodeURIComponent(id)}`, { signal }),
  });
}
