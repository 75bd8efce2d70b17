import { describe, expect, test } from "vitest";

import type { FleetNode } from "../api/types";
import { aNode } from "../testing";
import { edgeOnly, inRotation, servesAlone } from "./fleetMode";

const edge = (part: Partial<FleetNode> = {}) => aNode({ name: "edge-1", ...part });
const cloud = (part: Partial<FleetNode> = {}) => {
  const models = [{ model: "describer", served_model: null, version: null, digest: null }];
  return aNode({ name: "cloud-1", kind: "cloud", models, ...part });
};

test.each([
  ["ready", {}, true],
  ["on trial", { breaker: "half-open" }, true],
  ["drained", { draining: true }, false],
  ["resting", { breaker: "open" }, false],
  ["unreachable", { health: "unreachable" }, false],
] as const)("a node that is %s", (_name, part, expected) => {
  expect(inRotation(edge(part))).toBe(expected);
});

describe("edge-only", () => {
  test.each([
    ["all is well", [edge(), cloud()], null],
    ["there is no cloud at all", [edge()], null],
    ["nothing works", [edge({ health: "unreachable" }), cloud({ health: "unreachable" })], null],
    ["the cloud is gone", [edge(), cloud({ health: "unreachable" })], ["cloud-1 is unreachable"]],
    ["the cloud is drained", [edge(), cloud({ draining: true })], ["cloud-1 is drained"]],
    ["the breaker was faster", [edge(), cloud({ breaker: "open" })], ["cloud-1 rests after failures"]],
    ["one of two clouds is left", [edge(), cloud({ draining: true }), cloud({ name: "cloud-2" })], null],
  ])("%s", (_name, nodes, expected) => {
    expect(edgeOnly(nodes)).toEqual(expected);
  });
});

test("the last node with a model is known before it is drained", () => {
  const nodes = [edge(), edge({ name: "edge-2" }), cloud()];
  expect(servesAlone(nodes[0] as FleetNode, nodes)).toEqual([]);
  expect(servesAlone(nodes[2] as FleetNode, nodes)).toEqual(["describer"]);
  const oneDown = [edge(), edge({ name: "edge-2", health: "unreachable" }), cloud()];
  expect(servesAlone(oneDown[0] as FleetNode, oneDown)).toEqual(["edge_detector"]);
});
