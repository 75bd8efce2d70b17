import { describe, expect, test } from "vitest";

import { EMPTY_DRAFT } from "./reviewDraft";
import { VerdictOutbox, type QueuedVerdict } from "./verdictOutbox";

class Away extends Error {}
class Refused extends Error {}

const about = (frame: string) => ({
  frame,
  frameName: `${frame}.jpg`,
  label: "Agree: Fail",
  body: { part: "defective" as const, note: "", marks: [] },
  draft: EMPTY_DRAFT,
});

/** A browser's storage, a server that may be away, and a clock that is told when to go on. */
function aWorld(stored: QueuedVerdict[] = []) {
  const storage = new Map(stored.map((entry) => [entry.key, entry]));
  const received: string[] = [];
  const waiting: { callback: () => void; pauseMs: number }[] = [];
  const world = {
    server: (verdict: QueuedVerdict): Promise<string> => Promise.resolve(verdict.key && "stored"),
    storage,
    received,
    waiting,
    open: () => {
      let keys = 0;
      return new VerdictOutbox<string>({
        load: () => [...storage.values()],
        keep: (entry) => storage.set(entry.key, entry),
        forget: (key) => storage.delete(key),
        send: (entry) => {
          received.push(entry.key);
          return world.server(entry);
        },
        maySucceedLater: (error) => error instanceof Away,
        describe: (error) => ({ detail: error instanceof Error ? error.message : "", hint: "" }),
        later: (callback, pauseMs) => waiting.push({ callback, pauseMs }),
        newKey: () => `key-${storage.size}-${++keys}`,
        now: () => new Date(1_000_000 + keys).toISOString(),
      });
    },
  };
  return world;
}
const away = () => Promise.reject(new Away("The server does not answer."));
const settled = () => new Promise((resolve) => setTimeout(resolve, 0));
const states = (outbox: VerdictOutbox<string>) => outbox.snapshot().map(({ frame, state }) => [frame, state]);

describe("a verdict on its way", () => {
  test("is sent at once, told of, and forgotten", async () => {
    const world = aWorld();
    const outbox = world.open();
    const heard: string[] = [];
    outbox.onSent(({ frame }, answer) => heard.push(`${frame} ${answer}`));
    outbox.add(about("f1"));
    expect(world.storage.size).toBe(1);
    await settled();
    expect(heard).toEqual(["f1 stored"]);
    expect(world.storage.size).toBe(0);
    expect(outbox.snapshot()).toEqual([]);
  });

  test("without a server it waits, says why, and goes out on return under the same key", async () => {
    const world = aWorld();
    world.server = away;
    const outbox = world.open();
    const { key } = outbox.add(about("f1"));
    await settled();
    expect(states(outbox)).toEqual([["f1", "waiting"]]);
    expect(outbox.snapshot()[0]?.reason?.detail).toBe("The server does not answer.");
    world.server = () => Promise.resolve("stored");
    world.waiting[0]?.callback();
    await settled();
    expect(outbox.snapshot()).toEqual([]);
    expect(world.received).toEqual([key, key]);
  });

  test("outlives the page, also one that was closed in the middle of sending", async () => {
    const world = aWorld();
    world.server = () => new Promise(() => undefined);
    const { key } = world.open().add(about("f1"));
    world.server = () => Promise.resolve("stored");
    const next = world.open();
    expect(states(next)).toEqual([["f1", "waiting"]]);
    await next.flush();
    expect(next.snapshot()).toEqual([]);
    expect(world.received).toEqual([key, key]);
  });

  test("that is refused stays with its reason until somebody decides, and holds up no other", async () => {
    const world = aWorld();
    world.server = ({ frame }) =>
      frame === "f1" ? Promise.reject(new Refused("Not on this frame.")) : Promise.resolve("stored");
    const outbox = world.open();
    const { key } = outbox.add(about("f1"));
    outbox.add(about("f2"));
    await settled();
    expect(states(outbox)).toEqual([["f1", "refused"]]);
    expect(outbox.snapshot()[0]?.reason?.detail).toBe("Not on this frame.");
    await outbox.flush();
    expect(world.received.filter((one) => one === key)).toHaveLength(1);
    world.server = () => Promise.resolve("stored");
    outbox.retry(key);
    await settled();
    expect(outbox.snapshot()).toEqual([]);
  });

  test("can be discarded", async () => {
    const world = aWorld();
    world.server = away;
    const outbox = world.open();
    outbox.discard(outbox.add(about("f1")).key);
    await settled();
    expect([outbox.snapshot(), world.storage.size]).toEqual([[], 0]);
  });

  test("gives way to a second thought while it waits", async () => {
    const world = aWorld();
    world.server = away;
    const outbox = world.open();
    outbox.add(about("f1"));
    await settled();
    outbox.add({ ...about("f1"), label: "Disagree: it is good" });
    expect(outbox.snapshot().map(({ label }) => label)).toEqual(["Disagree: it is good"]);
  });

  test("waits longer after each failure, with one timer", async () => {
    const world = aWorld();
    world.server = away;
    const outbox = world.open();
    outbox.add(about("f1"));
    outbox.add(about("f2"));
    for (let attempt = 0; attempt < 6; attempt++) {
      await settled();
      expect(world.waiting).toHaveLength(attempt + 1);
      world.waiting[attempt]?.callback();
    }
    expect(world.waiting.map(({ pauseMs }) => pauseMs)).toEqual([2000, 4000, 8000, 16_000, 30_000, 30_000]);
  });

  test("that another window has sent is gone here too", () => {
    const world = aWorld();
    world.server = away;
    const here = world.open();
    const there = world.open();
    here.add(about("f1"));
    there.reload();
    expect(states(there)).toEqual([["f1", "waiting"]]);
    world.storage.clear();
    there.reload();
    expect(there.snapshot()).toEqual([]);
  });
});
