/**
 * Turn "these frames changed" into few requests: a handful is fetched one by one, a crowd as one list.
 * At most one round is under way; what changes meanwhile waits for the next. A round that failed is made up for by
 * asking for everything after a pause: no event may come that would ask again.
 */

export interface RefetchSources<T> {
  one: (id: string) => Promise<T>;
  newest: () => Promise<readonly T[]>;
  onResult: (items: readonly T[]) => void;
  onError: (error: unknown) => void;
  /**
   * Runs the callback a moment later, so that events that come together are answered together, and not before
   * `pauseMs`, which is above 0 after a failure.
   */
  later: (callback: () => void, pauseMs: number) => void;
}

const PAUSE_MS = 1500;
const LONGEST_PAUSE_MS = 30_000;

export class Refetcher<T> {
  private readonly dirty = new Set<string>();
  private all = false;
  private busy = false;
  private failures = 0;
  private stopped = false;

  constructor(
    private readonly sources: RefetchSources<T>,
    private readonly crowd = 4,
  ) {}

  changed(id: string): void {
    this.dirty.add(id);
    this.schedule();
  }

  everything(): void {
    this.stopped = false;
    this.all = true;
    this.schedule();
  }

  /** The page is left: what fails now is not asked for again. */
  stop(): void {
    this.stopped = true;
  }

  private schedule(): void {
    if (this.busy) return;
    this.busy = true;
    const pauseMs = Math.min(PAUSE_MS * 2 ** (this.failures - 1), LONGEST_PAUSE_MS);
    this.sources.later(() => void this.round(), this.failures === 0 ? 0 : pauseMs);
  }

  private async round(): Promise<void> {
    const ids = [...this.dirty];
    const whole = this.all || ids.length >= this.crowd;
    this.dirty.clear();
    this.all = false;
    try {
      const items = whole ? await this.sources.newest() : await Promise.all(ids.map(this.sources.one));
      this.failures = 0;
      this.sources.onResult(items);
    } catch (error) {
      this.failures += 1;
      this.all = true;
      this.sources.onError(error);
    } finally {
      this.busy = false;
      this.again();
    }
  }

  private again(): void {
    if (!this.stopped && (this.all || this.dirty.size > 0)) this.schedule();
  }
}
