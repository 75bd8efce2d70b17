import { beforeEach, describe, expect, test } from "vitest";

import { Refetcher } from "./refetcher";

let asked: string[];
let results: string[][];
let errors: unknown[];
let pending: (() => void)[];
let pauses: number[];
let fail: boolean;

const settle = async () => {
  do {
    pending.shift()?.();
    await new Promise((resolve) => setImmediate(resolve));
  } while (pending.length > 0);
};

function refetcher(): Refetcher<string> {
  return new Refetcher<string>(
    {
      one: (id) => {
        asked.push(id);
        return fail ? Promise.reject(new Error("offline")) : Promise.resolve(`frame ${id}`);
      },
      newest: () => {
        asked.push("newest");
        return fail ? Promise.reject(new Error("offline")) : Promise.resolve(["all"]);
      },
      onResult: (items) => results.push([...items]),
      onError: (error) => errors.push(error),
      later: (callback, pauseMs) => {
        pending.push(callback);
        pauses.push(pauseMs);
      },
    },
    3,
  );
}

beforeEach(() => {
  asked = [];
  results = [];
  errors = [];
  pending = [];
  pauses = [];
  fail = false;
});

describe("asking REST what changed", () => {
  test("asks once for a frame that changed several times at once", async () => {
    const fetcher = refetcher();
    fetcher.changed("a");
    fetcher.changed("a");
    fetcher.changed("b");
    await settle();
    expect(asked).toEqual(["a", "b"]);
    expect(results).toEqual([["frame a", "frame b"]]);
  });

  test("asks for the list when a crowd changed", async () => {
    const fetcher = refetcher();
    for (const id of ["a", "b", "c"]) fetcher.changed(id);
    await settle();
    expect(asked).toEqual(["newest"]);
  });

  test("asks again for what changed while an answer was under way", async () => {
    const fetcher = refetcher();
    fetcher.changed("a");
    pending.shift()?.();
    fetcher.changed("a");
    await settle();
    expect(asked).toEqual(["a", "a"]);
  });

  test("makes up for a failure by itself, though no event comes again, with longer and longer pauses", async () => {
    const fetcher = refetcher();
    fail = true;
    fetcher.changed("a");
    for (let round = 0; round < 8; round++) {
      pending.shift()?.();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(errors).toHaveLength(8);
    expect(asked).toEqual(["a", ...Array<string>(7).fill("newest")]);
    expect(pauses).toEqual([0, 1500, 3000, 6000, 12_000, 24_000, 30_000, 30_000, 30_000]);
    fail = false;
    await settle();
    expect(results).toEqual([["all"]]);
    fetcher.changed("b");
    await settle();
    expect(pauses.at(-1)).toBe(0);
    expect(results.at(-1)).toEqual(["frame b"]);
  });

  test("a page that was left asks no more", async () => {
    const fetcher = refetcher();
    fail = true;
    fetcher.changed("a");
    fetcher.stop();
    await settle();
    expect(asked).toEqual(["a"]);
    expect(pending).toEqual([]);
  });
});
