import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { align, shiftInWords, type Grey } from "./alignment";

const SIZE = 96;

/** Rectangles of copper on a dark board. */
function aBoard(seed: number, shift: [number, number] = [0, 0]): Grey {
  const data = new Float32Array(SIZE * SIZE).fill(30);
  let value = seed * 7919 + 17;
  const next = (below: number) => (value = (value * 48271) % 2147483647) % below;
  for (let n = 0; n < 14; n++) {
    const [left, top, width, height] = [next(SIZE), next(SIZE), 4 + next(20), 3 + next(20)];
    for (let y = top; y < top + height; y++) {
      for (let x = left; x < left + width; x++) put(data, x + shift[0], y + shift[1], 200);
    }
  }
  return { width: SIZE, height: SIZE, data };
}

function put(data: Float32Array, x: number, y: number, value: number): void {
  if (x >= 0 && y >= 0 && x < SIZE && y < SIZE) data[y * SIZE + x] = value;
}

describe("how a frame lies on its template", () => {
  test("any shift within reach is found", () => {
    const shifts = fc.integer({ min: -7, max: 7 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 500 }), shifts, shifts, (seed, dx, dy) => {
        const found = align(aBoard(seed, [dx, dy]), aBoard(seed));
        expect(Math.abs(found.dx - dx)).toBeLessThanOrEqual(0.5);
        expect(Math.abs(found.dy - dy)).toBeLessThanOrEqual(0.5);
        expect(found.changed).toBeLessThan(0.02);
        expect(found.beyond).toBe(false);
      }),
      { numRuns: 25 },
    );
  });

  test("the same picture lies on itself and nothing differs", () => {
    expect(align(aBoard(3), aBoard(3))).toEqual({ dx: 0, dy: 0, changed: 0, beyond: false });
  });

  test("a defect is a small share, another board a large one", () => {
    const template = aBoard(3);
    const spoilt: Grey = { ...template, data: template.data.slice() };
    for (let y = 40; y < 52; y++) for (let x = 40; x < 52; x++) put(spoilt.data, x, y, 120);
    const { changed } = align(spoilt, template);
    expect(changed).toBeGreaterThan(0.005);
    expect(changed).toBeLessThan(0.03);
    expect(align(aBoard(4), template).changed).toBeGreaterThan(0.1);
  });

  test("a flat picture has not moved", () => {
    const flat: Grey = { width: SIZE, height: SIZE, data: new Float32Array(SIZE * SIZE).fill(90) };
    expect(align(flat, flat)).toMatchObject({ dx: 0, dy: 0, changed: 0 });
  });

  test("a shift out of reach says that it may be larger", () => {
    expect(align(aBoard(5, [5, 0]), aBoard(5), 3).beyond).toBe(true);
  });

  test.each([
    [{ dx: 0.2, dy: -0.4 }, "within half a pixel"],
    [{ dx: 1.25, dy: 0 }, "1.3 px right"],
    [{ dx: -2, dy: 3 }, "2.0 px left, 3.0 px down"],
    [{ dx: 10, dy: 0, beyond: true }, "at least 10.0 px right"],
  ])("%j reads as %s", (part, words) => {
    expect(shiftInWords({ changed: 0, beyond: false, ...part })).toBe(words);
  });
});
