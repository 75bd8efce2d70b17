/** All that a run's trainer told so far; each time only what came since is asked for. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";

import { learning, MOST_EVENTS, type Run, type RunEvent } from "./learningApi";

export function useRunEvents(run: Run | undefined): readonly RunEvent[] {
  const cache = useQueryClient();
  const id = run?.id ?? "";
  const key = ["run-events", id];
  const { data, refetch } = useQuery({
    queryKey: key,
    enabled: run !== undefined,
    queryFn: async () => {
      const known = [...(cache.getQueryData<RunEvent[]>(key) ?? [])];
      for (;;) {
        const more = await learning.events(id, known.at(-1)?.seq ?? 0);
        known.push(...more);
        if (more.length < MOST_EVENTS) return known;
      }
    },
  });
  const told = data ?? NONE;
  const behind = run !== undefined && data !== undefined && (told.at(-1)?.seq ?? 0) < run.events_seq;
  useEffect(() => {
    if (behind) void refetch();
  }, [behind, refetch]);
  return told;
}

const NONE: readonly RunEvent[] = [];
