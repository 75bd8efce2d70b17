// @vitest-environment happy-dom
import { act, fireEvent, screen, waitFor, within } from "@testing-library/react";
import { expect, test, vi } from "vitest";

import type { Baseline, Frame, Station } from "../../api/types";
import { aDescription, aFrame, aHealth, aRegion, aReview } from "../../testing";
import { aBoot, aPerson, aServer, draw, onACleanPage, refusal, SilentSocket } from "../../testingDom";
import { LivePage } from "./LivePage";

onACleanPage();
vi.spyOn(console, "error");

const WELL = aHealth([
  { kind: "edge", status: "ready" },
  { kind: "cloud", status: "ready" },
]);
const station = (part: Partial<Station> = {}): Partial<Station> => ({
  id: 1,
  name: "Camera 1",
  product: "bare-pcb",
  ...part,
});
const baseline: Baseline = { state: "established", collected: 100, wanted: 100, limit: 2, confirmed_by: "" };
const decision = (outcome: "pass" | "fail" | "hold", code: string, reason: string): Frame["decision"] =>
  ({ outcome, code, reason, decided_at: new Date().toISOString(), latency_ms: 80 }) as Frame["decision"];

function theServer(frames: readonly Frame[], answers: Parameters<typeof aServer>[0] = {}) {
  return aServer({
    "GET /health": WELL,
    "GET /api/v1/frames": { frames, next_before: null },
    ...Object.fromEntries(frames.map((frame) => [`GET /api/v1/frames/${frame.id}`, frame])),
    "GET /api/v1/stations": [station()],
    "GET /api/v1/stations/1/baseline": baseline,
    "GET /api/v1/stations/1/demo": { state: "none", running: false },
    ...answers,
  });
}

const cards = () => [...document.querySelectorAll<HTMLElement>(".frame-card")];
const line = () => SilentSocket.made.find(({ url }) => url.includes("/events"));

async function live(frames: readonly Frame[], answers = {}, boot = aBoot()) {
  const server = theServer(frames, answers);
  draw(<LivePage boot={boot} />);
  await waitFor(() => expect(server.of("GET /api/v1/frames").length).toBeGreaterThan(0));
  act(() => {
    line()?.onopen?.();
    line()?.says({ type: "hello", head_seq: 0, epoch: "a" });
  });
  return server;
}

test("a card says what was decided, found and said, where, and how fast", async () => {
  const frame = aFrame({
    id: "1",
    part_id: "B-4711",
    decision: decision("fail", "defect", "A region."),
    steps: [
      {
        kind: "detect",
        title: "Detect",
        state: "done",
        attempts: 1,
        node: "edge-1",
        error: null,
        result: {},
      },
    ],
    regions: [aRegion({ description: aDescription({ text: { appearance: "A thin gap." } }) })],
    reviews: [aReview({ part: "defective" })],
  });
  await live([frame]);
  await waitFor(() => expect(cards()).toHaveLength(1));
  const [card] = cards();
  for (const words of ["Fail", "Defective", "B-4711", "open", "A thin gap.", "edge-1", "80 ms"]) {
    expect(card?.textContent).toContain(words);
  }
});

test("a held frame says why in words", async () => {
  await live([aFrame({ id: "1", decision: decision("hold", "late", "Not decided in 5 s.") })]);
  expect(await screen.findByText("Held: too late.", { exact: false })).toBeTruthy();
});

test("a frame that changes is asked for by itself, and its card changes in place", async () => {
  const server = await live([aFrame({ id: "1" })]);
  await waitFor(() => expect(cards()[0]?.textContent).toContain("Not decided yet"));
  await waitFor(() => expect(server.of("GET /api/v1/frames").length).toBeGreaterThan(1)); // the hello's
  const decided = aFrame({ id: "1", decision: decision("pass", "clean", "No region.") });
  const again = theServer([decided]);
  act(() => line()?.says({ type: "frame.decided", seq: 1, id: "1", at: "" }));
  await waitFor(() => expect(cards()[0]?.textContent).toContain("Pass"));
  expect(again.of("GET /api/v1/frames/1").length + again.of("GET /api/v1/frames").length).toBeGreaterThan(0);
});

test("while it is paused new frames wait behind a button", async () => {
  await live([aFrame({ id: "1", part_id: "first" })]);
  await waitFor(() => expect(cards()).toHaveLength(1));
  fireEvent.click(screen.getByRole("button", { name: "Pause" }));
  theServer([aFrame({ id: "2", part_id: "second" }), aFrame({ id: "1", part_id: "first" })]);
  act(() => line()?.says({ type: "frame.added", seq: 1, id: "2", at: "" }));
  const button = await screen.findByRole("button", { name: "1 new frame" });
  expect(cards()[0]?.textContent).toContain("first");
  fireEvent.click(button);
  expect(cards()[0]?.textContent).toContain("second");
});

test("what a model is writing appears on the card", async () => {
  const region = aRegion({ id: "r1", description: aDescription({ state: "streaming", text: null }) });
  await live([aFrame({ id: "1", regions: [region] })]);
  await waitFor(() => expect(cards()).toHaveLength(1));
  act(() =>
    line()?.says({ type: "describe.token", id: "1", region: "r1", text: '{"appearance": "A gap', n: 3 }),
  );
  expect(cards()[0]?.textContent).toContain("A gap");
  expect(cards()[0]?.textContent).toContain("3 tokens");
});

test("with no frame the page says how to make some appear", async () => {
  await live([]);
  expect(await screen.findByRole("heading", { name: "No frames yet" })).toBeTruthy();
});

test.each([
  [true, "Make the first line"],
  [false, "You have no role on any line yet."],
])("with no line, who may make lines (%s) reads: %s", (may, words) => {
  theServer([]);
  draw(<LivePage boot={aBoot({ line: null, lines: [], may_make_lines: may })} />);
  expect(screen.getByText(words, { exact: false })).toBeTruthy();
});

test("a line without a station says so, and an engineer can add one", async () => {
  await live([], { "GET /api/v1/stations": [] });
  expect(await screen.findByText(/This line has no station yet/)).toBeTruthy();
  expect(screen.getByRole("link", { name: "Add a station" }).getAttribute("href")).toBe(
    "/lines/1/stations/new/",
  );
});

test("a station without a product is told of, to each by what they may do", async () => {
  const none = { "GET /api/v1/stations": [station({ product: "" })] };
  await live([], none, aBoot({ me: aPerson("inspector") }));
  expect(await screen.findByText(/An engineer of this line can choose/)).toBeTruthy();
});

test("a baseline that waits leads an engineer to the frames to confirm", async () => {
  await live([], { "GET /api/v1/stations/1/baseline": { ...baseline, state: "waiting" } });
  const link = await screen.findByRole("link", { name: /Look at them, and confirm them/ });
  expect(link.getAttribute("href")).toBe("/stations/1/#baseline");
});

test("a baseline that vouches is not spoken of", async () => {
  const server = await live([]);
  await waitFor(() => expect(server.of("GET /api/v1/stations/1/baseline")).toHaveLength(1));
  expect(screen.queryByText(/first 100 frames/)).toBeNull();
});

test("an unreachable cloud is said at the top and where descriptions wait", async () => {
  const region = aRegion({ description: aDescription({ state: "pending", text: null }) });
  const cut = aHealth(
    [
      { kind: "edge", status: "ready" },
      { kind: "cloud", status: "unreachable" },
    ],
    3,
  );
  await live([aFrame({ id: "1", regions: [region] })], { "GET /health": cut });
  expect(
    await screen.findByText(/Edge-only: cloud unreachable, descriptions of 3 frames pending/),
  ).toBeTruthy();
  await waitFor(() => expect(cards()[0]?.textContent).toContain("Description pending: cloud unreachable"));
});

test("a server that refuses says why, and the connection is not called live", async () => {
  await live([], { "GET /api/v1/frames": refusal(503, "busy", "The database is away.", "Wait.") });
  expect(await screen.findByText("The database is away.")).toBeTruthy();
  const connection = document.querySelector(".strip .connection");
  await waitFor(() => expect(connection?.textContent).toContain("Connection lost"));
});

test("who may not upload reads that, and sees no place to drop files", async () => {
  const me = { ...aPerson("viewer"), can: { ...aPerson().can, upload: false } };
  await live([], {}, aBoot({ me }));
  expect(await screen.findByText(/sending frames takes the role inspector/)).toBeTruthy();
  expect(screen.queryByText("Choose files")).toBeNull();
});

test("the demo is for the demo line; it starts at the chosen rate and says what was sent", async () => {
  const boot = aBoot();
  const demoLine = { ...aBoot().lines[0], is_demo: true } as NonNullable<typeof boot.line>;
  const running = {
    state: "running",
    running: true,
    sent: 3,
    count: 500,
    accepted: 2,
    refused: 1,
    error: "",
  };
  const server = await live([], { "POST /api/v1/stations/1/demo": running }, { ...boot, line: demoLine });
  fireEvent.change(await screen.findByLabelText("Boards a second"), { target: { value: "5" } });
  fireEvent.click(screen.getByRole("button", { name: "Start demo" }));
  expect(await screen.findByText("3 of 500 boards sent, 2 stored, 1 refused")).toBeTruthy();
  expect(server.of("POST /api/v1/stations/1/demo")[0]?.body).toEqual({
    action: "start",
    boards_per_s: 5,
    count: 500,
  });
});

test("a demo that is refused says why", async () => {
  const demoLine = { ...aBoot().lines[0], is_demo: true } as NonNullable<ReturnType<typeof aBoot>["line"]>;
  const no = { "POST /api/v1/stations/1/demo": refusal(409, "busy", "It runs already.", "Stop it first.") };
  await live([], no, aBoot({ line: demoLine }));
  fireEvent.click(await screen.findByRole("button", { name: "Start demo" }));
  const messages = screen.getByRole("log", { name: "Messages" });
  await waitFor(() => expect(within(messages).getByText("It runs already.")).toBeTruthy());
});
