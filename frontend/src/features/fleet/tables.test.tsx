// @vitest-environment happy-dom
import { screen, within } from "@testing-library/react";
import { describe, expect, test, vi } from "vitest";

import type { Accuracy, Dispatch, FleetNode, ReplayResult } from "../../api/types";
import { aDispatch, aNode, aReplay } from "../../testing";
import { aServer, draw, onACleanPage } from "../../testingDom";
import { AccuracySection } from "./Accuracy";
import { DispatchList } from "./DispatchList";
import type { FleetStore } from "./fleetStore";
import { NodeCard } from "./NodeCard";
import { ReplayResultView } from "./ReplayResultView";
import { reasonInWords, stageWord } from "./words";

onACleanPage();
const NOW = Date.parse("2026-03-02T10:42:30Z");

describe("words", () => {
  test("a reason names models as people do", () => {
    expect(reasonInWords("edge_detector is queued; describer is not")).toBe(
      "detector is queued; describer is not",
    );
  });

  test("a model of a stage that this page does not know keeps its name", () => {
    expect([stageWord("edge_detector"), stageWord("describer"), stageWord("serial_reader")]).toEqual([
      "detect",
      "describe",
      "serial_reader",
    ]);
  });
});

describe("a node's card", () => {
  const card = (part: Partial<FleetNode>, asked?: boolean, mayManage = false) => {
    const node = aNode(part);
    const store = { drain: vi.fn() } as unknown as FleetStore;
    draw(<NodeCard node={node} nodes={[node]} asked={asked} mayManage={mayManage} now={NOW} store={store} />);
    return screen.getByRole("listitem");
  };

  test.each([
    [{}, undefined, "Ready"],
    [{ draining: true }, undefined, "Drained"],
    [{ draining: true }, false, "Ready"], // it was just asked to work again
    [{}, true, "Drained"],
    [{ health: "unreachable", draining: true }, undefined, "Unreachable"],
    [{ health: "wrong_contract" }, undefined, "Other version"],
    [{ health: "unknown" }, undefined, "Not seen yet"],
    [{ breaker: "open" }, undefined, "Resting after failures"],
  ] as const)("of %o, asked to drain %s, says %s", (part, asked, words) => {
    const chip = card(part, asked).querySelector(".chip");
    expect(chip?.textContent).toBe(words);
  });

  test("how busy it is, what it serves, how far away it is, and who touched it last", () => {
    const text = card({
      load: { outstanding: 1, waiting_ms: 20, service_ms: { edge_detector: 38 }, placed_last_minute: 9 },
      link: { rtt_ms: 12, bandwidth_bytes_s: 2_500_000 },
      last_act: { act: "drain", by: "alice", at: "2026-03-02T10:42:00Z" },
    }).textContent;
    for (const words of [
      "1 of 2",
      "20 ms",
      "3 of 3",
      "9 / min",
      "12 ms round trip, 20 Mbit/s",
      "38 ms each",
    ]) {
      expect(text).toContain(words);
    }
    expect(text).toContain("by alice, 30 s ago");
  });

  test("what was never measured is not shown as nought", () => {
    const text = card({
      link: { rtt_ms: null, bandwidth_bytes_s: null },
      breaker: null,
      last_ready_at: null,
      load: { outstanding: 0, waiting_ms: null, service_ms: {}, placed_last_minute: 0 },
    }).textContent;
    for (const words of ["not measured", "Nothing was sent to it yet", "never"])
      expect(text).toContain(words);
  });
});

describe("decisions", () => {
  const row = (part: Partial<Dispatch>) => {
    draw(<DispatchList dispatches={[aDispatch(part)]} now={NOW} />);
    return within(screen.getByRole("table")).getAllByRole("row")[1]?.textContent ?? "";
  };

  test("the choice stands before what else was possible, each with its reason", () => {
    const text = row({
      reason: "least predicted completion; edge-2 was slower",
      alternatives: [
        { node: "edge-1", predicted_ms: 40, why_not: null },
        { node: "edge-2", predicted_ms: 55, why_not: "slower" },
      ] as never,
    });
    expect(text).toContain("least predicted completionnot edge-2 (55 ms): slower");
    expect(text).not.toContain("not edge-1");
  });

  test("how far the prediction was off is said with its direction", () => {
    expect(row({ predicted_ms: 40, measured_ms: 52, outcome: "ok" })).toContain("52 ms+12 ms");
  });

  test.each([
    [{ slack_ms: null }, "not known"],
    [{ slack_ms: -5 }, "passed"],
    [{ slack_ms: 20, predicted_ms: 40 }, "not in time"],
    [{ attempt: 3 }, "attempt 3"],
    [{ outcome: "late" }, "Too late"],
    [{ outcome: "failed" }, "Failed"],
  ] as const)("%o reads: %s", (part, words) => {
    expect(row(part)).toContain(words);
  });
});

describe("a replay's result", () => {
  const side = (part: Partial<ReplayResult["was"]> = {}): ReplayResult["was"] => ({
    sent: 10,
    in_time_share: 0.9,
    p50_predicted_ms: 40,
    p95_predicted_ms: 90,
    by_node: { "edge-1": 10 },
    not_sent: {},
    ...part,
  });
  const result = (part: Partial<ReplayResult> = {}): ReplayResult => ({
    looks: 10,
    decisions: 10,
    same_node: 7,
    median_change_ms: 12,
    unreadable: 0,
    left_out: 0,
    recorded_by: { "pct-lb": 10 },
    was: side(),
    would: side({ in_time_share: null, by_node: { "edge-2": 4 }, not_sent: { wait: 2 } }),
    examples: [],
    ...part,
  });
  const shown = (of: ReplayResult) => {
    draw(<ReplayResultView run={aReplay()} result={of} />);
    return document.body.textContent ?? "";
  };

  test("says how many would have gone elsewhere, and what that would have cost", () => {
    const text = shown(result());
    expect(text).toContain(
      "Of 10 requests, round-robin would have sent 7 to the same node and decided 3 differently.",
    );
    expect(text).toContain("the median prediction is 12 ms longer");
  });

  test("says what could not be replayed", () => {
    const text = shown(result({ unreadable: 2, left_out: 1, median_change_ms: -0.01 }));
    expect(text).toContain("2 records could not be read");
    expect(text).toContain("The time limit left out 1 record.");
    expect(text).toContain("the median prediction is the same");
  });

  test("each node of either side has a row, and what was not sent one for each reason", () => {
    shown(result());
    const rows = within(screen.getByRole("table"))
      .getAllByRole("row")
      .map((row) => row.textContent);
    expect(rows).toContain("Not sent: left waiting02");
    expect(rows).toContain("edge-1100");
    expect(rows).toContain("edge-204");
    expect(rows).toContain("Predicted in time90.0 % of 10–");
  });

  test("without a decision there is nothing to compare", () => {
    expect(shown(result({ decisions: 0 }))).toContain("No request was sent in the records of this stretch.");
  });

  test("the decisions that differ most are shown from both sides", () => {
    const example = {
      item: "1",
      at: 1772448000,
      model: "describer",
      slack_ms: -1,
      was: { action: "send", node: "edge-1", predicted_ms: 40 },
      would: { action: "wait", node: null, predicted_ms: null },
      change_ms: null,
    };
    const text = shown(result({ examples: [example] as never }));
    expect(text).toContain("describepassededge-1, 40 msleft waiting");
  });
});

describe("predicted against measured", () => {
  const figures = { count: 2, median_off_ms: 5, p95_off_ms: 9, median_error_ms: -3, mean_error_ms: -2 };
  const answer = {
    minutes: 15,
    all: figures,
    by_node: [{ node: "edge-1", model: "edge_detector", ...figures }],
    points: [
      { id: 1, node: "edge-1", model: "edge_detector", predicted_ms: 40, measured_ms: 44 },
      { id: 2, node: "cloud-1", model: "describer", predicted_ms: 800, measured_ms: 900 },
    ],
  } as unknown as Accuracy;

  test("the picture says in words what it shows; the shapes tell the models apart", async () => {
    aServer({ "GET /api/v1/dispatches/accuracy": answer });
    draw(<AccuracySection />);
    const picture = await screen.findByRole("img", { name: /2 answers: half of them within 5.0 ms/ });
    expect(picture.getAttribute("aria-label")).toContain("3.0 ms faster than predicted");
    expect(picture.querySelectorAll("circle.dot")).toHaveLength(1);
    expect(picture.querySelectorAll("rect.dot.describer")).toHaveLength(1);
    expect(picture.querySelector("rect title")?.textContent).toBe(
      "cloud-1: 800 ms predicted, 900 ms measured",
    );
  });

  test("a stretch without answers says what will appear", async () => {
    aServer({ "GET /api/v1/dispatches/accuracy": { ...answer, all: { ...figures, count: 0 } } });
    draw(<AccuracySection />);
    expect(await screen.findByText(/No answers in this stretch/)).toBeTruthy();
  });
});
