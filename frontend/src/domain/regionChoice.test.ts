import { describe, expect, test } from "vitest";

import { aRegion } from "../testing";
import { movedScore, nextRegion, shownFrom } from "./regionChoice";
import type { RegionState } from "./regionState";

function state(id: string, score: number, counts = true): RegionState {
  const region = aRegion({ id, score, counts });
  const before = { defect: counts, defectClass: 1 };
  return { region, defect: counts, before, changed: false, said: null };
}

const ids = (states: readonly RegionState[]) => states.map(({ region }) => region.id);

describe("what is shown", () => {
  test("what counts comes first, whatever its score; the rest keeps its order", () => {
    const states = [state("a", 0.9, false), state("b", 0.6), state("c", 0.5, false), state("d", 0.4)];
    expect(ids(shownFrom(states, 0))).toEqual(["b", "d", "a", "c"]);
  });

  test("only those that are sure enough, the limit taken in", () => {
    expect(ids(shownFrom([state("a", 0.5), state("b", 0.49)], 0.5))).toEqual(["a"]);
  });
});

describe("stepping", () => {
  const three = [state("a", 0.9), state("b", 0.8), state("c", 0.7)];

  test.each([
    [null, 1, "a"],
    [null, -1, "c"],
    ["a", 1, "b"],
    ["a", -1, "c"],
    ["c", 1, "a"],
    ["gone", 1, "a"],
    ["gone", -1, "c"],
  ] as const)("from %s by %i to %s", (from, by, to) => {
    expect(nextRegion(three, from, by)).toBe(to);
  });

  test("without regions there is nothing to step to", () => {
    expect(nextRegion([], null, 1)).toBeNull();
    expect(nextRegion([], "a", -1)).toBeNull();
  });

  test("a single one is stepped to again", () => {
    expect(nextRegion([state("a", 1)], "a", 1)).toBe("a");
    expect(nextRegion([state("a", 1)], "a", -1)).toBe("a");
  });
});

test.each([
  [0, -0.05, 0],
  [0.95, 0.05, 0.95],
  [0.1, 0.05, 0.15],
  [0.3, -0.05, 0.25],
])("the least score %d moved by %d is %d", (from, by, to) => {
  expect(movedScore(from, by)).toBe(to);
});
