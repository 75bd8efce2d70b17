import { expect, test } from "vitest";

import type { FleetNode } from "../api/types";
import { aNode } from "../testing";
import { fleetSentence } from "./fleetSentence";

const edge = (part: Partial<FleetNode> = {}) => aNode({ name: "edge-1", ...part });
const cloud = (part: Partial<FleetNode> = {}) => aNode({ name: "cloud-1", kind: "cloud", ...part });
const hour = (received: number, late: number) => ({ minutes: 60, received, late });

test.each([
  ["well", [edge(), cloud()], hour(900, 0), "well", "All well, 0 late in the last hour."],
  ["nothing sent", [edge(), cloud()], hour(0, 0), "well", "All well, no frames in the last hour."],
  ["not counted yet", [edge(), cloud()], null, "well", "All well."],
  [
    "some late",
    [edge(), cloud()],
    hour(900, 3),
    "warning",
    "All nodes work, but 3 of 900 frames late in the last hour.",
  ],
  [
    "one out",
    [edge(), cloud({ health: "unreachable" })],
    hour(900, 0),
    "warning",
    "1 of 2 nodes work: cloud-1 is unreachable; 0 late in the last hour.",
  ],
  [
    "nothing finds",
    [edge({ draining: true }), cloud()],
    hour(900, 9),
    "stopped",
    "No node finds defects now: frames wait, and are held at their deadline; 9 of 900 frames late in the last hour.",
  ],
] as const)("%s", (_name, nodes, lateness, level, words) => {
  expect(fleetSentence(nodes, lateness)).toEqual({ level, words });
});

test("nothing is said before anything is known", () => {
  expect(fleetSentence([], null)).toBeNull();
});
