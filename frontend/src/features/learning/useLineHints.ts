/**
 * What changed on the person's lines, live: each line's websocket says which run or preview to look at again, and REST
 * says how it stands. Whatever may have been missed is asked for anew.
 */
import { useQueryClient, type QueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";

import type { Line } from "../../api/types";
import { LineSession } from "../../live/lineSession";
import { socketUrl, type ConnectionState } from "../../live/socket";

/** Hints that come together are answered together. */
const GATHER_MS = 150;

export interface LineHints {
  connection: ConnectionState;
  retryNow: () => void;
}

export function useLineHints(lines: readonly Line[]): LineHints {
  const cache = useQueryClient();
  const ids = lines.map(({ id }) => id).join(",");
  const [states, setStates] = useState<Readonly<Record<string, ConnectionState>>>({});
  const [sessions, setSessions] = useState<readonly LineSession[]>([]);
  useEffect(() => {
    const gather = new Gatherer(cache);
    const made = (ids === "" ? [] : ids.split(",")).map(
      (id) =>
        new LineSession(socketUrl(`/ws/v1/lines/${id}/events`, location), {
          onEvent: ({ type }) => {
            if (type.startsWith("frame.review")) gather.add("corrections");
          },
          onRefetch: () => gather.add("runs", "run-events", "previews", "model-versions", "corrections"),
          onHint: (hint) => gather.add(...keysOf(hint)),
          onState: (state) => setStates((before) => ({ ...before, [id]: state })),
        }),
    );
    made.forEach((session) => session.start());
    setSessions(made);
    return () => {
      made.forEach((session) => session.stop());
      gather.stop();
    };
  }, [cache, ids]);
  return {
    connection: worstOf(Object.values(states)),
    retryNow: () => sessions.forEach((session) => session.retryNow()),
  };
}

export function keysOf(hint: Record<string, unknown>): string[] {
  if (hint["type"] === "preview.changed") return ["previews"];
  if (hint["type"] === "serving.changed") return ["model-versions"];
  if (hint["type"] !== "run.changed") return [];
  // A run that has ended may have made a version.
  return hint["state"] === "running" ? ["runs", "run-events"] : ["runs", "run-events", "model-versions"];
}

class Gatherer {
  private readonly keys = new Set<string>();
  private timer: ReturnType<typeof setTimeout> | null = null;

  constructor(private readonly cache: QueryClient) {}

  add(...keys: string[]): void {
    keys.forEach((key) => this.keys.add(key));
    if (this.keys.size > 0) this.timer ??= setTimeout(() => this.ask(), GATHER_MS);
  }

  stop(): void {
    if (this.timer !== null) clearTimeout(this.timer);
  }

  private ask(): void {
    this.timer = null;
    for (const key of this.keys) void this.cache.invalidateQueries({ queryKey: [key] });
    this.keys.clear();
  }
}

const ORDER: readonly ConnectionState[] = ["open", "closed", "connecting", "refused", "waiting"];

function worstOf(states: readonly ConnectionState[]): ConnectionState {
  return states.reduce<ConnectionState>(
    (worst, state) => (ORDER.indexOf(state) > ORDER.indexOf(worst) ? state : worst),
    states.length === 0 ? "connecting" : "open",
  );
}
