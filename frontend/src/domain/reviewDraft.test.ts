import { describe, expect, test } from "vitest";

import type { Verdict } from "../api/types";
import { aFrame, aRegion } from "../testing";
import { EMPTY_DRAFT, changeDraft, isTouched, marksFor, type DraftChange } from "./reviewDraft";

const after = (...changes: DraftChange[]) => changes.reduce(changeDraft, EMPTY_DRAFT);
const toClass = (region: string, defectClass: number): DraftChange => ({
  kind: "class",
  region,
  defectClass,
  detected: 1,
});
const note = (text: string): DraftChange => ({ kind: "note", note: text });
const undo: DraftChange = { kind: "undo" };
const redo: DraftChange = { kind: "redo" };

describe("what I am about to say", () => {
  test("a corrected class is kept, one set back to the detector's is not", () => {
    expect(after(toClass("a", 2)).classes).toEqual({ a: 2 });
    expect(after(toClass("a", 2), toClass("a", 1)).classes).toEqual({});
  });

  test.each<[string, DraftChange[], object]>([
    ["undo takes back one step", [toClass("a", 2), toClass("b", 3), undo], { classes: { a: 2 } }],
    ["redo brings it back", [toClass("a", 2), undo, redo], { classes: { a: 2 } }],
    ["a new change ends the redo", [toClass("a", 2), undo, toClass("b", 3), redo], { classes: { b: 3 } }],
    ["undo of nothing is nothing", [undo, undo], { classes: {}, note: "" }],
    [
      "a note is one step, however many letters",
      [note("s"), note("sc"), note("scratch"), undo],
      { note: "" },
    ],
    [
      "a note after a correction is its own step",
      [toClass("a", 2), note("x"), undo],
      { classes: { a: 2 }, note: "" },
    ],
    ["a dismissed region comes back", [{ kind: "dismiss", region: "a" }, undo], { dismissed: [] }],
  ])("%s", (_name, changes, expected) => {
    expect(after(...changes)).toMatchObject(expected);
  });

  test("a change that changes nothing is no step", () => {
    expect(after(toClass("a", 1)).past).toHaveLength(0);
    expect(isTouched(after(toClass("a", 1)))).toBe(false);
  });
});

describe("the marks of a verdict", () => {
  const frame = aFrame({ regions: [aRegion({ id: "a" }), aRegion({ id: "b" }), aRegion({ id: "c" })] });
  const draft = after(toClass("b", 4), { kind: "dismiss", region: "c" });
  test.each<[Verdict, [string, number][]]>([
    [
      "accept",
      [
        ["a", 1],
        ["b", 4],
      ],
    ],
    ["reject", [["b", 4]]],
    ["unsure", [["b", 4]]],
  ])("%s", (verdict, expected) => {
    expect(marksFor(verdict, frame, draft).map((mark) => [mark.detection, mark.defect_class])).toEqual(
      expected,
    );
  });
});
