/**
 * Turn "these frames changed" into few requests: a handful is fetched one by one, a crowd as one list.
 * At most one round is under way; what changes meanwhile waits for the next.
 */

export interface RefetchSources<T> {
  one: (id: string) => Promise<T>;
  newest: () => Promise<readonly T[]>;
  onResult: (items: readonly T[]) => void;
  onError: (error: unknown) => void;
  /** Runs the callback a moment later, so that events that come together are answered together. */
  later: (callback: () => void) => void;
}

export class Refetcher<T> {
  private readonly dirty = new Set<string>();
  private all = false;
  private busy = false;

  constructor(
    private readonly sources: RefetchSources<T>,
    private readonly crowd = 4,
  ) {}

  changed(id: string): void {
    this.dirty.add(id);
    this.schedule();
  }

  everything(): void {
    this.all = true;
    this.schedule();
  }

  private schedule(): void {
    if (this.busy) return;
    this.busy = true;
    this.sources.later(() => void this.round());
  }

  private async round(): Promise<void> {
    const ids = [...this.dirty];
    const whole = this.all || ids.length >= this.crowd;
    this.dirty.clear();
    this.all = false;
    try {
      const items = whole ? await this.sources.newest() : await Promise.all(ids.map(this.sources.one));
      this.sources.onResult(items);
    } catch (error) {
      this.sources.onError(error);
    } finally {
      this.busy = false;
      this.again();
    }
  }

  private again(): void {
    if (this.all || this.dirty.size > 0) this.schedule();
  }
}
