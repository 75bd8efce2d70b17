import { beforeEach, describe, expect, test } from "vitest";

import type { IngestAnswer } from "../api/types";
import { UploadQueue, type SendOptions } from "./uploadQueue";

interface Call extends SendOptions {
  name: string;
  answer: (answer: Partial<IngestAnswer>) => Promise<void>;
  fail: (error: Error) => Promise<void>;
}
const file = (name: string) => ({ name, size: 100 });
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

let calls: Call[];
let queue: UploadQueue<{ name: string; size: number }>;
const states = () => queue.snapshot().map(({ name, state }) => `${name} ${state}`);
const call = (index: number): Call => {
  const found = calls[index];
  if (found === undefined) throw new Error(`there is no call ${index}`);
  return found;
};

beforeEach(() => {
  calls = [];
  let keys = 0;
  queue = new UploadQueue(
    {
      send: ({ name }, options) =>
        new Promise((resolve, reject) => {
          const settle = (act: () => void) => {
            act();
            return turn();
          };
          calls.push({
            ...options,
            name,
            answer: (answer) => settle(() => resolve({ frames: [], rejected: [], ...answer })),
            fail: (error) => settle(() => reject(error)),
          });
        }),
      describe: (error) => ({ detail: (error as Error).message, hint: "Try again." }),
      newKey: () => `key-${++keys}`,
    },
    2,
  );
});

describe("files on their way to a station", () => {
  test("go two at a time, in order", async () => {
    queue.add(["a", "b", "c"].map(file));
    expect(states()).toEqual(["a sending", "b sending", "c waiting"]);
    await call(0).answer({ frames: [{ id: "f", sha256: "" }] });
    expect(states()).toEqual(["a done", "b sending", "c sending"]);
  });

  test("show how much was sent, never more than all", () => {
    queue.add([file("a")]);
    call(0).onProgress(40);
    expect(queue.snapshot()[0]?.sentBytes).toBe(40);
    call(0).onProgress(170);
    expect(queue.snapshot()[0]?.sentBytes).toBe(100);
  });

  test("that are refused say why, in the words of the server", async () => {
    queue.add([file("notes.zip")]);
    const refusal = {
      name: "notes.txt",
      code: "not_a_picture",
      detail: "notes.txt is no picture.",
      hint: "Send JPEG.",
    };
    await call(0).answer({ frames: [{ id: "f", sha256: "" }], rejected: [refusal] });
    expect(queue.snapshot()[0]).toMatchObject({
      state: "failed",
      stored: 1,
      retryable: false,
      errors: [refusal],
    });
  });

  test("that failed on the way go again under the same key", async () => {
    queue.add([file("a")]);
    await call(0).fail(new Error("The server does not answer."));
    expect(queue.snapshot()[0]?.errors[0]).toMatchObject({
      detail: "The server does not answer.",
      hint: "Try again.",
    });
    queue.again(1);
    expect(call(1).key).toBe(call(0).key);
    await call(1).answer({});
    expect(states()).toEqual(["a done"]);
  });

  test("stay cancelled when their request ends afterwards", async () => {
    queue.add(["a", "b", "c"].map(file));
    queue.cancel(1);
    expect(call(0).signal.aborted).toBe(true);
    await call(0).answer({});
    expect(states()).toEqual(["a cancelled", "b sending", "c sending"]);
  });

  test("can all be cancelled, and the list cleared", () => {
    queue.add(["a", "b", "c"].map(file));
    queue.cancelAll();
    expect(states()).toEqual(["a cancelled", "b cancelled", "c cancelled"]);
    expect(calls.map(({ signal }) => signal.aborted)).toEqual(calls.map(() => true));
    queue.clear();
    expect(queue.snapshot()).toEqual([]);
  });
});
