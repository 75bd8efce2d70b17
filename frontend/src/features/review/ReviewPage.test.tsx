// @vitest-environment happy-dom
import { fireEvent, screen, waitFor, within } from "@testing-library/react";
import { beforeEach, expect, test, vi } from "vitest";

import type { Frame } from "../../api/types";
import { aDescription, aFrame, aRegion, aReview, someCounts } from "../../testing";
import { aBoot, aServer, CLASSES, draw, onACleanPage } from "../../testingDom";
import { ReviewPage } from "./ReviewPage";

vi.mock("../frame/openSeadragonViewer", () => ({ createViewer: vi.fn(() => ({ destroy: vi.fn() })) }));
onACleanPage();

const FAIL = {
  outcome: "fail",
  code: "defect",
  reason: "A region.",
  decided_at: "2026-03-02T10:00:00Z",
  latency_ms: 9,
};
const disputed = aFrame({
  id: "d1",
  part_id: "disputed",
  decision: FAIL as Frame["decision"],
  regions: [
    aRegion({ description: aDescription({ text: { defect_class: "short", appearance: "A gap." } }) }),
  ],
});
const plain = aFrame({ id: "o1", part_id: "plain", decision: FAIL as Frame["decision"] });

function theServer(frames: readonly Frame[] = [disputed, plain]) {
  const some = frames.map((frame) => [`GET /api/v1/frames/${frame.id}`, frame] as const);
  return aServer({
    ...Object.fromEntries(some),
    "GET /api/v1/frames": ({ query }) => ({
      frames: frames.filter(({ id }) => id.startsWith("d") === (query.get("disagreement") === "true")),
      next_before: null,
    }),
    "GET /api/v1/frames/counts": someCounts({
      total: frames.length,
      disagreements: 1,
      verdicts: { none: 2, accept: 5 },
      decisions: { fail: 2 },
      classes: [{ ...(CLASSES[0] ?? { id: 1, name: "open", colour_index: 0 }), title: "Open", count: 2 }],
    }),
    "GET /api/v1/defect-classes": CLASSES,
    "POST /api/v1/frames/d1/reviews": aReview(),
  });
}

const rows = () =>
  within(screen.getByRole("list", { name: "Frames to look through" })).getAllByRole("listitem");
const onDesk = () => document.querySelector(".frame-header h1")?.textContent;
const press = (key: string) => fireEvent.keyDown(document.body, { key, code: `Key${key.toUpperCase()}` });

beforeEach(() => vi.stubGlobal("scrollTo", () => undefined));

test("the disputed frame comes first, lies on the desk and says what is disputed", async () => {
  theServer();
  draw(<ReviewPage boot={aBoot()} />);
  await waitFor(() => expect(rows()).toHaveLength(2));
  expect(onDesk()).toBe("disputed");
  expect(rows()[0]?.textContent).toContain("open, or short?");
  expect(screen.getByText(/2 frames, 1 disputed/)).toBeTruthy();
});

test("J and K walk the queue in place, and end at its ends", async () => {
  theServer();
  draw(<ReviewPage boot={aBoot()} />);
  await waitFor(() => expect(onDesk()).toBe("disputed"));
  press("k");
  expect(onDesk()).toBe("disputed");
  press("j");
  await waitFor(() => expect(onDesk()).toBe("plain"));
  press("j");
  expect(onDesk()).toBe("plain");
  press("k");
  await waitFor(() => expect(onDesk()).toBe("disputed"));
  expect(location.pathname).toBe("/");
});

test("one key judges and goes on; the judged frame keeps its place and shows the word", async () => {
  const server = theServer();
  draw(<ReviewPage boot={aBoot()} />);
  await waitFor(() => expect(onDesk()).toBe("disputed"));
  press("a");
  await waitFor(() => expect(onDesk()).toBe("plain"));
  expect(server.of("POST /api/v1/frames/d1/reviews")).toHaveLength(1);
  expect(rows()[0]?.getAttribute("data-judged")).toBe("true");
  expect(rows()[0]?.textContent).toContain("Defective");
});

test("one row is a stop for the keyboard, the one on the desk", async () => {
  theServer();
  draw(<ReviewPage boot={aBoot()} />);
  await waitFor(() => expect(rows()).toHaveLength(2));
  const links = () => rows().map((row) => row.querySelector("a")?.tabIndex);
  expect(links()).toEqual([0, -1]);
  press("j");
  await waitFor(() => expect(links()).toEqual([-1, 0]));
});

test("a filter asks anew, stands in the address, and its counts stand beside the choices", async () => {
  const server = theServer();
  draw(<ReviewPage boot={aBoot()} />);
  await waitFor(() => expect(screen.getByRole("option", { name: "Not judged (2)" })).toBeTruthy());
  fireEvent.change(screen.getByLabelText("Decision"), { target: { value: "fail" } });
  await waitFor(() => expect(location.search).toBe("?decision=fail"));
  expect(server.of("GET /api/v1/frames").at(-1)?.query.get("decision")).toBe("fail");
  fireEvent.click(screen.getByRole("button", { name: "Clear all filters" }));
  await waitFor(() => expect(location.search).toBe(""));
});

test("the address says what is looked through from the beginning", async () => {
  history.replaceState(null, "", "/?station=4&verdict=any");
  const server = theServer();
  draw(<ReviewPage boot={aBoot()} />);
  await waitFor(() => expect(server.of("GET /api/v1/frames").length).toBeGreaterThan(0));
  const [first] = server.of("GET /api/v1/frames");
  expect(first?.query.get("station")).toBe("4");
  expect(first?.query.has("verdict")).toBe(false);
});

test("a part is searched for when it is written out, not with each letter", async () => {
  const server = theServer();
  draw(<ReviewPage boot={aBoot()} />);
  await waitFor(() => expect(rows()).toHaveLength(2));
  const before = server.of("GET /api/v1/frames").length;
  const field = screen.getByLabelText("Part or file");
  fireEvent.change(field, { target: { value: "471" } });
  expect(server.of("GET /api/v1/frames")).toHaveLength(before);
  fireEvent.keyDown(field, { key: "Enter" });
  await waitFor(() => expect(server.of("GET /api/v1/frames").at(-1)?.query.get("part")).toBe("471"));
});

test("an empty queue says what will appear and where to look", async () => {
  theServer([]);
  draw(<ReviewPage boot={aBoot()} />);
  expect(await screen.findByRole("heading", { name: "Nothing waits here" })).toBeTruthy();
});

test("who has a role on no line is told so", async () => {
  theServer([]);
  draw(<ReviewPage boot={aBoot({ lines: [] })} />);
  expect(await screen.findByRole("heading", { name: "No line to review" })).toBeTruthy();
});

test("a server that is away says so, and the list is there when it is back", async () => {
  const server = aServer({});
  draw(<ReviewPage boot={aBoot()} />);
  expect(await screen.findByText("There is nothing here.")).toBeTruthy();
  expect(server.asked.length).toBeGreaterThan(0);
  theServer();
  fireEvent.click(screen.getByRole("button", { name: "Try again" }));
  await waitFor(() => expect(rows()).toHaveLength(2));
});
