// @vitest-environment happy-dom
/** The seam to the picture library: what the page asks for, and what the library is told. It is replaced here. */
import { beforeEach, describe, expect, test, vi } from "vitest";

import type { View, ViewerRegion } from "./frameViewer";
import { createViewer } from "./openSeadragonViewer";

type Handler = (event: Record<string, unknown>) => void;
interface Bounds {
  x: number;
  y: number;
  width: number;
  height: number;
}
interface Second {
  setOpacity: ReturnType<typeof vi.fn>;
}
interface Asked {
  tileSource: { url: string };
  opacity: number;
  width: number;
  compositeOperation?: string;
  success: (event: { item: Second }) => void;
}

/** The library, as far as the viewer uses it. Where the picture lies on the screen is for the test to say. */
class Library {
  readonly handlers = new Map<string, Handler>();
  readonly canvas = document.createElement("div");
  readonly asked: Asked[] = [];
  readonly removed: Second[] = [];
  readonly moves: [string, ...unknown[]][] = [];
  open = true;
  left = 10;
  top = 50;
  widthPx = 1280;
  seen: Bounds = { x: 0, y: 0, width: 1, height: 1 };
  readonly destroy = vi.fn();
  readonly world = { removeItem: (item: Second) => this.removed.push(item) };
  readonly viewport = {
    pixelFromPoint: ({ x }: { x: number }) => ({ x: this.left + x * this.widthPx, y: this.top }),
    fitBounds: (rect: Bounds) => this.moves.push(["fitBounds", rect]),
    getBounds: () => this.seen,
    panTo: (point: unknown) => this.moves.push(["panTo", point]),
    goHome: () => this.moves.push(["goHome"]),
    zoomBy: (factor: number) => this.moves.push(["zoomBy", factor]),
    applyConstraints: () => this.moves.push(["applyConstraints"]),
    zoomTo: (zoom: number) => this.moves.push(["zoomTo", zoom]),
    getCenter: () => ({ x: 0.25, y: 0.5 }),
    getZoom: () => 3,
  };

  constructor(readonly options: Record<string, unknown>) {}
  addHandler(name: string, handler: Handler): void {
    this.handlers.set(name, handler);
  }
  addTiledImage(asked: Asked): void {
    this.asked.push(asked);
  }
  isOpen(): boolean {
    return this.open;
  }
  does(name: string, event: Record<string, unknown> = {}): void {
    this.handlers.get(name)?.(event);
  }
}

let library: Library;
vi.mock("openseadragon", () => {
  const open = (options: Record<string, unknown>) => (library = new Library(options));
  class Rect {
    constructor(
      readonly x: number,
      readonly y: number,
      readonly width: number,
      readonly height: number,
    ) {}
    getCenter() {
      return { x: this.x + this.width / 2, y: this.y + this.height / 2 };
    }
  }
  class Point {
    constructor(
      readonly x: number,
      readonly y: number,
    ) {}
  }
  return { default: Object.assign(open, { Rect, Point }) };
});

const events = {
  onReady: vi.fn(),
  onError: vi.fn(),
  onSelect: vi.fn(),
  onView: vi.fn<(view: View) => void>(),
};
const host = document.createElement("div");
/** A picture of 640 pixels on 1280 of the screen: two screen pixels to one of the picture. */
const viewer = () => createViewer(host, { url: "/r/1", width: 640, height: 480 }, events);

function region(
  id: string,
  x: number,
  y: number,
  side: number,
  part: Partial<ViewerRegion> = {},
): ViewerRegion {
  return {
    id,
    rect: { x, y, width: side, height: side },
    colourIndex: 1,
    label: id,
    look: "counts",
    ...part,
  };
}
const boxes = () => [...library.canvas.querySelectorAll("svg > g:first-child > g")];
const labels = () => [...library.canvas.querySelectorAll<SVGGElement>("svg > g:last-child > g")];
const shownLabels = () =>
  labels()
    .filter(({ style }) => style.display !== "none")
    .map(({ textContent }) => textContent);

beforeEach(() => {
  vi.clearAllMocks();
  document.head.replaceChildren();
  vi.stubGlobal("matchMedia", () => ({ matches: false }));
});

describe("the library is told", () => {
  test("to show the one picture, without a style sheet of its own and without its own buttons", () => {
    viewer();
    viewer();
    expect(library.options).toMatchObject({
      element: host,
      tileSources: { type: "image", url: "/r/1", buildPyramid: false },
      showNavigationControl: false,
    });
    const styles = document.querySelectorAll("style[data-openseadragon-mobile-css]");
    expect([styles.length, styles[0]?.textContent]).toEqual([1, ""]);
  });

  test.each([
    [true, 0],
    [false, 0.12],
  ])("with reduced motion: %s, to move in %s s", (reduced, seconds) => {
    vi.stubGlobal("matchMedia", () => ({ matches: reduced }));
    viewer();
    expect(library.options["animationTime"]).toBe(seconds);
  });

  test("to leave the keys to the page: its own would rotate and flip the frame", () => {
    viewer();
    const event: Record<string, unknown> = {};
    library.does("canvas-key", event);
    expect(event["preventDefaultAction"]).toBe(true);
  });

  test("where to look, in shares of the picture's width", () => {
    const one = viewer();
    one.fitTo({ x: 64, y: 128, width: 320, height: 64 });
    one.zoomBy(1.4);
    one.fitAll();
    one.setView({ x: 0.1, y: 0.2, zoom: 4 });
    expect(library.moves).toMatchObject([
      ["fitBounds", { x: 0.1, y: 0.2, width: 0.5, height: 0.1 }],
      ["zoomBy", 1.4],
      ["applyConstraints"],
      ["goHome"],
      ["zoomTo", 4],
      ["panTo", { x: 0.1, y: 0.2 }],
    ]);
  });

  test("to move to a region only where it is not wholly seen", () => {
    const one = viewer();
    library.seen = { x: 0, y: 0, width: 0.5, height: 0.5 };
    one.bringIntoView({ x: 64, y: 64, width: 64, height: 64 });
    expect(library.moves).toEqual([]);
    one.bringIntoView({ x: 300, y: 64, width: 64, height: 64 });
    expect(library.moves).toMatchObject([
      ["panTo", { x: expect.closeTo(332 / 640) as number, y: expect.closeTo(96 / 640) as number }],
    ]);
  });

  test("that it is no longer wanted", () => {
    viewer().destroy();
    expect(library.destroy).toHaveBeenCalledOnce();
  });
});

describe("the page is told", () => {
  test("when the picture is there, and when it cannot be loaded", () => {
    viewer();
    expect(events.onReady).not.toHaveBeenCalled();
    library.does("open");
    expect(events.onReady).toHaveBeenCalledOnce();
    library.does("open-failed");
    expect(events.onError).toHaveBeenCalledOnce();
  });

  test("where the viewer looks, each time that changes", () => {
    const one = viewer();
    library.does("update-viewport");
    expect(events.onView).toHaveBeenCalledWith({ x: 0.25, y: 0.5, zoom: 3 });
    expect(one.view()).toEqual({ x: 0.25, y: 0.5, zoom: 3 });
  });

  test("which region was clicked, the smallest where two lie on each other, or that it was none", () => {
    viewer().setRegions([region("large", 0, 0, 200), region("small", 50, 50, 20)]);
    const click = (x: number, y: number, quick = true) =>
      library.does("canvas-click", { quick, position: { x, y } });
    click(10 + 2 * 60, 50 + 2 * 60);
    click(10 + 2 * 150, 50 + 2 * 150);
    click(10 + 2 * 400, 50 + 2 * 400);
    click(10 + 2 * 60, 50 + 2 * 60, false); // the end of a drag
    expect(events.onSelect.mock.calls).toEqual([["small"], ["large"], [null]]);
  });

  test("of a region that was missed by a finger's breadth", () => {
    viewer().setRegions([region("one", 100, 100, 20)]);
    library.does("canvas-click", { quick: true, position: { x: 10 + 2 * 120 + 4, y: 50 + 2 * 110 } });
    library.does("canvas-click", { quick: true, position: { x: 10 + 2 * 120 + 8, y: 50 + 2 * 110 } });
    expect(events.onSelect.mock.calls).toEqual([["one"], [null]]);
  });
});

describe("regions over the picture", () => {
  test("lie where the picture lies, and move with it", () => {
    viewer().setRegions([region("one", 100, 60, 20)]);
    const moved = () => library.canvas.querySelector("svg > g")?.getAttribute("transform");
    expect(moved()).toBe("translate(10 50) scale(2)");
    [library.left, library.widthPx] = [-100, 2560];
    library.does("update-viewport");
    expect(moved()).toBe("translate(-100 50) scale(4)");
  });

  test("wait until there is a picture to lie on", () => {
    const one = viewer();
    library.open = false;
    one.setRegions([region("one", 100, 60, 20)]);
    expect(library.canvas.querySelector("svg > g")?.getAttribute("transform")).toBeNull();
  });

  test("have the colour of their class, and say whether they count", () => {
    viewer().setRegions([
      region("a", 0, 0, 9, { colourIndex: 10 }),
      region("b", 0, 0, 9, { look: "dismissed" }),
      region("c", 0, 0, 9, { look: "below" }),
    ]);
    expect(boxes().map((box) => box.getAttribute("class"))).toEqual([
      "viewer-region class-colour-2",
      "viewer-region class-colour-1 dismissed",
      "viewer-region class-colour-1 below",
    ]);
  });

  test("have their number above them, and inside at the upper edge, where it would be cut off", () => {
    const one = viewer();
    library.top = 0;
    one.setRegions([region("low", 100, 60, 20), region("high", 100, 2, 20)]);
    expect(labels().map((label) => label.getAttribute("transform"))).toEqual([
      "translate(210 100)",
      "translate(210 7)",
    ]);
  });

  test("show names as text, whatever is in them", () => {
    viewer().setRegions([region("one", 0, 0, 9, { label: "<script>alert(1)</script>" })]);
    expect(labels()[0]?.textContent).toBe("<script>alert(1)</script>");
    expect(library.canvas.querySelector("script")).toBeNull();
  });

  test("the selected one lies on top and stays selected when they are drawn anew", () => {
    const one = viewer();
    const all = [region("a", 0, 0, 50), region("b", 10, 10, 50)];
    one.setRegions(all);
    one.select("a");
    one.setRegions([...all]);
    expect(boxes().map((box) => box.getAttribute("data-region"))).toEqual(["b", "a"]);
    expect(boxes().map((box) => box.classList.contains("selected"))).toEqual([false, true]);
    one.select(null);
    expect(boxes().some((box) => box.classList.contains("selected"))).toBe(false);
  });

  test("of very many only the selected one keeps its number, so that the picture is seen", () => {
    const one = viewer();
    one.setRegions(Array.from({ length: 41 }, (_, n) => region(String(n), n, 0, 9)));
    expect(shownLabels()).toEqual([]);
    one.select("7");
    expect(shownLabels()).toEqual(["7"]);
    one.setRegions([region("7", 0, 0, 9), region("8", 0, 0, 9)]);
    expect(shownLabels().sort()).toEqual(["7", "8"]);
  });

  test("can be hidden and shown again", () => {
    const one = viewer();
    const drawn = library.canvas.querySelector("svg");
    one.showOverlays(false);
    expect(drawn?.style.visibility).toBe("hidden");
    one.showOverlays(true);
    expect(drawn?.style.visibility).toBe("visible");
  });
});

describe("a second picture over the first", () => {
  const second = (): Second => ({ setOpacity: vi.fn() });
  const asked = (n: number): Asked => {
    const one = library.asked[n];
    if (one === undefined) throw new Error("it was not asked for");
    return one;
  };

  test("comes unseen, as wide as the first, and is shown when it is there", () => {
    const one = viewer();
    one.setSecond("/t/1", false);
    one.showSecond(true);
    expect(asked(0)).toMatchObject({ tileSource: { url: "/t/1" }, opacity: 0, width: 1 });
    expect(asked(0).compositeOperation).toBeUndefined();
    const item = second();
    asked(0).success({ item });
    expect(item.setOpacity).toHaveBeenLastCalledWith(1);
    one.showSecond(false);
    expect(item.setOpacity).toHaveBeenLastCalledWith(0);
  });

  test("is asked for once, and anew as a difference", () => {
    const one = viewer();
    one.setSecond("/t/1", false);
    one.setSecond("/t/1", false);
    expect(library.asked).toHaveLength(1);
    const item = second();
    asked(0).success({ item });
    one.setSecond("/t/1", true);
    expect(library.removed).toEqual([item]);
    expect(asked(1).compositeOperation).toBe("difference");
  });

  test("that comes after another was asked for is taken away at once", () => {
    const one = viewer();
    one.setSecond("/t/1", false);
    one.setSecond("/t/2", false);
    const [late, wanted] = [second(), second()];
    asked(0).success({ item: late });
    asked(1).success({ item: wanted });
    expect(library.removed).toEqual([late]);
    one.showSecond(true);
    expect(late.setOpacity).not.toHaveBeenCalled();
    expect(wanted.setOpacity).toHaveBeenLastCalledWith(1);
  });

  test("goes when it is no longer wanted", () => {
    const one = viewer();
    one.setSecond("/t/1", false);
    const item = second();
    asked(0).success({ item });
    one.setSecond(null, false);
    expect(library.removed).toEqual([item]);
    expect(library.asked).toHaveLength(1);
  });
});
