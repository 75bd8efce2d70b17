import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { EventLog, type Numbered, type Step } from "./eventLog";

const hello = (head_seq: number, epoch = "a") => ({ type: "hello", head_seq, epoch });
const event = (seq: number) => ({ type: "frame.added", seq, id: `f${seq}` });
const head = (seq: number) => ({ type: "head", seq });

const said = (steps: Step<Numbered>[]) =>
  steps.map((step) =>
    step.do === "apply" ? step.event.seq : step.do === "refetch" ? `${step.reason}@${step.upTo}` : step.do,
  );

describe("a viewer that follows a line", () => {
  test.each([
    ["joins at the head and asks REST once", [hello(7)], ["join@7"]],
    ["applies what comes in order", [hello(0), event(1), event(2)], ["join@0", 1, 2]],
    ["ignores what its snapshot already holds", [hello(5), event(4), event(5), event(6)], ["join@5", 6]],
    [
      "asks REST after a gap, then goes on",
      [hello(0), event(1), event(4), event(5)],
      ["join@0", 1, "gap@4", 5],
    ],
    ["lets a heartbeat overtake an event once", [hello(0), head(1), event(1), head(1)], ["join@0", 1]],
    [
      "notices a lost last message at the second heartbeat",
      [hello(3), head(4), head(4)],
      ["join@3", "lost tail@4"],
    ],
    [
      "asks only once for one loss",
      [hello(3), head(4), head(4), head(4), head(4)],
      ["join@3", "lost tail@4"],
    ],
    ["starts anew when the numbers do", [hello(9), hello(2, "b"), event(3)], ["join@9", "new epoch@2", 3]],
    ["starts anew when the head runs backwards", [hello(9), head(4), event(5)], ["join@9", "new epoch@4", 5]],
    [
      "keeps its place over a reconnect",
      [hello(2), event(3), hello(5), event(4), event(5)],
      ["join@2", 3, 4, 5],
    ],
    [
      "rejoins when the server overflowed",
      [hello(2), { type: "resync" }, hello(9)],
      ["join@2", "rejoin", "join@9"],
    ],
    [
      "passes hints on without a place in the order",
      [hello(0), { type: "describe.token", n: 1 }],
      ["join@0", "hint"],
    ],
    ["hears nothing before the hello", [event(1), head(1)], []],
  ])("%s", (_name, messages, expected) => {
    const log = new EventLog<Numbered>();
    expect(messages.flatMap((message) => said(log.receive(message)))).toEqual(expected);
  });

  test("whatever is dropped, repeated or overtaken, after two heartbeats nothing is missing", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 60 }), (fates) => {
        const log = new EventLog<Numbered>();
        const known = new Set<number>();
        const take = (message: Record<string, unknown>) => {
          for (const step of log.receive(message)) {
            if (step.do === "apply") {
              expect(known.has(step.event.seq)).toBe(false);
              known.add(step.event.seq);
            } else if (step.do === "refetch") {
              for (let seq = 1; seq <= step.upTo; seq++) known.add(seq);
            }
          }
        };
        take(hello(0));
        fates.forEach((fate, index) => {
          const seq = index + 1;
          if (fate === 0) return; // lost
          if (fate === 2) take(head(seq)); // overtaken
          take(event(seq));
          if (fate === 3) take(event(seq)); // repeated
        });
        take(head(fates.length));
        take(head(fates.length));
        expect(known.size).toBe(fates.length);
        expect(log.afterSeq).toBe(fates.length);
      }),
    );
  });
});
