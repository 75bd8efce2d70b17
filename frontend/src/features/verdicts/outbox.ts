/**
 * The outbox of the signed-in person in this browser, over the browser's storage. The page's root opens one;
 * what is drawn below it finds it with `useOutbox`.
 */
import { createContext, useContext } from "react";

import { ApiError, api, sentenceOf } from "../../api/client";
import type { Review } from "../../api/types";
import { newKey } from "../../domain/keys";
import { VerdictOutbox, type QueuedVerdict } from "../../domain/verdictOutbox";

export type Outbox = VerdictOutbox<Review>;

const PREFIX = "aivd.verdicts.";
const Root = createContext<Outbox | null>(null);
export const OutboxOf = Root.Provider;

export function useOutbox(): Outbox {
  const outbox = useContext(Root);
  if (outbox === null) throw new Error("Nothing above this opens an outbox; see entries/island.tsx.");
  return outbox;
}

/** Take up what this person left behind, and send it now and whenever the network comes back. */
export function openOutbox(user: string): Outbox {
  const prefix = `${PREFIX}${user}.`;
  const outbox = new VerdictOutbox<Review>({
    load: () => stored(prefix),
    keep: (verdict) => keep(prefix, verdict),
    forget: (key) => localStorage.removeItem(prefix + key),
    send: ({ frame, body, key }) => api.review(frame, body, key),
    maySucceedLater,
    describe,
    later: (callback, pauseMs) => setTimeout(callback, pauseMs),
    newKey,
    now: () => new Date().toISOString(),
  });
  window.addEventListener("online", () => void outbox.flush());
  window.addEventListener("storage", ({ key }) => {
    if (key === null || key.startsWith(prefix)) outbox.reload();
  });
  void outbox.flush();
  return outbox;
}

function stored(prefix: string): QueuedVerdict[] {
  return Object.keys(localStorage)
    .filter((key) => key.startsWith(prefix))
    .flatMap((key) => {
      try {
        return [JSON.parse(localStorage.getItem(key) ?? "") as QueuedVerdict];
      } catch {
        return [];
      }
    });
}

function keep(prefix: string, verdict: QueuedVerdict): void {
  try {
    localStorage.setItem(prefix + verdict.key, JSON.stringify(verdict));
  } catch {
    // Storage may be full or switched off; the verdict then waits as long as the page is open.
  }
}

/** The server was away or busy, or we are signed out; anything else is an answer to this very verdict. */
function maySucceedLater(error: unknown): boolean {
  if (!(error instanceof ApiError)) return false;
  return error.status === 0 || error.status >= 500 || [401, 408, 429].includes(error.status);
}

function describe(error: unknown): { detail: string; hint: string } {
  if (error instanceof ApiError && error.status === 401) {
    return { detail: "You are signed out.", hint: "Sign in again, and it is sent." };
  }
  const { detail, hint } = sentenceOf(error);
  return maySucceedLater(error) ? { detail, hint: "" } : { detail, hint };
}
