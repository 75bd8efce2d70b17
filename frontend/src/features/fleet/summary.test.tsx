// @vitest-environment happy-dom
/** What Fleet tells in plain words: what was saved, who sends the work, what went wrong on a node. */
import { screen, waitFor } from "@testing-library/react";
import { expect, test } from "vitest";

import { aHealth, aNode } from "../../testing";
import { aBoot, aServer, draw, onACleanPage } from "../../testingDom";
import { FleetPage } from "./FleetPage";
import { SavingsSection } from "./Savings";

onACleanPage();

const NOTHING_SAVED = {
  minutes: 60,
  ladder: { requests: 0, bytes: 0, by_quality: {} },
  skipped: { regions: 0, bytes: 0, tokens: 0, seconds: 0 },
};

async function savings(part: object) {
  const server = aServer({ "GET /api/v1/savings": { ...NOTHING_SAVED, ...part } });
  draw(<SavingsSection />);
  await waitFor(() => expect(server.of("GET /api/v1/savings")).toHaveLength(1));
  expect(server.asked[0]?.query.get("minutes")).toBe("60");
}
const items = async () => (await screen.findAllByRole("listitem")).map(({ textContent }) => textContent);

test("bytes of lower quality, and bytes, tokens and seconds of what was left out", async () => {
  await savings({
    ladder: { requests: 3, bytes: 240_000, by_quality: { "JPEG 75": 3 } },
    skipped: { regions: 12, bytes: 72_000, tokens: 120, seconds: 4.25 },
  });
  expect(await items()).toEqual([
    "3 requests sent in lower quality: 240 kB less",
    "12 regions not described, because the edge is sure: about 72 kB, 120 tokens and 4.3 s of the describer",
  ]);
});

test("only what happened is told, one of it in the singular", async () => {
  await savings({ skipped: { regions: 1, bytes: 6000, tokens: 10, seconds: 0.02 } });
  expect(await items()).toEqual([
    "1 region not described, because the edge is sure: about 6 kB, 10 tokens and 0.0 s of the describer",
  ]);
});

test("where nothing was saved there is no heading over nothing", async () => {
  await savings({});
  expect(screen.queryByText("Saved in the last hour")).toBeNull();
});

async function fleet(summary: object, counts = {}) {
  const server = aServer({
    "GET /health": aHealth([]),
    "GET /api/v1/nodes": [aNode({ counts })],
    "GET /api/v1/dispatches": [],
    "GET /api/v1/dispatches/accuracy": { minutes: 15, all: { count: 0 }, by_node: [], points: [] },
    "GET /api/v1/lateness": { minutes: 60, received: 0, late: 0 },
    "GET /api/v1/line-policies": [],
    "GET /api/v1/savings": NOTHING_SAVED,
    "GET /api/v1/fleet": summary,
  });
  draw(<FleetPage boot={aBoot()} />);
  await waitFor(() => expect(server.of("GET /api/v1/fleet").length).toBeGreaterThan(0));
  await screen.findByRole("region", { name: "Nodes" });
}
const workers = async () => (await screen.findByText(/work to the nodes/)).textContent;

test("how many workers send work, and nothing of messages while all were sent", async () => {
  await fleet({ live_workers: 2, dropped_hints: 0 });
  expect(await workers()).toBe("2 workers send work to the nodes.");
});

test("messages that screens did not get at once are told, and that nothing is missing for it", async () => {
  await fleet({ live_workers: 1, dropped_hints: 7 });
  expect(await workers()).toBe(
    "1 worker sends work to the nodes. 7 messages to screens could not be sent at once; screens read what they missed.",
  );
});

test("without a worker that is what it says", async () => {
  await fleet({ live_workers: 0, dropped_hints: 0 });
  expect(await workers()).toBe("No worker sends work to the nodes now.");
});

test("a node's card says what went wrong there, and nothing where nothing did", async () => {
  await fleet({ live_workers: 2, dropped_hints: 0 }, { failures: 2, reissues: 1 });
  const troubles = await screen.findByText("Troubles");
  expect(troubles.nextElementSibling?.textContent).toBe(
    "2 requests failed1 request taken back, to be in time on another node",
  );
});

test("a node without troubles has no such line", async () => {
  await fleet({ live_workers: 2, dropped_hints: 0 }, {});
  expect(screen.queryByText("Troubles")).toBeNull();
});
