import { describe, expect, test } from "vitest";

import { ANY, asQuery, chosen, chosenCount, filterFrom, searchOf } from "./frameFilter";

describe("the address", () => {
  test("tells the filter, and the filter the address", () => {
    const filter = filterFrom("?line=3&decision=hold&part=B-47&min_score=40");
    expect(filter).toEqual({ line: "3", decision: "hold", part: "B-47", min_score: "40" });
    expect(filterFrom(searchOf(filter))).toEqual(filter);
  });

  test("names that nobody knows and empty values are left out", () => {
    expect(filterFrom("?evil=1&station=&part=%20%20")).toEqual({});
  });

  test("a part with signs of its own comes through whole", () => {
    const filter = { part: "a&b=c d/é" };
    expect(filterFrom(searchOf(filter))).toEqual(filter);
  });
});

describe("choosing", () => {
  test("replaces one part and keeps the others", () => {
    expect(chosen({ decision: "fail", part: "7" }, "decision", "hold")).toEqual({
      decision: "hold",
      part: "7",
    });
  });

  test("an empty choice takes the part away", () => {
    expect(chosen({ decision: "fail", part: "7" }, "decision", "")).toEqual({ part: "7" });
  });

  test("another line has other stations and classes", () => {
    const filter = { line: "1", station: "4", defect_class: "9", decision: "fail" };
    expect(chosen(filter, "line", "2")).toEqual({ line: "2", decision: "fail" });
    expect(chosen(filter, "line", "")).toEqual({ decision: "fail" });
  });

  test("how many are set is counted", () => {
    expect(chosenCount({})).toBe(0);
    expect(chosenCount({ line: "1", since: "2026-03-02" })).toBe(2);
  });
});

describe("for the server", () => {
  test("the queue begins with what nobody has judged", () => {
    expect(asQuery({})).toEqual({ verdict: "none" });
    expect(asQuery({ verdict: "reject" })).toEqual({ verdict: "reject" });
    expect(asQuery({ verdict: ANY })).toEqual({});
  });

  test("percent become shares, within what a score can be", () => {
    const query = asQuery({ verdict: ANY, min_score: "40", max_score: "250" });
    expect(query).toEqual({ min_score: 0.4, max_score: 1 });
    expect(asQuery({ verdict: ANY, min_score: "-3" })).toEqual({ min_score: 0 });
  });

  test.each(["abc", "1e400", "NaN"])("a score of %s is not asked for", (min_score) => {
    expect(asQuery({ verdict: ANY, min_score })).toEqual({});
  });

  test.each(["0", "-1", "1.5", "x", "9999999999999999999"])("a line %s is not asked for", (line) => {
    expect(asQuery({ verdict: ANY, line })).toEqual({});
  });

  test("disagreement is yes, no, or not asked", () => {
    expect(asQuery({ verdict: ANY, disagreement: "yes" })).toEqual({ disagreement: true });
    expect(asQuery({ verdict: ANY, disagreement: "no" })).toEqual({ disagreement: false });
  });

  test("a day begins at midnight here, and the last day is taken in whole", () => {
    const { since, until } = asQuery({ verdict: ANY, since: "2026-03-02", until: "2026-03-02" });
    expect(since).toBe(new Date(2026, 2, 2).toISOString());
    expect(until).toBe(new Date(2026, 2, 3).toISOString());
  });

  test.each(["yesterday", "2026-3-2", "02.03.2026"])("%s is no day", (since) => {
    expect(asQuery({ verdict: ANY, since })).toEqual({});
  });
});
