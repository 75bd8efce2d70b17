/**
 * How a frame lies on its golden template: the shift between them and how much of the frame differs after it.
 * Knows grey values only. Whole shifts are tried one by one (least mean square), then refined by a parabola.
 */

/** Grey values 0..255, row by row. */
export interface Grey {
  width: number;
  height: number;
  data: Float32Array;
}

export interface Alignment {
  /** Where the frame's content lies against the template's, in pixels of the pictures given; x right, y down. */
  dx: number;
  dy: number;
  /** Share of the frame's pixels that have no equal in the template within one pixel, 0..1. */
  changed: number;
  /** The best shift lies at the end of what was tried: the true one may be larger. */
  beyond: boolean;
}

const CHANGED_BY = 40;

export function align(frame: Grey, template: Grey, reach = 10): Alignment {
  const costs = new Map<string, number>();
  const costAt = (dx: number, dy: number): number => {
    const key = `${dx},${dy}`;
    const known = costs.get(key);
    if (known !== undefined) return known;
    const cost = meanSquare(frame, template, dx, dy, reach);
    costs.set(key, cost);
    return cost;
  };
  let [x, y] = [0, 0];
  for (let dy = -reach; dy <= reach; dy++) {
    for (let dx = -reach; dx <= reach; dx++) {
      const better = costAt(dx, dy) - costAt(x, y);
      // Of equal ones the nearest: a flat picture has not moved.
      if (better < 0 || (better === 0 && dx * dx + dy * dy < x * x + y * y)) [x, y] = [dx, dy];
    }
  }
  const inside = (value: number) => Math.abs(value) < reach;
  return {
    dx: x + (inside(x) ? vertex(costAt(x - 1, y), costAt(x, y), costAt(x + 1, y)) : 0),
    dy: y + (inside(y) ? vertex(costAt(x, y - 1), costAt(x, y), costAt(x, y + 1)) : 0),
    changed: changedShare(frame, template, x, y),
    beyond: !inside(x) || !inside(y),
  };
}

/** Over the middle, which every shift covers, each second pixel of each second row. */
function meanSquare(frame: Grey, template: Grey, dx: number, dy: number, reach: number): number {
  let [sum, count] = [0, 0];
  for (let y = reach; y < frame.height - reach; y += 2) {
    const [row, other] = [y * frame.width, (y - dy) * template.width];
    for (let x = reach; x < frame.width - reach; x += 2) {
      const difference = (frame.data[row + x] ?? 0) - (template.data[other + x - dx] ?? 0);
      sum += difference * difference;
      count += 1;
    }
  }
  return count === 0 ? 0 : sum / count;
}

/** Where a parabola through three neighbours has its lowest point, -0.5..0.5. */
function vertex(left: number, middle: number, right: number): number {
  const bend = left - 2 * middle + right;
  return bend <= 0 || middle === 0 ? 0 : Math.max(-0.5, Math.min(0.5, (left - right) / (2 * bend)));
}

function changedShare(frame: Grey, template: Grey, dx: number, dy: number): number {
  let [changed, count] = [0, 0];
  for (let y = 1 + Math.max(0, dy); y < frame.height - 1 + Math.min(0, dy); y++) {
    for (let x = 1 + Math.max(0, dx); x < frame.width - 1 + Math.min(0, dx); x++) {
      count += 1;
      if (leastDifference(frame.data[y * frame.width + x] ?? 0, template, x - dx, y - dy) > CHANGED_BY)
        changed += 1;
    }
  }
  return count === 0 ? 0 : changed / count;
}

/** Edges are never sampled twice at the same place: the nearest of nine neighbours counts. */
function leastDifference(value: number, template: Grey, atX: number, atY: number): number {
  let least = Infinity;
  for (let y = atY - 1; y <= atY + 1; y++) {
    for (let x = atX - 1; x <= atX + 1; x++) {
      least = Math.min(least, Math.abs(value - (template.data[y * template.width + x] ?? 0)));
    }
  }
  return least;
}

/** "0.4 px right, 2.0 px down", or that it lies on it. */
export function shiftInWords({ dx, dy, beyond }: Alignment): string {
  const parts = [
    Math.abs(dx) >= 0.5 ? `${Math.abs(dx).toFixed(1)} px ${dx > 0 ? "right" : "left"}` : "",
    Math.abs(dy) >= 0.5 ? `${Math.abs(dy).toFixed(1)} px ${dy > 0 ? "down" : "up"}` : "",
  ].filter((part) => part !== "");
  if (parts.length === 0) return "within half a pixel";
  return `${beyond ? "at least " : ""}${parts.join(", ")}`;
}
