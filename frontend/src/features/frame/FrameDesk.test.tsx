// @vitest-environment happy-dom
import { fireEvent, screen, waitFor, within } from "@testing-library/react";
import { useEffect, useMemo } from "react";
import { expect, test, vi } from "vitest";

import type { Frame, Me } from "../../api/types";
import { aDescription, aFrame, aMark, aRegion, aReview } from "../../testing";
import { aPerson, aServer, CLASSES, draw, onACleanPage, refusal, SilentSocket } from "../../testingDom";
import { useStore } from "../../ui/hooks";
import { FrameDesk } from "./FrameDesk";
import { FrameStore } from "./frameStore";

const viewer = {
  setRegions: vi.fn(),
  select: vi.fn(),
  showOverlays: vi.fn(),
  setSecond: vi.fn(),
  showSecond: vi.fn(),
  fitTo: vi.fn(),
  bringIntoView: vi.fn(),
  fitAll: vi.fn(),
  zoomBy: vi.fn(),
  view: vi.fn(),
  setView: vi.fn(),
  destroy: vi.fn(),
};
vi.mock("./openSeadragonViewer", () => ({
  createViewer: (_: unknown, __: unknown, { onReady }: { onReady: () => void }) => {
    queueMicrotask(onReady);
    return viewer;
  },
}));
onACleanPage();

const decision = (outcome: "pass" | "fail" | "hold", code = "defect"): Frame["decision"] =>
  ({
    outcome,
    code,
    reason: "Because.",
    decided_at: "2026-03-02T10:00:00Z",
    latency_ms: 9,
  }) as Frame["decision"];
const frame = aFrame({
  id: "1",
  decision: decision("fail"),
  regions: [
    aRegion({ id: "r1", score: 0.9 }),
    aRegion({ id: "r2", score: 0.6, description: aDescription({ text: { appearance: "A thin gap." } }) }),
    aRegion({ id: "r3", score: 0.1, counts: false }),
  ],
});
const open = vi.fn();

interface Options {
  me?: Me;
  next?: string | null;
  advance?: boolean;
}

function Desk({ of, me, next, advance }: { of: Frame } & Required<Options>) {
  const store = useMemo(() => new FrameStore(of.id, of.line.id, of), [of]);
  useEffect(() => store.start(), [store]);
  const state = useStore(store);
  const words = { next: "Next (J)", previous: "Previous (K)" };
  return (
    <FrameDesk
      me={me}
      frame={state.frame ?? of}
      store={store}
      neighbours={{ next, previous: null, words, open }}
      advanceByDefault={advance}
    />
  );
}

async function lay(of: Frame = frame, { me = aPerson(), next = "2", advance = false }: Options = {}) {
  open.mockClear();
  const server = aServer({
    [`GET /api/v1/frames/${of.id}`]: of,
    "GET /api/v1/defect-classes": CLASSES,
    [`POST /api/v1/frames/${of.id}/reviews`]: aReview({ reviewer: "alice" }),
    [`POST /api/v1/frames/${of.id}/retry`]: of,
  });
  draw(<Desk of={of} me={me} next={next} advance={advance} />);
  await waitFor(() => expect(server.of("GET /api/v1/defect-classes")).toHaveLength(1));
  await waitFor(() => expect(viewer.setRegions).toHaveBeenCalled());
  return { server, sent: () => server.of(`POST /api/v1/frames/${of.id}/reviews`).map(({ body }) => body) };
}

const press = (key: string, code = `Key${key.toUpperCase()}`, more: KeyboardEventInit = {}) =>
  fireEvent.keyDown(document.body, { key, code, ...more });
const region = (id: string) => document.querySelector<HTMLElement>(`[data-region="${id}"]`);
const selected = () => document.querySelector(".region[data-selected='true']")?.getAttribute("data-region");

// -- regions -----------------------------------------------------------------------------------------

test("what counts is listed first, the rest under its own heading", async () => {
  await lay();
  const lists = screen.getAllByRole("list").map((list) => list.getAttribute("aria-label"));
  expect(lists).toContain("Regions");
  expect(lists).toContain("Regions below the threshold");
  expect(region("r3")?.getAttribute("data-below")).toBe("true");
});

test("arrows walk the regions round and round, Escape lets go", async () => {
  await lay();
  press("ArrowDown", "ArrowDown");
  expect(selected()).toBe("r1");
  press("ArrowUp", "ArrowUp");
  expect(selected()).toBe("r3");
  press("Escape", "Escape");
  expect(selected()).toBeUndefined();
});

test("the confidence keys hide the unsure ones", async () => {
  await lay();
  for (let n = 0; n < 3; n++) press("]", "BracketRight");
  expect(region("r3")).toBeNull();
  expect(screen.getByText("2 of 3")).toBeTruthy();
  press("[", "BracketLeft");
  press("[", "BracketLeft");
  expect(region("r3")).not.toBeNull();
});

test("a number gives the selected region another class; undo and redo take it back and again", async () => {
  await lay();
  press("2", "Digit2"); // none is selected
  expect(screen.queryByText("corrected")).toBeNull();
  press("ArrowDown", "ArrowDown");
  await waitFor(() => expect(screen.getByRole("option", { name: /2 short/ })).toBeTruthy());
  press("2", "Digit2");
  expect(region("r1")?.textContent).toContain("corrected");
  press("z", "KeyZ", { ctrlKey: true });
  expect(region("r1")?.textContent).not.toContain("corrected");
  press("Z", "KeyZ", { ctrlKey: true, shiftKey: true });
  expect(region("r1")?.textContent).toContain("corrected");
});

test("Delete dismisses a region that counts, and names one below the threshold a defect", async () => {
  await lay();
  press("ArrowDown", "ArrowDown");
  press("Delete", "Delete");
  expect(region("r1")?.textContent).toContain("no defect");
  press("ArrowUp", "ArrowUp");
  press("Delete", "Delete");
  expect(region("r3")?.textContent).toContain("a defect, you say");
});

test("machine text is shown as text, whatever it says", async () => {
  const evil = aDescription({ text: { appearance: "<img src=x onerror=alert(1)>" } });
  await lay(aFrame({ id: "1", regions: [aRegion({ id: "r1", description: evil })] }));
  expect(screen.getByText("<img src=x onerror=alert(1)>")).toBeTruthy();
  expect(document.querySelector(".region img")).toBeNull();
});

// -- the verdict -------------------------------------------------------------------------------------

test("agreeing sends each region that counts, and what was corrected as it is now", async () => {
  const { sent } = await lay();
  press("ArrowDown", "ArrowDown");
  await waitFor(() => expect(screen.getByRole("option", { name: /3 spur/ })).toBeTruthy());
  press("3", "Digit3");
  press("a");
  await waitFor(() => expect(sent()).toHaveLength(1));
  expect(sent()[0]).toMatchObject({
    part: "defective",
    marks: [
      { detection: "r1", defect_class: 3 },
      { detection: "r2", defect_class: 1 },
    ],
  });
});

test("disagreeing with a fail says that the part is good, with no marks", async () => {
  const { sent } = await lay();
  press("x");
  await waitFor(() => expect(sent()).toEqual([{ part: "good", note: "", marks: [] }]));
});

test("a part cannot be good while a region is named a defect", async () => {
  const { sent } = await lay();
  press("ArrowUp", "ArrowUp");
  press("Delete", "Delete");
  press("g");
  expect(await screen.findByText(/You named region 3 a defect/)).toBeTruthy();
  expect(sent()).toEqual([]);
});

test("with a held frame there is nothing to agree with: the page says which keys judge it", async () => {
  const { sent } = await lay(aFrame({ id: "1", decision: decision("hold", "late") }));
  press("a");
  expect(await screen.findByText(/The machine has not judged this part/)).toBeTruthy();
  expect(sent()).toEqual([]);
  expect(screen.getByRole("button", { name: /It is good/ })).toBeTruthy();
});

test("a key that is held down judges once", async () => {
  const { sent } = await lay();
  press("u");
  press("u", "KeyU", { repeat: true });
  await waitFor(() => expect(sent()).toEqual([{ verdict: "unsure", note: "", marks: [] }]));
});

test("the note goes with the verdict, and letters in it judge nothing", async () => {
  const { sent } = await lay();
  press("n");
  const note = screen.getByLabelText(/Note/);
  expect(document.activeElement).toBe(note);
  fireEvent.change(note, { target: { value: " scratched " } });
  fireEvent.keyDown(note, { key: "a", code: "KeyA" });
  expect(sent()).toEqual([]);
  press("a");
  await waitFor(() => expect(sent()).toHaveLength(1));
  expect(sent()[0]).toMatchObject({ note: "scratched" });
});

test("once it is stored the next frame comes, for whom wants that", async () => {
  const { sent } = await lay(frame, { advance: true });
  press("a");
  await waitFor(() => expect(open).toHaveBeenCalledWith("2"));
  expect(sent()).toHaveLength(1);
});

test("one stays where that is wanted, and the choice is kept", async () => {
  await lay(frame, { advance: true });
  fireEvent.click(screen.getByLabelText("Then next frame"));
  press("a");
  expect((await screen.findAllByText(/Saved: Agree: Fail/)).length).toBeGreaterThan(0);
  expect(open).not.toHaveBeenCalled();
  expect(localStorage.getItem("aivd.settings.alice")).toBe('{"advance":false}');
});

test("what is begun outlives the page, for this person alone", async () => {
  await lay();
  press("ArrowDown", "ArrowDown");
  press("Delete", "Delete");
  await waitFor(() => expect(localStorage.getItem("aivd.drafts.alice.1")).toContain("r1"));
  expect(localStorage.getItem("aivd.drafts.bob.1")).toBeNull();
});

test("who contradicts somebody is told, and stays", async () => {
  const { server } = await lay(frame, { advance: true });
  aServer({
    "GET /api/v1/frames/1": frame,
    "POST /api/v1/frames/1/reviews": aReview({ contradicts: ["bob"] }),
  });
  press("a");
  expect(await screen.findByText(/It contradicts bob; yours is the latest and stands/)).toBeTruthy();
  expect(open).not.toHaveBeenCalled();
  expect(server.asked.length).toBeGreaterThan(0);
});

test("a verdict that the server refuses stands there with its reason, and can be taken back", async () => {
  await lay();
  aServer({ "POST /api/v1/frames/1/reviews": refusal(422, "gone", "The class is gone.", "Choose another.") });
  press("a");
  const list = await screen.findByRole("status", { name: "Verdicts on their way" });
  await waitFor(() => expect(list.textContent).toContain("refused. The class is gone. Choose another."));
  fireEvent.click(within(list).getByRole("button", { name: "Take back" }));
  expect(list.textContent).toBe("");
});

test("a viewer looks and does not judge", async () => {
  const { sent } = await lay(frame, { me: aPerson("viewer") });
  expect(screen.getByText("Your role lets you look; judging takes the role inspector.")).toBeTruthy();
  press("a");
  press("ArrowDown", "ArrowDown");
  press("Delete", "Delete");
  expect(region("r1")?.textContent).not.toContain("no defect");
  expect(sent()).toEqual([]);
});

// -- the page ----------------------------------------------------------------------------------------

test("J goes to the next frame and K nowhere where there is none", async () => {
  await lay();
  press("k");
  expect(open).not.toHaveBeenCalled();
  press("j");
  expect(open).toHaveBeenCalledWith("2");
});

test("a link to the neighbour opens in place, and elsewhere with a modifier", async () => {
  await lay();
  const link = screen.getByRole("link", { name: "Next (J)" });
  link.addEventListener("click", (event) => event.preventDefault());
  fireEvent.click(link, { ctrlKey: true });
  expect(open).not.toHaveBeenCalled();
  fireEvent.click(link);
  expect(open).toHaveBeenCalledWith("2");
});

test("H hides the overlays while it is held, also when it is let go elsewhere", async () => {
  await lay();
  press("h");
  expect(viewer.showOverlays).toHaveBeenLastCalledWith(false);
  fireEvent.keyUp(document.body, { key: "h", code: "KeyH" });
  expect(viewer.showOverlays).toHaveBeenLastCalledWith(true);
  press("h");
  fireEvent.blur(window);
  expect(viewer.showOverlays).toHaveBeenLastCalledWith(true);
});

test("the view keys reach the picture", async () => {
  await lay();
  press("+", "Equal");
  press("r");
  expect(viewer.zoomBy).toHaveBeenLastCalledWith(1.4);
  expect(viewer.fitAll).toHaveBeenCalled();
  press("ArrowDown", "ArrowDown");
  press("z");
  expect(viewer.fitTo).toHaveBeenCalled();
});

test("without a golden template T says who can set one", async () => {
  await lay(frame, { me: aPerson("inspector") });
  press("t");
  expect(await screen.findByText(/An engineer of Line A can set one/)).toBeTruthy();
});

test("a failed step says why, and is tried again once by an inspector", async () => {
  const step = {
    kind: "detect",
    title: "Detect",
    state: "failed",
    attempts: 5,
    node: null,
    error: "no node",
    result: {},
  };
  const failed = aFrame({ id: "1", steps: [step] as Frame["steps"] });
  const { server } = await lay(failed);
  expect(screen.getByText("Detect failed after 5 attempts: no node")).toBeTruthy();
  fireEvent.click(screen.getByRole("button", { name: "Try again" }));
  expect(await screen.findByText("It goes back into the queue.")).toBeTruthy();
  expect(server.of("POST /api/v1/frames/1/retry")).toHaveLength(1);
});

test("a frame unlike anything known leads an engineer to the station's first frames", async () => {
  await lay(aFrame({ id: "1", decision: decision("hold", "unlike") }));
  const link = screen.getByRole("link", { name: "Look at Camera 1’s first frames" });
  expect(link.getAttribute("href")).toBe("/stations/1/#baseline");
});

test("what is being written appears word by word", async () => {
  const writing = aRegion({ id: "r1", description: aDescription({ state: "streaming", text: null }) });
  await lay(aFrame({ id: "1", regions: [writing] }));
  const socket = SilentSocket.made.at(-1);
  socket?.onopen?.();
  socket?.says({ type: "describe.token", id: "1", region: "r1", text: '{"appearance": "A thin', n: 1 });
  socket?.says({ type: "describe.token", id: "1", region: "r1", text: " gap", n: 2 });
  expect(await screen.findByText("A thin gap")).toBeTruthy();
  expect(screen.getByText("2 tokens so far")).toBeTruthy();
});

test("two people who contradict each other are told so", async () => {
  const reviews = [
    aReview({ id: 2, reviewer: "bob", part: "good", stands: true, contradicts: ["alice"] }),
    aReview({ id: 1, reviewer: "alice", part: "defective", stands: false, marks: [aMark()] }),
  ];
  await lay(aFrame({ id: "1", decision: decision("fail"), reviews }));
  expect(screen.getByText(/The latest stands: good/)).toBeTruthy();
});
