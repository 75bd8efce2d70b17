import { describe, expect, test } from "vitest";

import { readableSoFar } from "./partialAnswer";

describe("an answer that is still being written", () => {
  test.each([
    ["", ""],
    ["{", ""],
    ['{"defect_cl', ""],
    ['{"defect_class":', ""],
    ['{"defect_class": "op', "op"],
    ['{"defect_class": "open", "appearance": "the trace is bro', "open · the trace is bro"],
    ['{"defect_class": "open", "confidence": 0.9', "open"],
    ['{"appearance": "a \\"sharp\\" edge', 'a "sharp" edge'],
    ['{"appearance": "two\\nlines and \\u00b5m", "x": true}', "two lines and µm · true"],
    ['{"appearance": "cut in an escape \\', "cut in an escape"],
    ["broken trace, one net", "broken trace, one net"],
    ['… ken", "probable_cause": "over-etching', "over-etching"],
    ["… trace is broken", "… trace is broken"],
    ["  leading space", "leading space"],
    ['{"appearance": "<img src=x onerror=alert(1)>', "<img src=x onerror=alert(1)>"],
  ])("%j reads %j", (raw, expected) => {
    expect(readableSoFar(raw)).toBe(expected);
  });

  test("grows or stays, but never goes blank, as an answer is typed", () => {
    const whole = '{"defect_class": "short", "appearance": "a bridge between two nets", "confidence": 0.93}';
    let longest = 0;
    for (let end = 0; end <= whole.length; end++) {
      const length = readableSoFar(whole.slice(0, end)).length;
      expect(length).toBeGreaterThanOrEqual(longest);
      longest = Math.max(longest, length);
    }
  });
});
