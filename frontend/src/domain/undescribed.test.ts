import { expect, test } from "vitest";

import { aDescription, aRegion } from "../testing";
import { whyUndescribed } from "./undescribed";

const region = (state: NonNullable<ReturnType<typeof aDescription>>["state"], sure = false, node = "") =>
  aRegion({ sure, description: aDescription({ state, node: node === "" ? null : node }) });

test.each([
  [region("pending"), "Description pending"],
  [region("pending", true), "Description later: the edge is sure, so others come first"],
  [region("skipped", true), "Not described: the edge is sure, and the cloud was too slow"],
  [region("streaming", false, "cloud-1"), "Being described on cloud-1"],
  [region("streaming"), "Being described on a node"],
])("of %o the page says why it has no words yet", (one, words) => {
  expect(whyUndescribed(one)).toBe(words);
});

test("what keeps everything waiting is said before anything else", () => {
  expect(whyUndescribed(region("pending", true), "cloud unreachable")).toBe(
    "Description pending: cloud unreachable",
  );
});

test("a region that was left out does not wait for the cloud to come back", () => {
  expect(whyUndescribed(region("skipped", true), "cloud unreachable")).toContain("Not described");
});

test("with a description, or where none will be, there is nothing to explain", () => {
  expect(whyUndescribed(region("done"))).toBeNull();
  expect(whyUndescribed(region("invalid"))).toBeNull();
  expect(whyUndescribed(aRegion({ description: null }))).toBeNull();
});
