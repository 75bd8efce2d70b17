// @vitest-environment happy-dom
/** What a narrow link did to a frame stands on its page: a lower quality, and what was left out or comes later. */
import { screen, within } from "@testing-library/react";
import { describe, expect, test, vi } from "vitest";

import type { Frame, FrameStep } from "../../api/types";
import { aDescription, aFrame, aRegion } from "../../testing";
import { draw, onACleanPage } from "../../testingDom";
import { FrameCard } from "../live/FrameCard";
import { MachineSide } from "./MachineSide";
import { RegionList } from "./RegionList";

onACleanPage();

const step = (part: Partial<FrameStep>): FrameStep => ({
  kind: "describe",
  title: "Describe",
  state: "done",
  attempts: 1,
  node: "cloud-1",
  error: null,
  result: {},
  ...part,
});
const sent = (quality: string) => ({ node: "cloud-1", predicted_ms: 400, measured_ms: 380, quality });

function row(frame: Partial<Frame>, title: string): string | null {
  draw(<MachineSide frame={aFrame(frame)} mayConfigure={false} mayRetry={false} onRetried={vi.fn()} />);
  return screen.getByRole("row", { name: new RegExp(`^${title}`) }).textContent;
}

describe("a step", () => {
  test("whose pictures went in lower quality says in which", () => {
    const dispatches = { describe: sent("JPEG 75") };
    expect(row({ steps: [step({})], dispatches }, "Describe")).toBe("Describecloud-1 in JPEG 75400 ms380 ms");
  });

  test("whose pictures went as they are says nothing of quality", () => {
    expect(row({ steps: [step({})], dispatches: { describe: sent("") } }, "Describe")).toBe(
      "Describecloud-1400 ms380 ms",
    );
  });

  test("that was tried more than once says how often, beside its quality", () => {
    const dispatches = { describe: sent("JPEG 50") };
    expect(row({ steps: [step({ attempts: 2 })], dispatches }, "Describe")).toContain(
      "cloud-1 (2 attempts) in JPEG 50",
    );
  });

  test("that was left out says why nobody was asked", () => {
    const left = step({ kind: "describe_sure", title: "Sure regions", state: "skipped", node: null });
    expect(row({ steps: [left] }, "Sure regions")).toBe(
      "Sure regionsleft out: no node would have been in time",
    );
  });

  test("of a stage that this page does not know shows the words of its answer as text", () => {
    const read = step({ kind: "read_serial", title: "Read the serial", result: { serial: "<b>A-17</b>" } });
    row({ steps: [read] }, "Read the serial");
    expect(screen.getByText("serial: <b>A-17</b>")).toBeTruthy();
  });
});

const left = aRegion({
  id: "left",
  sure: true,
  description: aDescription({ state: "skipped", id: null, node: null }),
});
const later = aRegion({
  id: "later",
  sure: true,
  description: aDescription({ state: "pending", id: null, node: null }),
});

describe("a region of which the edge is sure", () => {
  test("says on its frame's page that it is not described, or later, and why", () => {
    const said = { before: { defect: true, defectClass: 1 }, changed: false, said: null, defect: true };
    const states = [left, later].map((region) => ({ region, ...said }));
    draw(
      <RegionList
        states={states}
        drawn={[]}
        classes={[]}
        numberOf={() => 1}
        selected={null}
        typing={new Map()}
        mayReview={false}
        onSelect={vi.fn()}
        onClass={vi.fn()}
        onToggle={vi.fn()}
      />,
    );
    const texts = within(screen.getByRole("list", { name: "Regions" })).getAllByRole("listitem");
    expect(texts.map((item) => item.querySelector(".region-text")?.textContent)).toEqual([
      "Not described: the edge is sure, and the cloud was too slow",
      "Description later: the edge is sure, so others come first",
    ]);
  });

  test("is not called pending on Live, where an unreachable cloud keeps others waiting", () => {
    const frame = aFrame({ state: "complete", regions: [left, later] });
    draw(<FrameCard frame={frame} typing={new Map()} waitFor="cloud unreachable" now={0} />);
    const words = [...document.querySelectorAll(".words")].map(({ textContent }) => textContent);
    expect(words).toEqual([
      "Not described: the edge is sure, and the cloud was too slow",
      "Description pending: cloud unreachable",
    ]);
  });
});
