/** The outbox of the signed-in person in this browser: one for each page, on every page, over one storage. */
import { ApiError, api, sentenceOf } from "../../api/client";
import type { Review } from "../../api/types";
import { newKey } from "../../domain/keys";
import { VerdictOutbox, type QueuedVerdict } from "../../domain/verdictOutbox";

const PREFIX = "aivd.verdicts.";
const opened = new Map<string, VerdictOutbox<Review>>();

export function outboxOf(user: string): VerdictOutbox<Review> {
  const known = opened.get(user);
  if (known !== undefined) return known;
  const made = open(user);
  opened.set(user, made);
  return made;
}

function open(user: string): VerdictOutbox<Review> {
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
