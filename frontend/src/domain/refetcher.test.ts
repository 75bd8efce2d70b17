import { beforeEach, describe, expect, test } from "vitest";

import { Refetcher } from "./refetcher";

let asked: string[];
let results: string[][];
let errors: unknown[];
let pending: (() => void)[];
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
        return Promise.resolve(["all"]);
      },
      onResult: (items) => results.push([...items]),
      onError: (error) => errors.push(error),
      later: (callback) => pending.push(callback),
    },
    3,
  );
}

beforeEach(() => {
  asked = [];
  results = [];
  errors = [];
  pending = [];
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

  test("goes on after an error", async () => {
    const fetcher = refetcher();
    fail = true;
    fetcher.changed("a");
    await settle();
    fail = false;
    fetcher.everything();
    await settle();
    expect(errors).toHaveLength(1);
    expect(results).toEqual([["all"]]);
  });
});
