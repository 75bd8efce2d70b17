import { describe, expect, test } from "vitest";

import { EMPTY_DRAFT, changeDraft, isTouched, type DraftChange } from "./reviewDraft";

const after = (...changes: DraftChange[]) => changes.reduce(changeDraft, EMPTY_DRAFT);
const counted = { defect: true, defectClass: 1 };
const faint = { defect: false, defectClass: 1 };
const toClass = (region: string, defectClass: number, before = counted): DraftChange => ({
  kind: "class",
  region,
  defectClass,
  before,
});
const defect = (region: string, is: boolean, before = counted): DraftChange => ({
  kind: "defect",
  region,
  defect: is,
  before,
});
const note = (text: string): DraftChange => ({ kind: "note", note: text });
const undo: DraftChange = { kind: "undo" };
const redo: DraftChange = { kind: "redo" };

describe("what I am about to say", () => {
  test("a corrected class is kept, one set back to what stood there is not", () => {
    expect(after(toClass("a", 2)).classes).toEqual({ a: 2 });
    expect(after(toClass("a", 2), toClass("a", 1)).classes).toEqual({});
  });

  test("who names the class of a faint region says that it is a defect, in one step", () => {
    const named = after(toClass("a", 2, faint));
    expect(named).toMatchObject({ classes: { a: 2 }, defects: { a: true } });
    expect(changeDraft(named, undo)).toMatchObject({ classes: {}, defects: {} });
    expect(after(toClass("a", 1, faint))).toMatchObject({ classes: {}, defects: { a: true } });
  });

  test.each<[string, DraftChange[], object]>([
    ["undo takes back one step", [toClass("a", 2), toClass("b", 3), undo], { classes: { a: 2 } }],
    ["redo brings it back", [toClass("a", 2), undo, redo], { classes: { a: 2 } }],
    ["a new change ends the redo", [toClass("a", 2), undo, toClass("b", 3), redo], { classes: { b: 3 } }],
    ["undo of nothing is nothing", [undo, undo], { classes: {}, note: "" }],
    ["a note is one step, however long", [note("s"), note("sc"), note("scratch"), undo], { note: "" }],
    ["a note is its own step", [toClass("a", 2), note("x"), undo], { classes: { a: 2 }, note: "" }],
    ["a dismissed region comes back", [defect("a", false), undo], { defects: {} }],
    ["dismissed and restored is as before", [defect("a", false), defect("a", true)], { defects: {} }],
    ["a faint one can be named", [defect("a", true, faint)], { defects: { a: true } }],
    ["what has been said is gone", [toClass("a", 2), note("x"), { kind: "said" }], { classes: {}, note: "" }],
  ])("%s", (_name, changes, expected) => {
    expect(after(...changes)).toMatchObject(expected);
  });

  test("a change that changes nothing is no step", () => {
    expect(after(toClass("a", 1)).past).toHaveLength(0);
    expect(isTouched(after(toClass("a", 1)))).toBe(false);
  });

  test("what is taken back keeps what was typed meanwhile", () => {
    const draft = after(note("typed while it was on its way"), {
      kind: "take-back",
      draft: { classes: { a: 2 }, defects: {}, note: "scratch" },
    });
    expect(draft.classes).toEqual({ a: 2 });
    expect(draft.note).toBe("scratch\ntyped while it was on its way");
  });
});
