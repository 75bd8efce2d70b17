// @vitest-environment happy-dom
import { act, fireEvent, screen, waitFor, within } from "@testing-library/react";
import { expect, test } from "vitest";

import type { Dispatch, FleetNode, LinePolicy } from "../../api/types";
import { aDispatch, aHealth, aNode, aReplay } from "../../testing";
import { aBoot, aServer, draw, onACleanPage, refusal, SilentSocket } from "../../testingDom";
import { FleetPage } from "./FleetPage";

onACleanPage();

const edge = aNode({ name: "edge-1" });
const cloud = aNode({
  name: "cloud-1",
  kind: "cloud",
  models: [{ model: "describer", served_model: "aivd-small 1", version: "1", digest: "00" }],
});
const policy: LinePolicy = {
  line: 1,
  name: "Line A",
  site: "Plant",
  policy: "pct-lb",
  may_change: true,
  available: [
    { name: "pct-lb", about: "Least predicted completion.", recommended: true },
    { name: "round-robin", about: "One after another.", recommended: false },
  ],
  changes: [],
};
const NOTHING = { minutes: 15, all: { count: 0 }, by_node: [], points: [] };

function theServer(nodes: readonly FleetNode[], dispatches: readonly Dispatch[], answers = {}) {
  return aServer({
    "GET /health": aHealth([], 4),
    "GET /api/v1/nodes": nodes,
    "GET /api/v1/dispatches": dispatches,
    "GET /api/v1/dispatches/accuracy": NOTHING,
    "GET /api/v1/lateness": { minutes: 15, frames: 0, late: 0, lines: [] },
    "GET /api/v1/line-policies": [policy],
    "GET /api/v1/replays": { available: policy.available, runs: [] },
    ...answers,
  });
}

async function fleet(nodes = [edge, cloud], dispatches = [aDispatch()], answers = {}, part = {}) {
  const server = theServer(nodes, dispatches, answers);
  draw(<FleetPage boot={aBoot({ may_manage_fleet: true, may_replay: true, ...part })} />);
  await waitFor(() => expect(server.of("GET /api/v1/nodes").length).toBeGreaterThan(0));
  return server;
}

const socket = () => SilentSocket.made.find(({ url }) => url.includes("/fleet"));
const drain = (name: string) => screen.findByRole("button", { name: new RegExp(`Drain.* ${name}`) });

test("each node has its card, and each decision its reason", async () => {
  await fleet();
  const nodes = await screen.findByRole("region", { name: "Nodes" });
  expect(within(nodes).getAllByText("edge-1").length).toBeGreaterThan(0);
  expect(within(nodes).getAllByText("cloud-1").length).toBeGreaterThan(0);
  expect(screen.getByText("least predicted completion")).toBeTruthy();
  expect(screen.getByRole("link", { name: "detect" }).getAttribute("href")).toBe("/frames/0001/");
});

test("with no node the page says what one is and how to name it", async () => {
  await fleet([], []);
  expect(await screen.findByRole("heading", { name: "No nodes yet" })).toBeTruthy();
  expect(screen.getByRole("heading", { name: "No decisions yet" })).toBeTruthy();
});

test("draining asks first, says what is lost without the node, and can be taken back", async () => {
  const server = await fleet([edge, cloud], [], {
    "POST /api/v1/nodes/cloud-1/drain": { ...cloud, draining: true },
    "POST /api/v1/nodes/cloud-1/undrain": cloud,
  });
  fireEvent.click(await drain("cloud-1"));
  const dialog = screen.getByLabelText("Drain cloud-1?");
  expect(dialog.textContent).toContain("nothing in rotation describes");
  expect(server.of("POST /api/v1/nodes/cloud-1/drain")).toHaveLength(0);
  fireEvent.submit(dialog.querySelector("form") as HTMLFormElement);
  expect(await screen.findByText("cloud-1 gets no new work.")).toBeTruthy();
  fireEvent.click(screen.getByRole("button", { name: "Undo" }));
  expect(await screen.findByText("cloud-1 gets work again.")).toBeTruthy();
});

test("a refused drain shows the node as it was, and says why", async () => {
  const no = refusal(403, "forbidden", "You may not drain nodes.", "Ask an admin.");
  await fleet([edge], [], { "POST /api/v1/nodes/edge-1/drain": no });
  fireEvent.click(await drain("edge-1"));
  fireEvent.submit(screen.getByLabelText("Drain edge-1?").querySelector("form") as HTMLFormElement);
  expect(await screen.findByText("You may not drain nodes.")).toBeTruthy();
  expect(screen.queryByText("Put back to work")).toBeNull();
});

test("who may not manage the fleet sees no button for it", async () => {
  await fleet([edge], [], {}, { may_manage_fleet: false });
  await screen.findByRole("region", { name: "Nodes" });
  expect(screen.queryByRole("button", { name: /Drain/ })).toBeNull();
});

test("without a cloud node in rotation the mode is named, with what waits", async () => {
  await fleet([edge, aNode({ ...cloud, health: "unreachable" })], []);
  const notice = await screen.findByText("Edge-only:");
  await waitFor(() => expect(notice.parentElement?.textContent).toContain("descriptions of 4 frames"));
});

test("live decisions wait while the list is paused", async () => {
  await fleet([edge], [aDispatch({ id: 1, reason: "the first" })]);
  await screen.findByText("the first");
  fireEvent.click(screen.getByRole("button", { name: "Pause" }));
  act(() => socket()?.says({ type: "dispatch", ...aDispatch({ id: 2, reason: "the second" }) }));
  expect(screen.queryByText("the second")).toBeNull();
  fireEvent.click(screen.getByRole("button", { name: "1 new decision" }));
  expect(screen.getByText("the second")).toBeTruthy();
});

test("another policy is chosen for a line, and put back by Undo", async () => {
  const chosen: unknown[] = [];
  await fleet([edge], [], {
    "PUT /api/v1/lines/1/policy": ({ body }: { body: { policy: string } }) => {
      chosen.push(body);
      return { ...policy, ...body };
    },
  });
  fireEvent.click(await screen.findByRole("button", { name: /^All/ }));
  const row = () => document.querySelector("[data-line='1']") as HTMLElement;
  fireEvent.change(within(row()).getByRole("combobox"), { target: { value: "round-robin" } });
  expect(row().textContent).toContain("One after another.");
  fireEvent.click(within(row()).getByRole("button", { name: "Use it" }));
  expect(await screen.findByText("Line A chooses by round-robin.")).toBeTruthy();
  fireEvent.click(screen.getAllByRole("button", { name: "Undo" }).at(-1) as HTMLElement);
  expect(await screen.findByText("Line A chooses by pct-lb.")).toBeTruthy();
  expect(chosen).toEqual([{ policy: "round-robin" }, { policy: "pct-lb" }]);
});

test("a hint that a policy changed elsewhere asks for them again", async () => {
  const server = await fleet([edge], []);
  await waitFor(() => expect(server.of("GET /api/v1/line-policies")).toHaveLength(1));
  act(() => socket()?.says({ type: "policies" }));
  await waitFor(() => expect(server.of("GET /api/v1/line-policies")).toHaveLength(2));
});

test("a replay is started, watched and cancelled", async () => {
  const running = aReplay({ state: "running", active: true, done: 10, total: 100 });
  const server = await fleet([edge], [], {
    "POST /api/v1/replays": running,
    "GET /api/v1/replays/1": running,
    "POST /api/v1/replays/1/cancel": aReplay({ state: "cancelled", active: false, done: 20 }),
  });
  const ask = await screen.findByRole("button", { name: "Replay" });
  await waitFor(() => expect(ask.hasAttribute("disabled")).toBe(false));
  fireEvent.click(ask);
  expect(await screen.findByText(/10 of 100 recorded looks decided again/)).toBeTruthy();
  expect(server.of("POST /api/v1/replays")[0]?.body).toEqual({ policy: "round-robin", minutes: 15 });
  fireEvent.click(screen.getByRole("button", { name: "Cancel" }));
  expect(await screen.findByText(/Cancelled after 20 of/)).toBeTruthy();
});

test("a server that is away says so and draws no empty fleet", async () => {
  await fleet([], [], { "GET /api/v1/nodes": refusal(503, "away", "The database is away.", "Wait.") });
  expect(await screen.findByText("The database is away.")).toBeTruthy();
  expect(screen.queryByRole("heading", { name: "No nodes yet" })).toBeNull();
});
