import { describe, expect, it } from "vitest";

import { curveOf, leftInWords, polylineOf } from "./curve";

const step = (number: unknown, loss: unknown) => ({ type: "step", data: { step: number, loss } });

describe("a curve", () => {
  it("has the numbers in the order of their steps, the last of each", () => {
    const events = [step(2, 0.5), step(1, 1), step(2, 0.4), step(3, null), step("4", 1), step(5, Infinity)];

    expect(curveOf(events, "loss")).toEqual([
      { step: 1, value: 1 },
      { step: 2, value: 0.4 },
    ]);
  });

  it("fills its box from the first step to the last", () => {
    const points = [
      { step: 10, value: 3 },
      { step: 20, value: 1 },
      { step: 30, value: 2 },
    ];

    expect(polylineOf(points, 100, 40)).toBe("0.0,0.0 50.0,40.0 100.0,20.0");
  });

  it("is a flat line where nothing changes, and nothing where there is one point", () => {
    const flat = [
      { step: 0, value: 1 },
      { step: 1, value: 1 },
    ];

    expect(polylineOf(flat, 10, 10)).toBe("0.0,10.0 10.0,10.0");
    expect(polylineOf(flat.slice(1), 10, 10)).toBe("");
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
