/** How many frames a line finishes in a minute, and how long they take. Knows no clock. */

const MINUTE_MS = 60_000;

export class Throughput {
  private times: number[] = [];

  add(atMs: number): void {
    this.times.push(atMs);
  }

  /** Frames counted in the minute before `nowMs`. */
  lastMinute(nowMs: number): number {
    this.times = this.times.filter((at) => at > nowMs - MINUTE_MS);
    return this.times.length;
  }
}

/** The middle value; null for nothing measured. */
export function median(values: readonly number[]): number | null {
  const sorted = [...values].sort((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.floor((sorted.length - 1) / 2)];
  return upper === undefined || lower === undefined ? null : (upper + lower) / 2;
}
