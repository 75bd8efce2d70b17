// @vitest-environment happy-dom
/** The outbox over this browser's storage and network: what a person said is neither lost nor sent twice. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { EMPTY_DRAFT, valuesOf } from "../../domain/reviewDraft";
import type { NewVerdict, QueuedVerdict } from "../../domain/verdictOutbox";
import { aReview } from "../../testing";
import { aServer, refusal } from "../../testingDom";
import { openOutbox } from "./outbox";

const POST = "POST /api/v1/frames/1/reviews";
const verdict = (frame = "1"): NewVerdict => ({
  frame,
  frameName: `board-${frame}.jpg`,
  label: "Agree: Fail",
  body: { part: "defective", note: "", marks: [] },
  draft: valuesOf(EMPTY_DRAFT),
});
const kept = (user = "alice") =>
  Object.keys(localStorage)
    .filter((key) => key.startsWith(`aivd.verdicts.${user}.`))
    .map((key) => JSON.parse(localStorage.getItem(key) ?? "") as QueuedVerdict);
/** What a window that was closed in between left behind. */
const leave = (entry: Partial<QueuedVerdict> & { key: string }, user = "alice") =>
  localStorage.setItem(
    `aivd.verdicts.${user}.${entry.key}`,
    JSON.stringify({ ...verdict(), at: "2026-03-02T10:00:00Z", state: "waiting", reason: null, ...entry }),
  );
const away = () => refusal(503, "unavailable", "The database is not reachable.");

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }));
afterEach(() => {
  vi.clearAllTimers();
  vi.useRealTimers();
  localStorage.clear();
});

describe("what was said", () => {
  test("goes out at once under its key, and nothing is left of it", async () => {
    const server = aServer({ [POST]: aReview() });
    const outbox = openOutbox("alice");
    const sent = vi.fn();
    outbox.onSent(sent);
    const { key } = outbox.add(verdict());
    await vi.waitFor(() => expect(sent).toHaveBeenCalledOnce());
    expect(server.of(POST).map(({ headers }) => headers.get("Idempotency-Key"))).toEqual([key]);
    expect([outbox.snapshot(), kept()]).toEqual([[], []]);
  });

  test("is kept while the server is away, and goes out by itself under the same key", async () => {
    let up = false;
    const server = aServer({ [POST]: () => (up ? aReview() : away()) });
    const outbox = openOutbox("alice");
    const { key } = outbox.add(verdict());
    await vi.waitFor(() => expect(kept()[0]?.reason).not.toBeNull());
    expect(kept()[0]).toMatchObject({ key, state: "waiting", reason: { hint: "" } });
    up = true;
    await vi.advanceTimersByTimeAsync(2000);
    await vi.waitFor(() => expect(outbox.snapshot()).toEqual([]));
    expect(server.of(POST).map(({ headers }) => headers.get("Idempotency-Key"))).toEqual([key, key]);
  });

  test("goes out as soon as the browser has a network again", async () => {
    let up = false;
    aServer({ [POST]: () => (up ? aReview() : away()) });
    const outbox = openOutbox("alice");
    outbox.add(verdict());
    await vi.waitFor(() => expect(outbox.snapshot()[0]?.reason).not.toBeNull());
    up = true;
    window.dispatchEvent(new Event("online"));
    await vi.waitFor(() => expect(outbox.snapshot()).toEqual([]));
  });

  test("waits for whom is signed out, and says so", async () => {
    aServer({ [POST]: refusal(401, "signed_out", "Sign in.") });
    const outbox = openOutbox("alice");
    outbox.add(verdict());
    await vi.waitFor(() => expect(outbox.snapshot()[0]?.reason).not.toBeNull());
    expect(outbox.snapshot()[0]).toMatchObject({
      state: "waiting",
      reason: { detail: "You are signed out.", hint: "Sign in again, and it is sent." },
    });
  });

  test.each([
    [409, "refused"],
    [422, "refused"],
    [403, "refused"],
    [408, "waiting"],
    [429, "waiting"],
    [500, "waiting"],
  ])("that is answered with %i is %s", async (status, state) => {
    aServer({ [POST]: refusal(status, "no", "No.", "Do this.") });
    const outbox = openOutbox("alice");
    outbox.add(verdict());
    await vi.waitFor(() => expect(outbox.snapshot()[0]?.reason).not.toBeNull());
    expect(outbox.snapshot()[0]?.state).toBe(state);
    expect(kept()[0]?.state).toBe(state);
  });
});

describe("what an earlier page left behind", () => {
  test("is taken up and sent, the oldest first, also what was just being sent", async () => {
    const order: unknown[] = [];
    const answer = ({ headers }: { headers: Headers }) => {
      order.push(headers.get("Idempotency-Key"));
      return aReview();
    };
    aServer({ [POST]: answer });
    leave({ key: "later", at: "2026-03-02T10:05:00Z", frame: "1" });
    leave({ key: "earlier", at: "2026-03-02T10:00:00Z", frame: "1", state: "sending" });
    const outbox = openOutbox("alice");
    await vi.waitFor(() => expect(outbox.snapshot()).toEqual([]));
    expect(order).toEqual(["earlier", "later"]);
  });

  test("is another person's business where another person left it", async () => {
    const server = aServer({ [POST]: aReview() });
    leave({ key: "one" }, "bob");
    expect(openOutbox("alice").snapshot()).toEqual([]);
    await vi.advanceTimersByTimeAsync(5000);
    expect(server.asked).toEqual([]);
    expect(kept("bob")).toHaveLength(1);
  });

  test("that cannot be read keeps nothing else from being sent", async () => {
    const server = aServer({ [POST]: aReview() });
    localStorage.setItem("aivd.verdicts.alice.broken", "{not json");
    leave({ key: "one" });
    const outbox = openOutbox("alice");
    await vi.waitFor(() => expect(outbox.snapshot()).toEqual([]));
    expect(server.of(POST)).toHaveLength(1);
  });

  test("that was refused waits for the person, who may try again or leave it", async () => {
    const server = aServer({ [POST]: aReview() });
    leave({ key: "one", state: "refused", reason: { detail: "No.", hint: "" } });
    const outbox = openOutbox("alice");
    await vi.advanceTimersByTimeAsync(60_000);
    expect(server.asked).toEqual([]);
    outbox.retry("one");
    await vi.waitFor(() => expect(outbox.snapshot()).toEqual([]));
    expect(server.of(POST)).toHaveLength(1);
  });
});

describe("two windows of one person", () => {
  const heard = (key: string | null) => window.dispatchEvent(new StorageEvent("storage", { key }));

  test("know of each other's verdicts", () => {
    aServer({});
    const outbox = openOutbox("alice");
    leave({ key: "from-there", state: "refused" });
    heard("aivd.verdicts.alice.from-there");
    expect(outbox.snapshot().map(({ key }) => key)).toEqual(["from-there"]);
    localStorage.clear();
    heard(null); // everything was cleared: signing out in the other window does that
    expect(outbox.snapshot()).toEqual([]);
  });

  test("do not mind what else the browser keeps", () => {
    aServer({});
    const outbox = openOutbox("alice");
    const drawn = vi.fn();
    outbox.subscribe(drawn);
    heard("aivd.settings.alice");
    heard("aivd.verdicts.bob.one");
    expect(drawn).not.toHaveBeenCalled();
  });
});

test("with storage full or switched off a verdict still goes out", async () => {
  const server = aServer({ [POST]: aReview() });
  const full = vi.fn(() => {
    throw new DOMException("full", "QuotaExceededError");
  });
  vi.stubGlobal("localStorage", { setItem: full, removeItem: vi.fn() });
  const outbox = openOutbox("alice");
  outbox.add(verdict());
  await vi.waitFor(() => expect(server.of(POST)).toHaveLength(1));
  expect(full).toHaveBeenCalled();
  vi.unstubAllGlobals();
});
