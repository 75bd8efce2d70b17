import { describe, expect, it } from "vitest";

import { curveOf, leftInWords, ticksOf } from "./curve";

const step = (number: unknown, loss: unknown) => ({ type: "step", data: { step: number, loss } });

describe("a curve", () => {
  it("has the numbers in the order of their steps, the last of each", () => {
    const events = [step(2, 0.5), step(1, 1), step(2, 0.4), step(3, null), step("4", 1), step(5, Infinity)];

    expect(curveOf(events, "loss")).toEqual([
      { step: 1, value: 1 },
      { step: 2, value: 0.4 },
    ]);
  });
});

describe("the numbers at an axis", () => {
  it.each([
    [0, 1, [0, 0.25, 0.5, 0.75, 1]],
    [0.13, 0.87, [0, 0.2, 0.4, 0.6, 0.8, 1]],
    [2.1, 8.9, [2, 4, 6, 8, 10]],
    [0, 0.002, [0, 0.0005, 0.001, 0.0015, 0.002]],
    [0, 0, [0, 0.25]],
  ])("from %s to %s are round and hold both", (least, most, ticks) => {
    expect(ticksOf(least, most)).toEqual(ticks);
  });

  it("hold what they must whatever it is", () => {
    for (const [least, most] of [
      [-3, 7],
      [0.5, 0.5],
      [1e-9, 2e-9],
      [99.7, 100.1],
    ] as const) {
      const ticks = ticksOf(least, most);
      expect(ticks[0]).toBeLessThanOrEqual(least);
      expect(ticks.at(-1)).toBeGreaterThanOrEqual(most);
      expect(ticks.length).toBeLessThanOrEqual(8);
    }
  });
});

describe("what is left", () => {
  it.each([
    [null, ""],
    [12, "less than a minute left"],
    [200, "about 3 min left"],
    [7300, "about 2 h left"],
  ])("of %s s is said as %s", (seconds, words) => {
    expect(leftInWords(seconds)).toBe(words);
  });
});
