import { describe, expect, test } from "vitest";

import type { Outcome } from "../api/types";
import { aReview } from "../testing";
import { choicesFor, labelOf, quarrelIn, wordFor, wordOf } from "./judgement";

const says = (outcome: Outcome | null) =>
  choicesFor(outcome).map(({ key, label, word }) => `${key} ${label} (${word})`);

describe("the buttons name what is meant", () => {
  test.each<[Outcome | null, string[]]>([
    ["pass", ["A Agree: Pass (good)", "X Disagree: it is defective (defective)", "U Unsure (unsure)"]],
    ["fail", ["A Agree: Fail (defective)", "X Disagree: it is good (good)", "U Unsure (unsure)"]],
    ["hold", ["G It is good (good)", "D It is defective (defective)", "U Unsure (unsure)"]],
    [null, ["G It is good (good)", "D It is defective (defective)", "U Unsure (unsure)"]],
  ])("by the decision %s", (outcome, expected) => {
    expect(says(outcome)).toEqual(expected);
  });

  test.each<["agree" | "disagree", Outcome | null, string | null]>([
    ["agree", "pass", "good"],
    ["agree", "fail", "defective"],
    ["agree", "hold", null],
    ["agree", null, null],
    ["disagree", "pass", "defective"],
    ["disagree", "fail", "good"],
    ["disagree", "hold", null],
    ["disagree", null, null],
  ])("to %s with %s says %s", (act, outcome, word) => {
    expect(wordFor(act, outcome)).toBe(word);
  });

  test("a word is named by the decision it was said about", () => {
    expect(labelOf("good", "fail")).toBe("Disagree: it is good");
    expect(labelOf("good", "pass")).toBe("Agree: Pass");
    expect(labelOf("good", "hold")).toBe("It is good");
  });
});

describe("what was said before", () => {
  test("a review without a part says nothing of it", () => {
    expect(wordOf({ part: "", verdict: "accept" })).toBeNull();
    expect(wordOf({ part: "", verdict: "unsure" })).toBe("unsure");
    expect(wordOf({ part: "good", verdict: "reject" })).toBe("good");
  });

  test("two people who contradict each other are named, with the word that stands", () => {
    const alice = aReview({ id: 2, reviewer: "alice", part: "good", stands: true, contradicts: ["bob"] });
    const bob = aReview({ id: 1, reviewer: "bob", part: "defective", stands: false, contradicts: ["alice"] });
    expect(quarrelIn([alice, bob])).toEqual({ stands: alice, others: [bob] });
    expect(quarrelIn([{ ...alice, contradicts: [] }])).toBeNull();
    expect(quarrelIn([])).toBeNull();
  });
});
