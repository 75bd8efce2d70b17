import fc from "fast-check";
import { expect, test } from "vitest";

import { logAxis } from "./logScale";

test.each([
  [
    [41, 44, 130],
    [20, 50, 100, 200],
  ],
  [[], [1, 10, 100, 1000]],
  [[7], [5, 10]],
  [[5], [5, 10]],
])("an axis over %j is marked at %j", (values, expected) => {
  expect(logAxis(values).ticks).toEqual(expected);
});

test("twice as much is as far again, wherever it is", () => {
  const { at } = logAxis([10, 1000]);
  expect(at(40) - at(20)).toBeCloseTo(at(800) - at(400));
});

test("every value lies on the axis, in its order", () => {
  const times = fc.array(fc.double({ min: 0.2, max: 300_000, noNaN: true }), { minLength: 1 });
  fc.assert(
    fc.property(times, (values) => {
      const { at, ticks } = logAxis(values);
      const places = [...values].sort((a, b) => a - b).map(at);
      expect(places.every((place) => place >= 0 && place <= 1)).toBe(true);
      expect([...places].sort((a, b) => a - b)).toEqual(places);
      expect(ticks.length).toBeLessThanOrEqual(8);
    }),
  );
});

test("what cannot be drawn is put on the edge", () => {
  const { at } = logAxis([10, 100, Number.NaN, 0, -3]);
  expect(at(0)).toBe(0);
  expect(at(1e9)).toBe(1);
});
