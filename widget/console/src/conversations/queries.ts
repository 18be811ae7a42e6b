import { useInfiniteQuery } from "@tanstack/react-query";
import type { Page } from "../api";
import type { Conversation, Message } from "../resources";
import { useApi } from "../session";

export function useConversations(botId: string | null) {
  const api = useApi();
  return useInfiniteQuery({
    queryKey: ["conversations", botId],
    queryFn: ({ pageParam, signal }) =>
      api.get<Page<Conversation>>("/v1/conversations", {
        query: { bot_id: botId, limit: 50, cursor: pageParam },
        signal,
      }),
    initialPageParam: "",
    getNextPageParam: (last) => (last.has_more ? last.next_cursor : null),
    refetchInterval: 15_000,
  });
}

export function useMessages(conversationId: string) {
  const api = useApi();
  return useInfiniteQuery({
    queryKey: ["messages", conversationId],
    queryFn: ({ pageParam, signal }) =>
      api.get<Page<Message>>(`/v1/conversations/${encodeURIComponent(conversationId)}/messages`, {
        query: { limit: 100, cursor: pageParam },
        signal,
      }),
    initialPageParam: "",
    getNextPageParam: (last) => (last.has_more ? last.next_cursor : null),
    refetchInterval: 5_000,
  });
}
