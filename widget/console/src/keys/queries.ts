import { useInfiniteQuery } from "@tanstack/react-query";
import type { Page } from "../api";
import type { ApiKey } from "../resources";
import { useApi } from "../session";

export const KEYS = ["api-keys"] as const;

export function useApiKeys() {
  const api = useApi();
  return useInfiniteQuery({
    queryKey: KEYS,
    queryFn: ({ pageParam, signal }) =>
      api.get<Page<ApiKey>>("/v1/api-keys", { query: { limit: 50, cursor: pageParam }, signal }),
    initialPageParam: "",
    getNextPageParam: (last) => (last.has_more ? last.next_cursor : null),
  });
}
