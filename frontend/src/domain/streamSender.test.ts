import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";

import { StreamSender, type Outgoing, type StreamRefusal } from "./streamSender";

const picture = (key: string): Outgoing => ({ key, body: new Blob(["x"]), partId: null, capturedAt: null });
const keys = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => `k${from + i}`);

let transmitted: string[];
let stored: [string, string][];
let refusals: StreamRefusal[];
let resumes: number[];

function sender(maxWaiting = 4): StreamSender {
  return new StreamSender(
    {
      transmit: ({ key }) => transmitted.push(key),
      onStored: (key, frame) => stored.push([key, frame]),
      onRefused: (refusal) => refusals.push(refusal),
      resumeIn: (ms) => resumes.push(ms),
      onChange: () => undefined,
    },
    maxWaiting,
  );
}

const ack = (key: string) => ({ type: "ack", key, frame: `frame-of-${key}` });

beforeEach(() => {
  transmitted = [];
  stored = [];
  refusals = [];
  resumes = [];
});

describe("a stream of pictures", () => {
  test("sends nothing before the server gives credit", () => {
    const stream = sender();
    stream.offer(picture("k1"));
    expect(transmitted).toEqual([]);
    stream.receive({ type: "credit", window: 8 });
    expect(transmitted).toEqual(["k1"]);
  });

  test("never has more than the window unanswered", () => {
    const stream = sender(20);
    stream.receive({ type: "credit", window: 8 });
    for (const key of keys(1, 12)) stream.offer(picture(key));
    expect(transmitted).toEqual(keys(1, 8));
    stream.receive(ack("k1"));
    expect(transmitted).toEqual(keys(1, 9));
    expect(stream.counts).toMatchObject({ unanswered: 8, waiting: 3, stored: 1, sent: 9 });
  });

  test("lets the oldest waiting picture give way to the newest", () => {
    const stream = sender(2);
    for (const key of keys(1, 5)) stream.offer(picture(key));
    stream.receive({ type: "credit", window: 8 });
    expect(transmitted).toEqual(["k4", "k5"]);
    expect(stream.counts.skipped).toBe(3);
  });

  test("sends what was unanswered again, first and in order, under the same keys", () => {
    const stream = sender();
    stream.receive({ type: "credit", window: 3 });
    for (const key of keys(1, 5)) stream.offer(picture(key));
    stream.receive(ack("k2"));
    stream.disconnected();
    transmitted = [];
    stream.receive({ type: "credit", window: 8 });
    expect(transmitted).toEqual(["k1", "k3", "k4", "k5"]);
  });

  test("says why a picture was refused and goes on", () => {
    const stream = sender();
    stream.receive({ type: "credit", window: 1 });
    stream.offer(picture("k1"));
    stream.offer(picture("k2"));
    stream.receive({
      type: "refused",
      key: "k1",
      code: "not_a_picture",
      detail: "No.",
      hint: "Send a JPEG.",
    });
    expect(refusals).toEqual([{ key: "k1", code: "not_a_picture", detail: "No.", hint: "Send a JPEG." }]);
    expect(transmitted).toEqual(["k1", "k2"]);
  });

  test("waits as long as the server asks, then sends the same picture again", () => {
    const stream = sender();
    stream.receive({ type: "credit", window: 8 });
    stream.offer(picture("k1"));
    stream.receive({ type: "refused", key: "k1", code: "busy", detail: "", hint: "", retry_after_s: 2 });
    stream.offer(picture("k2"));
    expect(transmitted).toEqual(["k1"]);
    expect(resumes).toEqual([2000]);
    stream.resume();
    expect(transmitted).toEqual(["k1", "k1", "k2"]);
    expect(refusals).toEqual([]);
  });

  test("takes an answer without a key for the oldest picture", () => {
    const stream = sender();
    stream.receive({ type: "credit", window: 8 });
    stream.offer(picture("k1"));
    stream.offer(picture("k2"));
    stream.receive({ type: "ack", frame: "f" });
    expect(stored).toEqual([["k1", "f"]]);
  });

  test("counts an answer that comes twice once", () => {
    const stream = sender();
    stream.receive({ type: "credit", window: 8 });
    stream.offer(picture("k1"));
    stream.receive(ack("k1"));
    stream.receive(ack("k1"));
    expect(stream.counts.stored).toBe(1);
  });

  test("whatever happens to the socket, each picture is stored exactly once and the window holds", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom("offer", "ack", "cut"), { maxLength: 80 }), (acts) => {
        const open: string[] = [];
        const done = new Set<string>();
        const stream = new StreamSender(
          {
            transmit: ({ key }) => open.push(key),
            onStored: (key) => {
              expect(done.has(key)).toBe(false);
              done.add(key);
            },
            onRefused: () => undefined,
            resumeIn: () => undefined,
            onChange: () => undefined,
          },
          1000,
        );
        let offered = 0;
        const answerOldest = () => {
          const key = open.shift();
          if (key !== undefined) stream.receive({ type: "ack", key, frame: "f" });
        };
        stream.receive({ type: "credit", window: 8 });
        for (const act of acts) {
          if (act === "offer") stream.offer(picture(`k${++offered}`));
          else if (act === "ack") answerOldest();
          else {
            open.length = 0;
            stream.disconnected();
            stream.receive({ type: "credit", window: 8 });
          }
          expect(open.length).toBeLessThanOrEqual(8);
        }
        while (open.length > 0) answerOldest();
        expect(done.size).toBe(offered);
      }),
    );
  });
});
