import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { aFrame, aMark, aRegion, aReview } from "../testing";
import { drawnIn, marksFor, namedByMe, statesOf } from "./regionState";
import { EMPTY_DRAFT, type DraftValues } from "./reviewDraft";

const classes = [1, 2, 3].map((id) => ({ id, name: `class-${id}`, title: "", colour_index: id }));
const regions = [aRegion({ id: "a" }), aRegion({ id: "b" }), aRegion({ id: "c", counts: false, score: 0.2 })];
const frame = aFrame({ regions });
const draft = (part: Partial<DraftValues> = {}): DraftValues => ({ ...EMPTY_DRAFT, ...part });
const short = (marks: ReturnType<typeof marksFor>) =>
  marks.map(({ detection, defect_class, restored }) => [detection, defect_class, restored]);

describe("what a verdict confirms", () => {
  test("only what counted, not what lies below its threshold", () => {
    expect(short(marksFor("defective", frame, draft(), classes))).toEqual([
      ["a", 1, false],
      ["b", 1, false],
    ]);
  });

  test("what I named is confirmed, what I dismissed is not", () => {
    const mine = draft({ defects: { a: false, c: true }, classes: { c: 3 } });
    expect(short(marksFor("defective", frame, mine, classes))).toEqual([
      ["b", 1, false],
      ["c", 3, true],
    ]);
    expect(namedByMe(frame, mine)).toEqual([3]);
  });

  test("a good part has no marks, and unsure sends only my own corrections", () => {
    expect(marksFor("good", frame, draft({ classes: { a: 2 } }), classes)).toEqual([]);
    expect(short(marksFor("unsure", frame, draft({ classes: { a: 2 } }), classes))).toEqual([
      ["a", 2, false],
    ]);
  });

  test("whatever I do, a faint region that I did not name is never marked", () => {
    const flips = fc.dictionary(fc.constantFrom("a", "b", "c"), fc.boolean());
    const words = fc.constantFrom("good" as const, "defective" as const, "unsure" as const);
    fc.assert(
      fc.property(flips, words, (defects, word) => {
        for (const { detection, restored } of marksFor(word, frame, draft({ defects }), classes)) {
          if (detection === "c") expect([defects["c"], restored]).toEqual([true, true]);
          else expect(restored).toBe(false);
        }
      }),
    );
  });
});

describe("what the review that stands made of the regions", () => {
  const marks = [
    aMark({ id: 1, detection: "a", defect_class: 2, from_model: false }),
    aMark({ id: 2, detection: "c", defect_class: 1, from_model: true }),
    aMark({ id: 3, detection: null, defect_class: 3, from_model: false }),
  ];
  const judged = { ...frame, reviews: [aReview({ reviewer: "bob", part: "defective", marks })] };

  test("is seen by everybody", () => {
    const seen = statesOf(judged, draft(), classes).map(({ region, defect, said }) => [
      region.defect_class.id,
      defect,
      said?.what,
    ]);
    expect(seen).toEqual([
      [2, true, "corrected"],
      [1, false, "dismissed"],
      [1, true, "named a defect"],
    ]);
    expect(drawnIn(judged.reviews, classes)).toMatchObject([{ id: "mark-3", by: "bob" }]);
  });

  test("is what I start from, with what was drawn", () => {
    expect(short(marksFor("defective", judged, draft({ classes: { a: 3 } }), classes))).toEqual([
      ["a", 3, false],
      ["c", 1, true],
      [null, 3, false],
    ]);
  });

  test("somebody's 'good' dismisses all to look at, and nothing of what I confirm", () => {
    const good = { ...frame, reviews: [aReview({ reviewer: "bob", part: "good" })] };
    expect(statesOf(good, draft(), classes).map(({ defect }) => defect)).toEqual([false, false, false]);
    expect(statesOf(good, draft(), classes)[0]?.said).toMatchObject({ what: "dismissed", by: "bob" });
    expect(short(marksFor("defective", good, draft(), classes))).toHaveLength(2);
  });

  test("an unsure word changes nothing", () => {
    const unsure = { ...frame, reviews: [aReview({ part: "", verdict: "unsure" })] };
    expect(statesOf(unsure, draft(), classes).map(({ defect, said }) => [defect, said])).toEqual([
      [true, null],
      [true, null],
      [false, null],
    ]);
  });
});
