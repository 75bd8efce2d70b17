/** What the Frame page asks of a picture canvas. Which library draws it is known to one other file only. */
import type { RectXywh } from "../../domain/region";

export interface ViewerRegion {
  id: string;
  rect: RectXywh;
  /** 0..7, the colour that its DefectClass has everywhere. */
  colourIndex: number;
  label: string;
  /** A defect; one that somebody dismissed; or a proposal that did not reach its threshold. */
  look: "counts" | "dismissed" | "below";
}

/** Where a viewer looks, so that two can look at the same place. Centre in 0..1 of the picture's width. */
export interface View {
  x: number;
  y: number;
  zoom: number;
}

export interface ViewerEvents {
  onReady: () => void;
  onError: () => void;
  onSelect: (region: string | null) => void;
  onView: (view: View) => void;
}

export interface FrameViewer {
  setRegions(regions: readonly ViewerRegion[]): void;
  select(region: string | null): void;
  showOverlays(visible: boolean): void;
  /** A second picture of the same size over the first, or their difference; null for none. */
  setSecond(url: string | null, difference: boolean): void;
  showSecond(visible: boolean): void;
  fitTo(rect: RectXywh): void;
  /** Move there, without zooming, if it is not wholly seen. */
  bringIntoView(rect: RectXywh): void;
  fitAll(): void;
  zoomBy(factor: number): void;
  view(): View;
  setView(view: View): void;
  destroy(): void;
}
