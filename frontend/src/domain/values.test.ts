/** Tables for the small pure functions: geometry, numbers in words, throughput, trouble in words. */
import { describe, expect, test } from "vitest";

import { aHealth, aRegion } from "../testing";
import { descriptionsWaitFor, troubles } from "./degraded";
import { ago, formatBytes, formatError, formatMs, formatRate, formatScore, plural } from "./format";
import { boxInWords, drawable, smallestAt, surroundings } from "./region";
import { Throughput, median } from "./throughput";

describe("geometry", () => {
  test.each([
    ["in the middle", [100, 100, 120, 110], { x: 70, y: 70, width: 80, height: 70 }],
    ["cut at the upper left", [0, 0, 20, 20], { x: 0, y: 0, width: 50, height: 50 }],
    ["cut at the lower right", [620, 620, 640, 640], { x: 590, y: 590, width: 50, height: 50 }],
    ["a speck still gets room", [100, 100, 102, 102], { x: 88, y: 88, width: 26, height: 26 }],
  ] as const)("surroundings of a box %s", (_name, box, expected) => {
    expect(surroundings(box, [640, 640])).toEqual(expected);
  });

  test("draws what is certain enough, small boxes on top of large ones", () => {
    const regions = [
      aRegion({ id: "small", box_xyxy: [0, 0, 5, 5], score: 0.9 }),
      aRegion({ id: "large", box_xyxy: [0, 0, 50, 50], score: 0.5 }),
      aRegion({ id: "unsure", score: 0.2 }),
    ];
    expect(drawable(regions, 0.5).map(({ id }) => id)).toEqual(["large", "small"]);
  });

  test.each([
    ["inside both", 12, 12, "small"],
    ["inside the large one only", 40, 40, "large"],
    ["just beside the large one", 53, 40, "large"],
    ["beside all", 80, 80, null],
  ])("a click %s", (_name, x, y, expected) => {
    const regions = [
      { id: "large", rect: { x: 0, y: 0, width: 50, height: 50 } },
      { id: "small", rect: { x: 10, y: 10, width: 5, height: 5 } },
    ];
    expect(smallestAt(regions, { x, y }, 4)).toBe(expected);
  });

  test("a box in words", () => {
    expect(boxInWords([411.6, 96.2, 435.6, 127.2])).toBe("24 × 31 px at 412, 96");
  });
});

describe("numbers carry units", () => {
  test.each([
    [0, "0 ms"],
    [4.23, "4.2 ms"],
    [41.7, "42 ms"],
    [1234, "1.23 s"],
    [12_340, "12.3 s"],
    [59_960, "1 min 0 s"],
    [125_000, "2 min 5 s"],
    [599_700, "10 min 0 s"],
    [null, "not measured"],
    [undefined, "not measured"],
  ])("%d ms is %s", (ms, expected) => {
    expect(formatMs(ms)).toBe(expected);
  });

  test.each([
    [999, "999 B"],
    [61_400, "61 kB"],
    [2_340_000, "2.3 MB"],
  ])("%d bytes is %s", (bytes, expected) => {
    expect(formatBytes(bytes)).toBe(expected);
  });

  test.each([
    [1, "just now"],
    [12, "12 s ago"],
    [61, "1 min ago"],
    [7300, "2 h ago"],
    [200_000, "2 d ago"],
    [-5, "just now"],
  ])("%d seconds ago reads %s", (seconds, expected) => {
    const now = Date.parse("2026-03-02T10:00:00Z");
    expect(ago(new Date(now - seconds * 1000).toISOString(), now)).toBe(expected);
  });

  test.each([
    [12_500, "100 kbit/s"],
    [1_000_000, "8.0 Mbit/s"],
    [12_500_000, "100 Mbit/s"],
  ])("%d bytes a second is %s", (rate, expected) => {
    expect(formatRate(rate)).toBe(expected);
  });

  test.each([
    [12.4, "+12 ms"],
    [-3.21, "−3.2 ms"],
    [0.01, "±0 ms"],
  ])("%d ms off reads %s", (error, expected) => {
    expect(formatError(error)).toBe(expected);
  });

  test("scores and counts", () => {
    expect(formatScore(0.914)).toBe("91 %");
    expect([plural(1, "frame"), plural(2, "frame")]).toEqual(["1 frame", "2 frames"]);
  });
});

describe("throughput", () => {
  test("counts the last minute only", () => {
    const meter = new Throughput();
    for (const at of [0, 30_000, 61_000]) meter.add(at);
    expect(meter.lastMinute(61_000)).toBe(2);
    expect(meter.lastMinute(200_000)).toBe(0);
  });

  test.each([
    [[], null],
    [[3], 3],
    [[9, 1, 5], 5],
    [[4, 1, 2, 3], 2.5],
  ])("the median of %j is %s", (values, expected) => {
    expect(median(values)).toBe(expected);
  });
});

describe("trouble in words", () => {
  const lastReady = "2026-03-02T10:42:00Z";
  const edge = { kind: "edge", status: "ready", last_ready_at: lastReady };
  const cloud = { kind: "cloud", status: "ready", last_ready_at: lastReady };
  const down = { status: "unreachable" };
  const now = Date.parse("2026-03-02T11:00:00Z");
  const at = new Date(lastReady).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  const away = `Edge-only: cloud unreachable since ${at}, descriptions of 37 frames pending. Decisions go on.`;
  const drained =
    "Edge-only: every cloud node is drained, descriptions of 37 frames pending. Decisions go on.";

  test.each([
    ["all is well", [edge, cloud], []],
    ["one of two edge nodes is down", [{ ...edge, ...down }, edge, cloud], []],
    ["the cloud is away", [edge, { ...cloud, ...down }], [away]],
    [
      "no edge node is there",
      [{ ...edge, ...down }, cloud],
      [`No edge node in reach since ${at}: 0 frames waiting.`],
    ],
    ["a drained cloud takes no work either", [edge, { ...cloud, status: "draining" }], [drained]],
    ["there are no nodes yet", [], []],
  ])("%s", (_name, nodes, expected) => {
    expect(troubles(aHealth(nodes, 37), now).map(({ sentence }) => sentence)).toEqual(expected);
  });

  test.each([
    ["all is well", [edge, cloud], null],
    ["the cloud is away", [edge, { ...cloud, ...down }], "cloud unreachable"],
    ["the cloud is drained", [edge, { ...cloud, status: "draining" }], "cloud drained"],
    ["one cloud of two is left", [{ ...cloud, ...down }, cloud], null],
  ])("why a description waits when %s", (_name, nodes, expected) => {
    expect(descriptionsWaitFor(aHealth(nodes))).toBe(expected);
  });

  test.each([
    ["database", "The database does not answer: no frames can be taken in."],
    ["workers", "No worker is running: frames are stored and wait."],
    ["redis", "Redis does not answer: live updates may come late. Nothing is lost."],
  ] as const)("the %s is down", (part, expected) => {
    const health = aHealth([edge, cloud]);
    health.parts[part] = "down";
    expect(troubles(health, now).map(({ sentence }) => sentence)).toEqual([expected]);
  });
});
