import { beforeEach, describe, expect, test } from "vitest";

import { aDescription, aFrame, aRegion } from "../testing";
import { FrameFeed } from "./frameFeed";

let feed: FrameFeed;
const ids = () => feed.snapshot().shown.map(({ id }) => id);
const writing = (id: string, state: "pending" | "done") =>
  aFrame({ id, regions: [aRegion({ id: `r-${id}`, description: aDescription({ state }) })] });

beforeEach(() => {
  feed = new FrameFeed(3);
});

describe("the newest frames of a line", () => {
  test("stand newest first and no more than fit", () => {
    feed.put(["02", "04", "01", "03"].map((id) => aFrame({ id })));
    expect(ids()).toEqual(["04", "03", "02"]);
  });

  test("change in place when REST says more about them", () => {
    feed.put([aFrame({ id: "01" }), aFrame({ id: "02" })]);
    feed.put([aFrame({ id: "01", state: "decided" })]);
    expect(ids()).toEqual(["02", "01"]);
    expect(feed.snapshot().shown[1]?.state).toBe("decided");
  });

  test("do not move while the person reads, but are counted", () => {
    feed.put([aFrame({ id: "01" })]);
    feed.setHolding(true);
    feed.put([aFrame({ id: "02" }), aFrame({ id: "03" })]);
    feed.put([aFrame({ id: "03", state: "decided" })]);
    expect(ids()).toEqual(["01"]);
    expect(feed.snapshot().held).toBe(2);
  });

  test("come in when asked for, and the list rests again", () => {
    feed.put([aFrame({ id: "01" })]);
    feed.setHolding(true);
    feed.put([aFrame({ id: "02" })]);
    feed.release();
    feed.put([aFrame({ id: "03" })]);
    expect(ids()).toEqual(["02", "01"]);
    expect(feed.snapshot().held).toBe(1);
  });

  test("of a long hold only as many are kept as can be shown, and it is said", () => {
    feed.put([aFrame({ id: "00" })]);
    feed.setHolding(true);
    for (let n = 10; n < 30; n++) feed.put([aFrame({ id: String(n) })]);
    expect(feed.snapshot()).toMatchObject({ held: 3, heldMore: true });
    feed.release();
    expect(ids()).toEqual(["29", "28", "27"]);
    expect(feed.snapshot()).toMatchObject({ held: 0, heldMore: false });
  });

  test("come in when the hold ends", () => {
    feed.put([aFrame({ id: "01" })]);
    feed.setHolding(true);
    feed.put([aFrame({ id: "02" })]);
    feed.setHolding(false);
    expect(ids()).toEqual(["02", "01"]);
    expect(feed.snapshot().held).toBe(0);
  });

  test("still change in place during a hold", () => {
    feed.put([aFrame({ id: "01" })]);
    feed.setHolding(true);
    feed.put([aFrame({ id: "01", state: "decided" })]);
    expect(feed.snapshot().shown[0]?.state).toBe("decided");
  });
});

describe("text that is being written", () => {
  const hint = (n: number, text: string) =>
    ({ type: "describe.token", id: "01", region: "r-01", text, n }) as const;

  test.each([
    ["grows piece by piece", [hint(1, "a"), hint(3, " broken trace")], { text: "a broken trace", tokens: 3 }],
    ["says when we joined midway", [hint(4, " trace")], { text: "…  trace", tokens: 4 }],
    [
      "begins anew with a new attempt",
      [hint(1, "a"), hint(6, " bro"), hint(1, "one")],
      { text: "one", tokens: 1 },
    ],
  ])("%s", (_name, hints, expected) => {
    feed.put([writing("01", "pending")]);
    for (const piece of hints) feed.token(piece);
    expect(feed.snapshot().typing.get("r-01")).toEqual(expected);
  });

  test("gives way to the finished description", () => {
    feed.put([writing("01", "pending")]);
    feed.token(hint(2, "a bro"));
    feed.put([writing("01", "done")]);
    expect(feed.snapshot().typing.size).toBe(0);
  });
});

test("listeners hear of a change until they leave", () => {
  let calls = 0;
  const leave = feed.subscribe(() => calls++);
  feed.put([aFrame()]);
  leave();
  feed.put([aFrame({ id: "0002" })]);
  expect(calls).toBe(1);
});
