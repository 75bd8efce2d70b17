import { expect, test } from "vitest";

import { troublesInWords } from "./nodeTroubles";

test("what happened most is said first, and what did not happen not at all", () => {
  expect(troublesInWords({ reissues: 1, failures: 3, sent_twice: 0 })).toEqual([
    "3 requests failed",
    "1 request taken back, to be in time on another node",
  ]);
});

test("each count that workers keep has words of its own", () => {
  const all = { unexpected_answers: 1, unexpected_failures: 2, sent_twice: 1, implausible_timings: 4 };
  expect(troublesInWords(all).join("; ")).not.toContain("_");
  expect(troublesInWords(all)[0]).toBe("4 times measured that cannot be right");
});

test("a count that this page does not know is shown by its name", () => {
  expect(troublesInWords({ cold_starts: 2 })).toEqual(["cold starts: 2"]);
});

test("with nothing to tell there are no words", () => {
  expect(troublesInWords({})).toEqual([]);
});
