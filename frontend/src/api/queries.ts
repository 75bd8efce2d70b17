/**
 * What pages read by REST and share: its name in the cache, how it is asked for, how often again.
 * Two parts of a page that ask for the same thing ask once. Live data come by the stores of the pages instead.
 */
import { QueryClient, queryOptions } from "@tanstack/react-query";

import { api } from "./client";

/** A question that failed is asked again at its next turn or by the person, not at once: the server may be down. */
export function newQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      // "always": without a network the question fails, and the page says so.
      queries: { retry: false, networkMode: "always", refetchOnWindowFocus: false },
      mutations: { retry: false, networkMode: "always" },
    },
  });
}

export const queries = {
  health: queryOptions({
    queryKey: ["health"],
    queryFn: ({ signal }) => api.health(signal),
    refetchInterval: 5000,
  }),
  fleet: queryOptions({
    queryKey: ["fleet"],
    queryFn: ({ signal }) => api.fleet(signal),
    refetchInterval: 15_000,
  }),
  lateness: queryOptions({
    queryKey: ["lateness"],
    queryFn: ({ signal }) => api.lateness(signal),
    refetchInterval: 15_000,
  }),
  accuracy: (minutes: number) =>
    queryOptions({
      queryKey: ["accuracy", minutes],
      queryFn: ({ signal }) => api.accuracy(minutes, signal),
      refetchInterval: 10_000,
    }),
  savings: (minutes: number) =>
    queryOptions({
      queryKey: ["savings", minutes],
      queryFn: ({ signal }) => api.savings(minutes, signal),
      refetchInterval: 10_000,
    }),
  linePolicies: queryOptions({
    queryKey: ["line-policies"],
    queryFn: ({ signal }) => api.linePolicies(signal),
  }),
  replays: queryOptions({ queryKey: ["replays"], queryFn: ({ signal }) => api.replays(signal) }),
  stations: (line: number) =>
    queryOptions({ queryKey: ["stations", line], queryFn: ({ signal }) => api.stations(line, signal) }),
  baseline: (station: number) =>
    queryOptions({
      queryKey: ["baseline", station],
      queryFn: ({ signal }) => api.baseline(station, signal),
      refetchInterval: 30_000,
    }),
  defectClasses: (line: number) =>
    queryOptions({
      queryKey: ["defect-classes", line],
      queryFn: ({ signal }) => api.defectClasses(line, signal),
      // A line's classes change by hand, rarely.
      staleTime: 5 * 60_000,
    }),
  demo: (station: number) =>
    queryOptions({
      queryKey: ["demo", station],
      queryFn: ({ signal }) => api.demo(station, signal),
      refetchInterval: 4000,
    }),
};
