import { expect, test } from "vitest";

import type { Baseline } from "../api/types";
import { aFrame } from "../testing";
import { baselineTrouble } from "./baseline";

const baseline = (part: Partial<Baseline> = {}): Baseline => ({
  state: "collecting",
  collected: 12,
  wanted: 100,
  limit: null,
  confirmed_by: "",
  ...part,
});
const held = (station = 1) =>
  aFrame({
    station: { id: station, name: "Camera" },
    decision: {
      outcome: "hold",
      code: "unlike",
      reason: "",
      decided_at: "2026-03-02T10:00:00Z",
      latency_ms: 1,
    },
  });

test("a baseline that waits for a person is trouble even while nothing is on the screen", () => {
  const words = baselineTrouble(baseline({ state: "waiting", collected: 100 }), 1, []);
  expect(words).toContain("its first 100 frames are unlike what the model was trained on");
});

test("while it is collected, only frames that are held for it make it trouble", () => {
  expect(baselineTrouble(baseline(), 1, [aFrame()])).toBeNull();
  expect(baselineTrouble(baseline(), 1, [held()])).toContain("12 of its first 100");
});

test("frames of another station say nothing of this one", () => {
  expect(baselineTrouble(baseline(), 1, [held(2)])).toBeNull();
});

test("too few to be confirmed says from when on they can be", () => {
  expect(baselineTrouble(baseline({ collected: 19 }), 1, [held()])).toContain("from 20 on");
  expect(baselineTrouble(baseline({ collected: 20 }), 1, [held()])).not.toContain("from 20 on");
});

test.each(["established", "confirmed"] as const)(
  "one that is %s vouches: what is held is a stranger",
  (state) => {
    expect(baselineTrouble(baseline({ state }), 1, [held()])).toBeNull();
  },
);
