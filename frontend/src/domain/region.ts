/** Geometry of regions in pixels of the stored frame. Knows no screen. */
import type { BoxXyxy, Region } from "../api/types";

export interface RectXywh {
  x: number;
  y: number;
  width: number;
  height: number;
}

export function rectOf([x0, y0, x1, y1]: BoxXyxy): RectXywh {
  return { x: x0, y: y0, width: Math.max(0, x1 - x0), height: Math.max(0, y1 - y0) };
}

export function areaPx(box: BoxXyxy): number {
  const { width, height } = rectOf(box);
  return width * height;
}

/** Regions worth showing at this confidence, large ones first so that small ones lie on top of them. */
export function drawable(regions: readonly Region[], minScore: number): Region[] {
  return regions
    .filter((region) => region.score >= minScore)
    .sort((a, b) => areaPx(b.box_xyxy) - areaPx(a.box_xyxy));
}

/** The box with `margin` times its longer side around it, cut at the frame's edge: what "fit region" shows. */
export function surroundings(box: BoxXyxy, frameWh: readonly [number, number], margin = 1.5): RectXywh {
  const { x, y, width, height } = rectOf(box);
  const around = Math.max(width, height, 8) * margin;
  const left = Math.max(0, x - around);
  const top = Math.max(0, y - around);
  return {
    x: left,
    y: top,
    width: Math.min(frameWh[0], x + width + around) - left,
    height: Math.min(frameWh[1], y + height + around) - top,
  };
}

/** The describer names another class than the detector. What it names is machine text, of any kind. */
export function disagrees({ defect_class, description }: Region): boolean {
  if (description?.state !== "done") return false;
  const named = description.text?.defect_class;
  return named !== undefined && named !== defect_class.name;
}

/** "24 × 31 px at 412, 96", for people and screen readers. */
export function boxInWords(box: BoxXyxy): string {
  const { x, y, width, height } = rectOf(box);
  return `${Math.round(width)} × ${Math.round(height)} px at ${Math.round(x)}, ${Math.round(y)}`;
}

/** The smallest region within `slack` of a point, all in frame pixels: what a click there means. */
export function smallestAt(
  regions: readonly { id: string; rect: RectXywh }[],
  point: { x: number; y: number },
  slack: number,
): string | null {
  const near = regions.filter(
    ({ rect }) =>
      point.x >= rect.x - slack &&
      point.x <= rect.x + rect.width + slack &&
      point.y >= rect.y - slack &&
      point.y <= rect.y + rect.height + slack,
  );
  near.sort((a, b) => a.rect.width * a.rect.height - b.rect.width * b.rect.height);
  return near[0]?.id ?? null;
}
