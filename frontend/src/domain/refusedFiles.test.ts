import { expect, test } from "vitest";

import { refusedFiles } from "./uploadQueue";

const refusal = (name: string) => ({ name, detail: "This file is not a supported picture.", hint: "" });

test("each refused file is named with its reason, a zip's members with their zip", () => {
  const items = [
    { name: "good.jpg", state: "done" as const, errors: [] },
    { name: "notes.txt", state: "failed" as const, errors: [refusal("notes.txt")] },
    { name: "mixed.zip", state: "failed" as const, errors: [refusal("a/b.txt"), refusal("c.txt")] },
    { name: "lost.jpg", state: "failed" as const, errors: [refusal("")] },
  ];
  expect(refusedFiles(items).map(({ name }) => name)).toEqual([
    "notes.txt",
    "mixed.zip: a/b.txt",
    "mixed.zip: c.txt",
    "lost.jpg",
  ]);
});

test("what is still under way or was cancelled is not refused", () => {
  expect(refusedFiles([{ name: "a.jpg", state: "sending", errors: [] }])).toEqual([]);
});
