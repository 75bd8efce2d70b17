// @vitest-environment happy-dom
/** The picture and its tools: what the viewer is asked to show, with and without a golden template. */
import { act, fireEvent, screen, waitFor } from "@testing-library/react";
import { createRef } from "react";
import { beforeEach, describe, expect, test, vi } from "vitest";

import { aFrame, aRegion } from "../../testing";
import { draw, onACleanPage } from "../../testingDom";
import type { FrameViewer, View, ViewerEvents, ViewerRegion } from "./frameViewer";
import * as pixels from "./pixels";
import { ViewerPane, type TemplateMode, type ViewerHandle } from "./ViewerPane";

interface Made {
  url: string;
  viewer: FrameViewer;
  events: ViewerEvents;
}
const made: Made[] = [];
vi.mock("./pixels");
vi.mock("./openSeadragonViewer", () => ({
  createViewer: (_: HTMLElement, { url }: { url: string }, events: ViewerEvents) => {
    const asked = ["setRegions", "select", "showOverlays", "setSecond", "showSecond", "fitTo", "setView"];
    const more = ["bringIntoView", "fitAll", "zoomBy", "destroy"];
    const viewer = Object.fromEntries([...asked, ...more].map((name) => [name, vi.fn()]));
    viewer["view"] = vi.fn(() => ({ x: 0.5, y: 0.5, zoom: 1 }));
    made.push({ url, viewer: viewer as unknown as FrameViewer, events });
    queueMicrotask(() => act(() => events.onReady()));
    return viewer;
  },
}));
onACleanPage();

const golden = { picture: "/p/1", rendition: "/r/1", thumbnail: "/t/1", template: "/golden/1" };
const region = (id: string, side: number) => aRegion({ id, box_xyxy: [100, 100, 100 + side, 100 + side] });
const state = (one: ReturnType<typeof region>, defect = true) => ({ region: one, defect });
const onSelect = vi.fn();
const onTemplate = vi.fn();
const handle = createRef<ViewerHandle>();

interface Options {
  mode?: TemplateMode;
  frame?: ReturnType<typeof aFrame>;
  states?: unknown[];
  selected?: string | null;
  hidden?: boolean;
  onTemplateDialog?: (() => void) | null;
}

/** As a person comes to it: first the frame alone, then its template in some mode. */
async function show(options: Options = {}) {
  const { frame = aFrame({ urls: golden }), states = [], selected = null, hidden = false } = options;
  const pane = (mode: TemplateMode) => (
    <ViewerPane
      frame={frame}
      states={states as never}
      drawn={[]}
      numberOf={({ id }) => Number(id)}
      selected={selected}
      onSelect={onSelect}
      overlaysHidden={hidden}
      mode={mode}
      onTemplate={onTemplate}
      onTemplateDialog={options.onTemplateDialog ?? null}
      handle={handle}
    />
  );
  const { rerender } = draw(pane("off"));
  await waitFor(() => expect(made).toHaveLength(1));
  await waitFor(() => expect(main().setRegions).toHaveBeenCalled());
  rerender(pane(options.mode ?? "off"));
  if (options.mode === "beside") await waitFor(() => expect(made).toHaveLength(2));
}
const viewerOf = (url: string): Made => made.find((one) => one.url === url) as Made;
const main = () => viewerOf("/r/1").viewer;
const lastRegions = () => vi.mocked(main().setRegions).mock.lastCall?.[0] as ViewerRegion[];

beforeEach(() => {
  made.length = 0;
  vi.clearAllMocks();
  vi.stubGlobal("matchMedia", () => ({ matches: false }));
  vi.mocked(pixels.fetchPicture).mockResolvedValue(new Blob([]));
  vi.mocked(pixels.alignment).mockResolvedValue({ dx: 0, dy: 0, changed: 0.02 } as never);
});

describe("regions", () => {
  test("are drawn the large ones first, so that small ones can be clicked", async () => {
    await show({ states: [state(region("1", 10)), state(region("2", 90)), state(region("3", 40))] });
    expect(lastRegions().map(({ id }) => id)).toEqual(["2", "3", "1"]);
  });

  test("say whether they count, were dismissed, or never reached their threshold", async () => {
    const below = { ...region("3", 10), counts: false };
    await show({ states: [state(region("1", 30)), state(region("2", 20), false), state(below, false)] });
    expect(lastRegions().map(({ look }) => look)).toEqual(["counts", "dismissed", "below"]);
  });

  test("the selected one carries its class and is brought into view", async () => {
    await show({ states: [state(region("1", 30)), state(region("2", 20))], selected: "2" });
    expect(lastRegions().map(({ label }) => label)).toEqual(["1", "2 open"]);
    expect(main().select).toHaveBeenLastCalledWith("2");
    expect(main().bringIntoView).toHaveBeenCalledWith({ x: 100, y: 100, width: 20, height: 20 });
  });

  test("that are clicked in the picture are told to the page", async () => {
    await show({ states: [state(region("1", 30))] });
    viewerOf("/r/1").events.onSelect("1");
    expect(onSelect).toHaveBeenCalledWith("1");
  });

  test("are hidden while the person wants to see the picture alone", async () => {
    await show({ hidden: true });
    expect(main().showOverlays).toHaveBeenLastCalledWith(false);
  });
});

test("a picture that cannot be loaded is said, with what to do", async () => {
  await show();
  act(() => viewerOf("/r/1").events.onError());
  expect(screen.getByRole("alert").textContent).toContain("The picture could not be loaded");
});

test("the tools and the page's keys reach the picture", async () => {
  await show();
  fireEvent.click(screen.getByRole("button", { name: "Zoom in (+)" }));
  fireEvent.click(screen.getByRole("button", { name: "Whole frame (R)" }));
  handle.current?.zoom(-1);
  handle.current?.fitRegion(null);
  handle.current?.fitRegion(region("1", 20));
  expect(vi.mocked(main().zoomBy).mock.calls).toEqual([[1.4], [1 / 1.4]]);
  expect(main().fitAll).toHaveBeenCalledTimes(2);
  expect(main().fitTo).toHaveBeenCalledOnce();
});

describe("a golden template", () => {
  test("beside the frame looks where the frame's viewer looks, from the beginning", async () => {
    await show({ mode: "beside" });
    const beside = viewerOf("/golden/1").viewer;
    await waitFor(() => expect(beside.setView).toHaveBeenCalledWith({ x: 0.5, y: 0.5, zoom: 1 }));
    const there: View = { x: 0.2, y: 0.3, zoom: 5 };
    viewerOf("/r/1").events.onView(there);
    expect(beside.setView).toHaveBeenLastCalledWith(there);
  });

  test("as a difference lies over the frame and stays there", async () => {
    await show({ mode: "difference" });
    expect(main().setSecond).toHaveBeenLastCalledWith("/golden/1", true);
    expect(main().showSecond).toHaveBeenLastCalledWith(true);
    expect(screen.getByRole("status").textContent).toContain("What is not black differs");
  });

  test("blinks, and with reduced motion stays on top", async () => {
    const timer = vi.spyOn(globalThis, "setInterval");
    await show({ mode: "blink" });
    const blink = timer.mock.calls.find(([, ms]) => ms === 700)?.[0] as () => void;
    blink();
    expect(main().showSecond).toHaveBeenLastCalledWith(false);
    blink();
    expect(main().showSecond).toHaveBeenLastCalledWith(true);
  });

  test("does not blink for whom motion is too much", async () => {
    vi.stubGlobal("matchMedia", () => ({ matches: true }));
    const timer = vi.spyOn(globalThis, "setInterval");
    await show({ mode: "blink" });
    expect(timer.mock.calls.some(([, ms]) => ms === 700)).toBe(false);
    expect(main().showSecond).toHaveBeenLastCalledWith(true);
  });

  test("says how far the frame lies off, once that is known", async () => {
    await show({ mode: "difference" });
    expect(await screen.findByText(/2\.0 % of this frame differs from it/)).toBeTruthy();
  });

  test("that was never set is offered to whom may set one", async () => {
    const dialog = vi.fn();
    await show({ frame: aFrame({ urls: { ...golden, template: null } }), onTemplateDialog: dialog });
    expect(screen.getByRole("button", { name: "No template" })).toBeTruthy();
    fireEvent.click(screen.getByRole("button", { name: "Set template" }));
    expect(dialog).toHaveBeenCalledOnce();
  });

  test("cannot be set by whom the page offers nothing", async () => {
    await show();
    expect(screen.queryByRole("button", { name: "Change" })).toBeNull();
  });
});
