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

/** Three to six round numbers that hold `least` and `most` between the first and the last of them. */
export function ticksOf(least: number, most: number): number[] {
  const span = most - least || Math.abs(most) || 1;
  const rough = span / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * (ROUND.find((each) => each * power >= rough) ?? 10);
  const from = Math.floor(least / step + SLACK) * step;
  const ticks = [from];
  for (let tick = from; tick < most - step * SLACK && ticks.length < 8;) {
    tick += step;
    ticks.push(Number(tick.toPrecision(12)));
  }
  if (ticks.length === 1) ticks.push(Number((from + step).toPrecision(12)));
  return ticks;
}

const ROUND = [1, 2, 2.5, 5, 10];
const SLACK = 1e-9;

/** "3 min left" in words that do not pretend to be exact. */
export function leftInWords(seconds: number | null): string {
  if (seconds === null || !Number.isFinite(seconds)) return "";
  if (seconds < 60) return "less than a minute left";
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `about ${minutes} min left` : `about ${Math.round(minutes / 60)} h left`;
}
