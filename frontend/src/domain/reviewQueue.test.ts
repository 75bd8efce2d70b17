import { describe, expect, test, vi } from "vitest";

import type { FrameFilter } from "../api/client";
import type { Frame, FrameCounts } from "../api/types";
import { aFrame, aReview, someCounts } from "../testing";
import { ReviewQueue } from "./reviewQueue";

/** A server with these frames, newest first in each of both phases; pages of `size`. */
function aServer(disputed: readonly string[], others: readonly string[], size = 40) {
  const asked: FrameFilter[] = [];
  const page = vi.fn((query: FrameFilter) => {
    asked.push(query);
    const all = query.disagreement === true ? disputed : others;
    const from = query.before == null ? 0 : all.indexOf(query.before) + 1;
    const ids = all.slice(from, from + size);
    const frames = ids.map((id) => aFrame({ id }));
    return Promise.resolve({ frames, next: from + size < all.length ? (ids.at(-1) ?? null) : null });
  });
  const counts = vi.fn((): Promise<FrameCounts> => Promise.resolve(someCounts()));
  return { page, counts, asked };
}

const idsOf = (rows: readonly Frame[]) => rows.map(({ id }) => id);
const numbers = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => `f${from + index}`);

describe("the list", () => {
  test("disagreements come first, and the first frame lies on the desk", async () => {
    const queue = new ReviewQueue(aServer(["d2", "d1"], ["o2", "o1"]), {});
    await queue.reload();
    const { rows, current, more, loading } = queue.snapshot();
    expect(idsOf(rows)).toEqual(["d2", "d1", "o2", "o1"]);
    expect([current, more, loading]).toEqual(["d2", false, false]);
  });

  test("who asks for disagreements alone gets no others", async () => {
    const server = aServer(["d1"], ["o1"]);
    const queue = new ReviewQueue(server, { disagreement: "yes" });
    await queue.reload();
    expect(idsOf(queue.snapshot().rows)).toEqual(["d1"]);
    expect(server.asked.every(({ disagreement }) => disagreement === true)).toBe(true);
  });

  test("each page is asked for with the filter, after the last frame of the page before", async () => {
    const server = aServer([], numbers(1, 100));
    const queue = new ReviewQueue(server, { decision: "fail" });
    await queue.reload();
    await queue.loadMore();
    expect(idsOf(queue.snapshot().rows)).toEqual(numbers(1, 80));
    expect(server.asked.at(-1)).toMatchObject({
      decision: "fail",
      verdict: "none",
      before: "f40",
      limit: 40,
    });
  });

  test("near its end the next page comes by itself", async () => {
    const queue = new ReviewQueue(aServer([], numbers(1, 60)), {});
    await queue.reload();
    queue.open("f20");
    expect(queue.snapshot().loading).toBe(false);
    queue.open("f35");
    await vi.waitFor(() => expect(queue.snapshot().rows).toHaveLength(60));
    expect(queue.snapshot().more).toBe(false);
  });

  test("a frame that became a disagreement while the list was read is there once", async () => {
    const queue = new ReviewQueue(aServer(["f1"], ["f1", "f2"]), {});
    await queue.reload();
    expect(idsOf(queue.snapshot().rows)).toEqual(["f1", "f2"]);
  });

  test("an answer that comes after the filter was changed is dropped", async () => {
    const late: ((page: { frames: Frame[]; next: null }) => void)[] = [];
    const queue = new ReviewQueue(
      { page: () => new Promise((answer) => late.push(answer)), counts: aServer([], []).counts },
      { disagreement: "no" },
    );
    const first = queue.reload();
    const second = queue.setFilter({ disagreement: "yes" });
    late[0]?.({ frames: [aFrame({ id: "old" })], next: null });
    late[1]?.({ frames: [aFrame({ id: "new" })], next: null });
    await Promise.all([first, second]);
    expect(idsOf(queue.snapshot().rows)).toEqual(["new"]);
  });

  test("a server that is away leaves what was read, says so, and is asked again from there", async () => {
    const server = aServer([], numbers(1, 50));
    const queue = new ReviewQueue(server, {});
    await queue.reload();
    server.page.mockRejectedValueOnce(new Error("away"));
    await queue.loadMore();
    expect(queue.snapshot()).toMatchObject({ loading: false, error: new Error("away") });
    expect(queue.snapshot().rows).toHaveLength(40);
    await queue.loadMore();
    expect(queue.snapshot().error).toBeNull();
    expect(queue.snapshot().rows).toHaveLength(50);
  });
});

describe("on the desk", () => {
  test("next and previous end at the ends", async () => {
    const queue = new ReviewQueue(aServer([], ["a", "b", "c"]), {});
    await queue.reload();
    expect(queue.neighbour(-1)).toBeNull();
    expect(queue.neighbour(1)?.id).toBe("b");
    queue.open("c");
    expect(queue.neighbour(1)).toBeNull();
    expect(queue.neighbour(-1)?.id).toBe("b");
  });

  test("a frame that is not in the list is not opened", async () => {
    const queue = new ReviewQueue(aServer([], ["a"]), {});
    await queue.reload();
    queue.open("elsewhere");
    expect(queue.snapshot().current).toBe("a");
  });

  test("a judged frame keeps its place, shows the word, and is counted anew", async () => {
    const server = aServer([], ["a", "b"]);
    const queue = new ReviewQueue(server, {});
    await queue.reload();
    const before = server.counts.mock.calls.length;
    queue.reviewed("a", aReview({ id: 1, part: "good" }));
    queue.reviewed("a", aReview({ id: 2, part: "defective" }));
    const { rows, judged } = queue.snapshot();
    expect(idsOf(rows)).toEqual(["a", "b"]);
    expect(rows[0]?.reviews.map(({ id, stands }) => [id, stands])).toEqual([
      [2, true],
      [1, false],
    ]);
    expect([...judged]).toEqual(["a"]);
    expect(server.counts.mock.calls.length).toBe(before + 2);
  });

  test("a review of a frame elsewhere changes nothing", async () => {
    const queue = new ReviewQueue(aServer([], ["a"]), {});
    await queue.reload();
    const before = queue.snapshot();
    queue.reviewed("elsewhere", aReview());
    expect(queue.snapshot()).toBe(before);
  });

  test("without counts the list works all the same", async () => {
    const server = aServer([], ["a"]);
    server.counts.mockRejectedValue(new Error("too slow"));
    const queue = new ReviewQueue(server, {});
    await queue.reload();
    expect(queue.snapshot()).toMatchObject({ counts: null, error: null, current: "a" });
  });
});
