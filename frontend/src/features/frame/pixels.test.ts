// @vitest-environment happy-dom
/** Grey values of pictures, as a browser gives them. The browser's drawing is replaced; the arithmetic is not. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { alignment, fetchPicture, sizeOf } from "./pixels";

/** Pictures by what stands in their bytes: a bright ridge with soft sides at some place of a dark ground. */
const SIDE_PX = 96;
const close = vi.fn();
let asked: { resizeWidth?: number; resizeHeight?: number }[];
let drawnAt: number;

function ridgeAt(x: number): Uint8ClampedArray {
  const data = new Uint8ClampedArray(4 * SIDE_PX * SIDE_PX);
  for (let row = 30; row < 60; row++) {
    for (let column = 0; column < SIDE_PX; column++) {
      const at = 4 * (row * SIDE_PX + column);
      data.fill(Math.max(0, 200 - 10 * Math.abs(column - x)), at, at + 3);
    }
  }
  return data;
}
const placeOf = async (blob: Blob) => Number(await blob.text());

beforeEach(() => {
  asked = [];
  vi.stubGlobal("createImageBitmap", async (blob: Blob, how: { resizeWidth?: number } = {}) => {
    if (blob.size === 0) throw new DOMException("no picture", "InvalidStateError");
    asked.push(how);
    return { width: SIDE_PX, height: SIDE_PX, close, place: await placeOf(blob) };
  });
  vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockReturnValue({
    drawImage: ({ place }: { place: number }) => (drawnAt = place),
    getImageData: () => ({ data: ridgeAt(drawnAt) }),
  } as never);
});
afterEach(() => vi.unstubAllGlobals());

const whole = { width: SIDE_PX, height: SIDE_PX };
const picture = (x: number) => new Blob([String(x)]);

test("two pictures of the same thing lie on each other and nothing of them differs", async () => {
  const found = await alignment(picture(40), picture(40), whole);
  expect([found.dx, found.dy, found.changed]).toEqual([0, 0, 0]);
});

test("a shift is found, and told in pixels of the whole frame", async () => {
  const small = await alignment(picture(44), picture(40), whole);
  expect(Math.abs(small.dx)).toBeCloseTo(4, 0);
  expect(Math.abs(small.dy)).toBeCloseTo(0, 0);
});

test("a large frame is compared at 480 pixels and its shift scaled up again", async () => {
  // The stand-in for the browser draws 96 pixels whatever is asked, so only what was asked for is looked at here.
  await alignment(picture(40), picture(40), { width: 1920, height: 960 }).catch(() => undefined);
  expect(asked[0]).toMatchObject({ resizeWidth: 480, resizeHeight: 240 });
});

test("the size of a picture is read and its memory given back", async () => {
  close.mockClear();
  expect(await sizeOf(picture(1))).toEqual({ width: SIDE_PX, height: SIDE_PX });
  expect(close).toHaveBeenCalledOnce();
});

test("what is no picture is no size", async () => {
  await expect(sizeOf(new Blob([]))).rejects.toThrow();
});

test("a picture that the server does not give is an error with its status", async () => {
  vi.stubGlobal("fetch", () => Promise.resolve(new Response("gone", { status: 404 })));
  await expect(fetchPicture("/r/1", new AbortController().signal)).rejects.toThrow("status 404");
});
