import { describe, expect, it } from "vitest";

import { durationInWords, logLine } from "./logWords";

const line = (type: string, data: Record<string, unknown>, level = "") => logLine({ type, level, data });

describe("a line of the log", () => {
  it.each([
    [
      "estimate",
      { steps: 1200, seconds: 260, memory_mib: 900, free_memory_mib: 8000 },
      "Foreseen: 1,200 steps, about 4 min with the report, 900 MiB of memory; 8,000 are free.",
    ],
    ["started", { step: 0, steps: 40 }, "Training begins: 40 steps."],
    ["started", { step: 7, steps: 40 }, "Training goes on after step 7 of 40."],
    [
      "validated",
      { step: 20, field_f1: 0.5, class_accuracy: 0.75, json_valid: 1, best: true },
      "After step 20: field F1 50.0 %, class right 75.0 %, 100.0 % fit the schema; the best so far.",
    ],
    [
      "validated",
      { step: 500, map50: 0.913, frames: 40, best: false },
      "After step 500: mAP50 91.3 % on 40 frames.",
    ],
    [
      "measured",
      { arm: "base", trial: "0.3", class_accuracy: 0.5, done: 3, of: 10 },
      "Report, 3 of 10: the base names 50.0 % right at box noise 0.3.",
    ],
    ["done", { sentence: "It is done." }, "It is done."],
    [
      "failed",
      { code: "disk_full", sentence: "The disk is full.", hint: "Make room." },
      "The disk is full. Make room.",
    ],
    ["log", { text: "Reads 60 pictures." }, "Reads 60 pictures."],
  ])("of %s with %j is a sentence", (type, data, words) => {
    expect(line(type, data)?.words).toBe(words);
  });

  it("is never JSON, whatever was told", () => {
    expect(line("validated", { step: "x", field_f1: {}, best: 1 })?.words).toBe(
      "After step ?: field F1 ? %, class right ?, ? fit the schema.".replace("? %", "?"),
    );
    expect(line("news", { a: 1 })?.words).toBe("It said: news.");
  });

  it("has the level that was told, or the one of its kind", () => {
    expect(line("log", { text: "x" }, "warning")?.level).toBe("warning");
    expect(line("failed", {})?.level).toBe("error");
    expect(line("cancelled", {})?.level).toBe("warning");
    expect(line("checkpoint", {})?.level).toBe("debug");
    expect(line("log", { text: "x" }, "shout")?.level).toBe("info");
  });

  it("is not made of steps and samples, which are drawn", () => {
    expect(line("step", { step: 1 })).toBeNull();
    expect(line("sample", {})).toBeNull();
  });
});

it.each([
  [null, "an unknown time"],
  [12, "less than a minute"],
  [200, "about 3 min"],
  [7300, "about 2 h"],
])("%s s are %s", (seconds, words) => {
  expect(durationInWords(seconds)).toBe(words);
});
