/** A logarithmic axis for times that span from a millisecond to a minute. Knows no drawing. */

export interface Axis {
  /** Where a value lies, 0 (least) to 1 (most). Values outside are put on the edge. */
  at: (value: number) => number;
  /** Values to mark, within the axis: 1, 2 and 5 of each power of ten, thinned to a readable number. */
  ticks: readonly number[];
}

const LEAST = 0.1;

/** An axis from the power of ten (or its half) below the least value to the one above the most. */
export function logAxis(values: readonly number[]): Axis {
  const known = values.filter((value) => Number.isFinite(value) && value > 0);
  const least = Math.max(LEAST, known.length > 0 ? Math.min(...known) : 1);
  const most = Math.max(least, known.length > 0 ? Math.max(...known) : 1000);
  const steps = around(least, most);
  const [from, to] = [steps[0] ?? least, steps.at(-1) ?? most];
  const span = Math.log(to / from);
  const at = (value: number) => Math.min(1, Math.max(0, Math.log(Math.max(value, LEAST) / from) / span));
  return { at, ticks: steps.length > 7 ? steps.filter((step) => isPowerOfTen(step)) : steps };
}

/** 1, 2, 5 times powers of ten, from the last at or below `least` to the first above `most`. */
function around(least: number, most: number): number[] {
  const steps: number[] = [];
  for (let power = Math.floor(Math.log10(least)); steps.length < 60; power++) {
    for (const factor of [1, 2, 5]) {
      const step = Number((factor * 10 ** power).toPrecision(3));
      if (step <= least) steps.length = 0;
      steps.push(step);
      if (step > most) return steps;
    }
  }
  return steps;
}

function isPowerOfTen(value: number): boolean {
  return Number.isInteger(Number(Math.log10(value).toFixed(9)));
}
