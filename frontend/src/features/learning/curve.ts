/** Curves of a run from what its trainer told. Pure; knows no DOM. */

export interface Told {
  type: string;
  data: Record<string, unknown>;
}

export interface CurvePoint {
  step: number;
  value: number;
}

/** The values of `name` over the steps; what is no number is left out, and of a step told twice the last counts. */
export function curveOf(events: readonly Told[], name: string): CurvePoint[] {
  const points = new Map<number, number>();
  for (const { data } of events) {
    const { step, [name]: value } = data;
    if (typeof step === "number" && typeof value === "number" && Number.isFinite(value))
      points.set(step, value);
  }
  return [...points].map(([step, value]) => ({ step, value })).sort((one, other) => one.step - other.step);
}

/** The attribute `points` of an SVG polyline in a box of `width` x `height`; nothing for fewer than two points. */
export function polylineOf(points: readonly CurvePoint[], width: number, height: number): string {
  const [first] = points;
  const last = points.at(-1);
  if (first === undefined || last === undefined || first.step === last.step) return "";
  const values = points.map(({ value }) => value);
  const least = Math.min(...values);
  const span = Math.max(...values) - least || 1;
  return points
    .map(({ step, value }) => {
      const x = ((step - first.step) / (last.step - first.step)) * width;
      const y = height - ((value - least) / span) * height;
      return `${x.toFixed(1)},${y.toFixed(1)}`;
    })
    .join(" ");
}

/** "3 min left" in words that do not pretend to be exact. */
export function leftInWords(seconds: number | null): string {
  if (seconds === null || !Number.isFinite(seconds)) return "";
  if (seconds < 60) return "less than a minute left";
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `about ${minutes} min left` : `about ${Math.round(minutes / 60)} h left`;
}
