import { beforeEach, expect, test } from "vitest";

import { aDispatch, aNode } from "../testing";
import { FleetFeed } from "./fleetFeed";

let feed: FleetFeed;
const ids = () => feed.snapshot().dispatches.map(({ id }) => id);

beforeEach(() => {
  feed = new FleetFeed();
});

test("edge nodes stand before cloud nodes, whatever order they come in", () => {
  feed.load(
    [aNode({ name: "cloud-1", kind: "cloud" }), aNode({ name: "edge-2" }), aNode({ name: "edge-1" })],
    [],
  );
  feed.node(aNode({ name: "edge-1", health: "unreachable" }));
  expect(feed.snapshot().nodes.map(({ name, health }) => `${name} ${health}`)).toEqual([
    "edge-1 unreachable",
    "edge-2 ready",
    "cloud-1 ready",
  ]);
});

test("a decision gets its outcome in place", () => {
  feed.dispatch(aDispatch({ id: 1, outcome: "running" }));
  feed.dispatch(aDispatch({ id: 2, outcome: "running" }));
  feed.dispatch(aDispatch({ id: 1, outcome: "ok" }));
  expect(feed.snapshot().dispatches.map(({ id, outcome }) => [id, outcome])).toEqual([
    [2, "running"],
    [1, "ok"],
  ]);
});

test("while I read, new decisions wait behind a count and known ones still change", () => {
  feed.dispatch(aDispatch({ id: 1, outcome: "running" }));
  feed.setHolding(true);
  feed.dispatch(aDispatch({ id: 2 }));
  feed.dispatch(aDispatch({ id: 1, outcome: "failed" }));
  expect(ids()).toEqual([1]);
  expect(feed.snapshot().dispatches[0]?.outcome).toBe("failed");
  expect(feed.snapshot().held).toBe(1);
  feed.setHolding(false);
  expect(ids()).toEqual([2, 1]);
  expect(feed.snapshot().held).toBe(0);
});

test("a drain shows at once, holds against late hints, and is taken back when it is refused", () => {
  feed.load([aNode({ name: "edge-1" })], []);
  feed.ask("edge-1", true);
  feed.node(aNode({ name: "edge-1", draining: false }));
  expect(feed.snapshot().asked.get("edge-1")).toBe(true);
  feed.settle("edge-1", null);
  expect(feed.snapshot().asked.size).toBe(0);
  expect(feed.snapshot().nodes[0]?.draining).toBe(false);

  feed.ask("edge-1", true);
  feed.settle("edge-1", aNode({ name: "edge-1", draining: true }));
  expect(feed.snapshot().asked.size).toBe(0);
  expect(feed.snapshot().nodes[0]?.draining).toBe(true);
});

test("the list stays short", () => {
  for (let id = 1; id <= 200; id++) feed.dispatch(aDispatch({ id }));
  expect(ids()).toHaveLength(60);
  expect(ids()[0]).toBe(200);
});
