/** The FrameViewer on OpenSeadragon, with an SVG of our own for the regions. Nothing else imports OpenSeadragon. */
import OpenSeadragon from "openseadragon";

import { smallestAt, type RectXywh } from "../../domain/region";
import { prefersReducedMotion } from "../../ui/hooks";
import type { FrameViewer, View, ViewerEvents, ViewerRegion } from "./frameViewer";

const SVG = "http://www.w3.org/2000/svg";
/** Above this many only the selected region keeps its number: more would hide the picture. */
const MOST_LABELS = 40;
/** One picture pixel becomes at most so many screen pixels. */
const MOST_ZOOM = 24;
const SLACK_PX = 5;
const LABEL_PX = 20;

export interface Picture {
  url: string;
  width: number;
  height: number;
}

export function createViewer(host: HTMLElement, picture: Picture, events: ViewerEvents): FrameViewer {
  forestallInlineStyle();
  return new OpenSeadragonViewer(host, picture, events);
}

/**
 * OpenSeadragon adds a style sheet of its own (one rule that takes away a focus ring) unless it finds it there.
 * The security policy forbids inline styles, so it finds an empty one.
 */
function forestallInlineStyle(): void {
  const marker = "data-openseadragon-mobile-css";
  if (document.querySelector(`style[${marker}]`) !== null) return;
  const empty = document.createElement("style");
  empty.setAttribute(marker, "true");
  document.head.append(empty);
}

class OpenSeadragonViewer implements FrameViewer {
  private readonly osd: OpenSeadragon.Viewer;
  private readonly overlay: Overlay;
  private second: OpenSeadragon.TiledImage | null = null;
  private secondWanted: { url: string; difference: boolean } | null = null;
  private secondVisible = false;

  constructor(
    host: HTMLElement,
    private readonly picture: Picture,
    events: ViewerEvents,
  ) {
    this.osd = OpenSeadragon({
      element: host,
      tileSources: oneImage(picture.url),
      drawer: "canvas",
      showNavigationControl: false,
      animationTime: prefersReducedMotion() ? 0 : 0.12,
      springStiffness: 10,
      maxZoomPixelRatio: MOST_ZOOM,
      minZoomImageRatio: 0.8,
      visibilityRatio: 0.6,
      imageSmoothingEnabled: true,
      gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
      gestureSettingsTouch: { pinchRotate: false },
    });
    this.overlay = new Overlay(this.osd.canvas);
    this.osd.addHandler("open", () => {
      this.place();
      events.onReady();
    });
    this.osd.addHandler("open-failed", () => events.onError());
    this.osd.addHandler("update-viewport", () => {
      this.place();
      events.onView(this.view());
    });
    // The page has its own keys; OpenSeadragon's would rotate and flip the frame.
    this.osd.addHandler("canvas-key", (event) => (event.preventDefaultAction = true));
    this.osd.addHandler("canvas-click", (event) => {
      if (event.quick) events.onSelect(this.overlay.at(event.position.x, event.position.y));
    });
  }

  setRegions(regions: readonly ViewerRegion[]): void {
    this.overlay.draw(regions);
    this.place();
  }

  select(region: string | null): void {
    this.overlay.select(region);
  }

  showOverlays(visible: boolean): void {
    this.overlay.show(visible);
  }

  setSecond(url: string | null, difference: boolean): void {
    const wanted = url === null ? null : { url, difference };
    if (wanted?.url === this.secondWanted?.url && wanted?.difference === this.secondWanted?.difference)
      return;
    this.secondWanted = wanted;
    if (this.second !== null) this.osd.world.removeItem(this.second);
    this.second = null;
    if (wanted === null) return;
    this.osd.addTiledImage({
      tileSource: oneImage(wanted.url),
      opacity: 0,
      // Templates are aligned by their width, as the frames of their station are.
      width: 1,
      ...(difference ? { compositeOperation: "difference" as const } : {}),
      success: (event) => {
        const item = (event as unknown as { item: OpenSeadragon.TiledImage }).item;
        if (this.secondWanted !== wanted) {
          this.osd.world.removeItem(item); // it came after another one was asked for
          return;
        }
        this.second = item;
        this.showSecond(this.secondVisible);
      },
    });
  }

  showSecond(visible: boolean): void {
    this.secondVisible = visible;
    this.second?.setOpacity(visible ? 1 : 0);
  }

  fitTo({ x, y, width, height }: RectXywh): void {
    const scale = 1 / this.picture.width;
    this.osd.viewport.fitBounds(new OpenSeadragon.Rect(x * scale, y * scale, width * scale, height * scale));
  }

  bringIntoView({ x, y, width, height }: RectXywh): void {
    const scale = 1 / this.picture.width;
    const rect = new OpenSeadragon.Rect(x * scale, y * scale, width * scale, height * scale);
    const seen = this.osd.viewport.getBounds(false);
    const inside =
      rect.x >= seen.x &&
      rect.y >= seen.y &&
      rect.x + rect.width <= seen.x + seen.width &&
      rect.y + rect.height <= seen.y + seen.height;
    if (!inside) this.osd.viewport.panTo(rect.getCenter());
  }

  fitAll(): void {
    this.osd.viewport.goHome();
  }

  zoomBy(factor: number): void {
    this.osd.viewport.zoomBy(factor);
    this.osd.viewport.applyConstraints();
  }

  view(): View {
    const { x, y } = this.osd.viewport.getCenter(true);
    return { x, y, zoom: this.osd.viewport.getZoom(true) };
  }

  setView({ x, y, zoom }: View): void {
    this.osd.viewport.zoomTo(zoom, undefined, true);
    this.osd.viewport.panTo(new OpenSeadragon.Point(x, y), true);
  }

  destroy(): void {
    this.osd.destroy();
  }

  /** Lay the overlay over the picture: frame pixels to screen pixels. */
  private place(): void {
    if (!this.osd.isOpen()) return;
    const origin = this.osd.viewport.pixelFromPoint(new OpenSeadragon.Point(0, 0), true);
    const right = this.osd.viewport.pixelFromPoint(new OpenSeadragon.Point(1, 0), true);
    this.overlay.place(origin.x, origin.y, (right.x - origin.x) / this.picture.width);
  }
}

/** One plain picture, no tiles. The published types know this kind of source only as a class. */
function oneImage(url: string): OpenSeadragon.TileSourceOptions {
  return { type: "image", url, buildPyramid: false } as unknown as OpenSeadragon.TileSourceOptions;
}

interface Drawn {
  region: ViewerRegion;
  box: SVGGElement;
  label: SVGGElement;
}

/** One SVG over the canvas: boxes scale with the picture, their strokes and numbers do not. */
class Overlay {
  private readonly svg = svgElement("svg", { class: "viewer-overlay" });
  private readonly boxes = svgElement("g", {});
  private readonly labels = svgElement("g", {});
  private drawn = new Map<string, Drawn>();
  private selected: string | null = null;
  private placed = { x: 0, y: 0, scale: 1 };

  constructor(host: HTMLElement) {
    this.svg.append(this.boxes, this.labels);
    host.append(this.svg);
  }

  draw(regions: readonly ViewerRegion[]): void {
    this.boxes.replaceChildren();
    this.labels.replaceChildren();
    this.drawn = new Map(regions.map((region) => [region.id, this.drawOne(region)]));
    this.select(this.selected);
  }

  select(region: string | null): void {
    this.selected = region;
    const few = this.drawn.size <= MOST_LABELS;
    for (const [id, { box, label }] of this.drawn) {
      box.classList.toggle("selected", id === region);
      label.classList.toggle("selected", id === region);
      label.style.display = few || id === region ? "" : "none";
    }
    const top = region === null ? undefined : this.drawn.get(region);
    if (top !== undefined) {
      this.boxes.append(top.box);
      this.labels.append(top.label);
    }
  }

  show(visible: boolean): void {
    this.svg.style.visibility = visible ? "visible" : "hidden";
  }

  place(x: number, y: number, scale: number): void {
    this.placed = { x, y, scale };
    this.boxes.setAttribute("transform", `translate(${x} ${y}) scale(${scale})`);
    for (const { region, label } of this.drawn.values()) this.placeLabel(region, label);
  }

  /** The smallest region at a place on the screen, a few pixels of slack around it. */
  at(screenX: number, screenY: number): string | null {
    const { x, y, scale } = this.placed;
    const point = { x: (screenX - x) / scale, y: (screenY - y) / scale };
    return smallestAt(
      [...this.drawn.values()].map(({ region }) => region),
      point,
      SLACK_PX / scale,
    );
  }

  private drawOne(region: ViewerRegion): Drawn {
    const look = `viewer-region class-colour-${region.colourIndex % 8}${region.look === "counts" ? "" : ` ${region.look}`}`;
    const box = svgElement("g", { class: look, "data-region": region.id });
    for (const part of ["halo", "edge"]) {
      box.append(svgElement("rect", { class: part, ...numbers(region.rect) }));
    }
    const label = svgElement("g", { class: look, "data-region": region.id });
    const width = 10 + region.label.length * 7;
    const text = svgElement("text", { x: String(width / 2), y: "12.5", "text-anchor": "middle" });
    text.textContent = region.label;
    label.append(svgElement("rect", { class: "tag", width: String(width), height: "17", rx: "3" }), text);
    this.boxes.append(box);
    this.labels.append(label);
    this.placeLabel(region, label);
    return { region, box, label };
  }

  private placeLabel({ rect }: ViewerRegion, label: SVGGElement): void {
    const { x, y, scale } = this.placed;
    // Above the box; at the upper edge of the view inside it, so that no number is cut off.
    const top = y + rect.y * scale;
    const above = top < LABEL_PX ? top + 3 : top - LABEL_PX;
    label.setAttribute("transform", `translate(${x + rect.x * scale} ${above})`);
  }
}

function svgElement<K extends keyof SVGElementTagNameMap>(
  name: K,
  attributes: Record<string, string>,
): SVGElementTagNameMap[K] {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

function numbers(rect: RectXywh): Record<string, string> {
  return Object.fromEntries(Object.entries(rect).map(([key, value]) => [key, String(value)]));
}
