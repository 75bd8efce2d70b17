// @vitest-environment happy-dom
import { fireEvent, screen, waitFor, within } from "@testing-library/react";
import { expect, test } from "vitest";

import { aBoot, aPerson, aServer, draw, onACleanPage, refusal, SilentSocket } from "../../testingDom";
import type { Run, RunEvent } from "./learningApi";
import { RunsPage } from "./RunsPage";
import { keysOf } from "./useLineHints";

onACleanPage();

const LINE = { id: 1, name: "Line A" };

function aRun(part: Partial<Run> = {}): Run {
  return {
    id: "r1",
    line: LINE,
    title: "First",
    kind: "describer-lora",
    state: "running",
    wish: "",
    dataset: "boards",
    version: 1,
    base: "aivd-small",
    seed: 0,
    settings: { rank: 16 },
    step: 5,
    steps: 10,
    place: null,
    eta_s: 200,
    events_seq: 0,
    attempts: 1,
    error_code: "",
    error_detail: "",
    error_hint: "",
    report: null,
    created_by: "ada",
    created_at: "2026-03-02T10:00:00Z",
    started_at: "2026-03-02T10:00:00Z",
    finished_at: null,
    ...part,
  };
}

function anEvent(seq: number, type: string, data: Record<string, unknown>): RunEvent {
  return { seq, type, level: "", data, at: "2026-03-02T10:00:00Z" };
}

const admin = () => aBoot({ me: aPerson("admin") });
const KINDS = [
  {
    name: "describer-lora",
    title: "Describer (LoRA)",
    base: "aivd-small",
    previews: true,
    settings: [
      {
        name: "rank",
        title: "LoRA rank",
        default: 16,
        least: 1,
        most: 256,
        whole: true,
        choices: [],
        about: "Size",
      },
    ],
  },
];
const DATASET = { id: 7, name: "boards", line: LINE, versions: [{ id: 70, number: 2 }] };

function theServer(runs: Run[], more: Parameters<typeof aServer>[0] = {}) {
  return aServer({
    "GET /api/v1/runs": runs,
    "GET /api/v1/new-corrections": [{ line: LINE, corrections: 42, version: 7 }],
    "GET /api/v1/model-versions": [],
    "GET /api/v1/datasets": [{ ...DATASET, versions: 1 }],
    "GET /api/v1/datasets/7": DATASET,
    "GET /api/v1/run-kinds": KINDS,
    ...more,
  });
}

test("runs stand in the order of their queue, and corrections say when the next is worth it", async () => {
  theServer([
    aRun({ id: "b", title: "Later", state: "queued", place: 2 }),
    aRun({ id: "a", title: "Sooner", state: "queued", place: 1 }),
    aRun(),
  ]);
  draw(<RunsPage boot={admin()} />);
  const list = await screen.findByRole("navigation", { name: "Runs" });
  await waitFor(() => expect(within(list).getAllByRole("button")).toHaveLength(3));
  const rows = within(list).getAllByRole("button");
  expect(rows.map(({ textContent }) => /First|Sooner|Later/.exec(textContent)?.[0])).toEqual([
    "First",
    "Sooner",
    "Later",
  ]);
  expect(rows[1]?.textContent).toContain("Waiting, place 1");
  expect(screen.getByText(/42 new corrections/).parentElement?.textContent).toContain("since adapter v7");
});

test("a run is drawn from what its trainer told, and only news are asked for", async () => {
  const told = [
    anEvent(1, "step", { step: 1, loss: 2 }),
    anEvent(2, "step", { step: 2, loss: 1.5 }),
    anEvent(3, "sample", {
      step: 2,
      picture: "samples/0.png",
      frame: "f",
      answer: { defect_class: "open", appearance: "<b>A gap</b>" },
      truth: { defect_class: "short" },
    }),
    anEvent(4, "validated", { step: 2, field_f1: 0.5, class_accuracy: 0.5, json_valid: 1 }),
  ];
  const runs = [aRun({ events_seq: 2 })];
  const server = theServer(runs, {
    "GET /api/v1/runs/r1/events": ({ query }) =>
      told.filter(({ seq }) => seq > Number(query.get("after")) && seq <= (runs[0]?.events_seq ?? 0)),
  });
  draw(<RunsPage boot={admin()} />);
  await screen.findByText("1.5");
  runs[0] = aRun({ events_seq: 4 });
  SilentSocket.made[0]?.onopen?.();
  SilentSocket.made[0]?.says({ type: "run.changed", run: "r1", state: "running" });
  await screen.findByText(/After step 2: field F1 50.0 %/);
  expect(screen.getByText("<b>A gap</b>")).toBeTruthy();
  expect(screen.getByText("labelled short")).toBeTruthy();
  expect(document.querySelector(".samples img")?.getAttribute("src")).toBe("/api/v1/runs/r1/samples/0");
  expect(server.of("GET /api/v1/runs/r1/events").map(({ query }) => query.get("after"))).toEqual(["0", "2"]);
});

test("who is no admin reads and launches nothing", async () => {
  theServer([aRun()], { "GET /api/v1/runs/r1/events": [] });
  draw(<RunsPage boot={aBoot({ me: aPerson("engineer") })} />);
  await screen.findByRole("heading", { name: "First" });
  for (const name of ["New run", "Pause", "Cancel"])
    expect(screen.queryByRole("button", { name })).toBeNull();
});

test("a run is launched by the recipe that was filled in", async () => {
  const server = theServer([], { "POST /api/v1/runs": aRun({ id: "r9", state: "queued", place: 1 }) });
  draw(<RunsPage boot={admin()} />);
  fireEvent.change(await screen.findByLabelText(/LoRA rank/), { target: { value: "8" } });
  const launch = screen.getByRole("button", { name: "Launch" });
  await waitFor(() => expect(launch).toHaveProperty("disabled", false));
  fireEvent.click(launch);
  await waitFor(() => expect(server.of("POST /api/v1/runs")).toHaveLength(1));
  expect(server.of("POST /api/v1/runs")[0]?.body).toEqual({
    version: 70,
    kind: "describer-lora",
    name: "",
    seed: 0,
    settings: { rank: 8 },
  });
});

test("a refusal is said in the server's words", async () => {
  theServer([], { "POST /api/v1/runs": refusal(422, "disk_full", "The disk has 3 MiB free.", "Make room.") });
  draw(<RunsPage boot={admin()} />);
  const launch = await screen.findByRole("button", { name: "Launch" });
  await waitFor(() => expect(launch).toHaveProperty("disabled", false));
  fireEvent.click(launch);
  await screen.findByText("The disk has 3 MiB free.");
});

test("a preview tells what it does, then shows crops with their questions and costs", async () => {
  const preview = {
    id: "p1",
    version: 70,
    kind: "describer-lora",
    state: "running",
    progress: "Reads 60 pictures.",
  };
  const words = { error_code: "", error_detail: "", error_hint: "", shown: null as unknown };
  let now: object = { ...preview, ...words };
  theServer([], { "POST /api/v1/run-previews": () => now, "GET /api/v1/run-previews/p1": () => now });
  draw(<RunsPage boot={admin()} />);
  const ask = await screen.findByRole("button", { name: "Preview" });
  await waitFor(() => expect(ask).toHaveProperty("disabled", false));
  fireEvent.click(ask);
  await screen.findByText("Reads 60 pictures.");
  const crop = {
    picture: "crops/0.png",
    frame: "f",
    defect_class: "open",
    question: "What is it?",
    answer: { defect_class: "open", location: "top left" },
    hint: ["short", 0.75],
    template: true,
  };
  const shown = {
    estimate: { seconds: 250, memory_mib: 1200 },
    places: { train: 90, validation: 9 },
    crops: [crop],
  };
  now = { ...preview, ...words, state: "succeeded", progress: "", shown };
  SilentSocket.made[0]?.says({ type: "preview.changed", preview: "p1" });
  await screen.findByText("about 4 min");
  expect(screen.getByText("1,200 MiB")).toBeTruthy();
  expect(screen.getByText("What is it?")).toBeTruthy();
  expect(screen.getByText("Hint: short, 75 %")).toBeTruthy();
  fireEvent.change(screen.getByLabelText(/LoRA rank/), { target: { value: "8" } });
  expect(screen.queryByRole("heading", { name: "Preview" })).toBeNull();
});

test("two runs stand beside each other by what differs", async () => {
  const reached = (accuracy: number) => ({
    measured: { arms: { version: { "0": { class_accuracy: accuracy } } } },
  });
  theServer(
    [
      aRun({ settings: { rank: 16, batch: 4 }, report: reached(0.9) }),
      aRun({ id: "r2", title: "Second", settings: { rank: 8, batch: 4 }, report: reached(0.8) }),
    ],
    { "GET /api/v1/runs/r1/events": [], "GET /api/v1/runs/r2/events": [] },
  );
  draw(<RunsPage boot={admin()} />);
  fireEvent.change(await screen.findByLabelText(/Beside/), { target: { value: "r2" } });
  const table = await screen.findByRole("table");
  expect([...table.querySelectorAll("tbody tr")].map(({ textContent }) => textContent)).toEqual([
    "Datasetboards v1boards v1",
    "rank168",
    "Class right, boxes as drawn90.0 %80.0 %",
  ]);
  expect(location.search).toBe("?beside=r2");
});

test.each([
  [{ type: "run.changed", state: "running" }, ["runs", "run-events"]],
  [{ type: "run.changed", state: "succeeded" }, ["runs", "run-events", "model-versions"]],
  [{ type: "serving.changed" }, ["model-versions"]],
  [{ type: "describe.token" }, []],
])("the hint %j has %j asked for anew", (hint, keys) => {
  expect(keysOf(hint)).toEqual(keys);
});
