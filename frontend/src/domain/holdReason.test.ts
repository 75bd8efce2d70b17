import { expect, test } from "vitest";

import { holdWords } from "./holdReason";

const decision = (outcome: string, code: string) =>
  ({ outcome, code, reason: "", decided_at: "", latency_ms: 1 }) as never;

test.each(["late", "failed", "product", "unlike", "unplaced", "unscaled"])(
  "a hold for %s says why",
  (code) => {
    expect(holdWords(decision("hold", code))).toMatch(/^[a-z ]+$/);
  },
);

test("what is no hold, or has a reason that this page does not know, says nothing more", () => {
  expect(holdWords(null)).toBeNull();
  expect(holdWords(decision("pass", "clean"))).toBeNull();
  expect(holdWords(decision("fail", "defect"))).toBeNull();
  expect(holdWords(decision("hold", "of tomorrow"))).toBeNull();
});
