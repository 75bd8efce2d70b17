/**
 * The frames to look through: disagreements first, then the rest, the newest first in each. What is in the list stays
 * where it is while a person works through it; judged frames keep their place, so that going back finds them.
 * Knows no DOM, no network and no clock.
 */
import type { FrameFilter } from "../api/client";
import type { Frame, FrameCounts, Review } from "../api/types";
import { asQuery, type QueueFilter } from "./frameFilter";
import { Store } from "./store";

export interface QueueCalls {
  page: (query: FrameFilter) => Promise<{ frames: Frame[]; next: string | null }>;
  counts: (query: FrameFilter) => Promise<FrameCounts>;
}

export interface QueueState {
  filter: QueueFilter;
  rows: readonly Frame[];
  /** Id of the frame on the desk. */
  current: string | null;
  /** Frames of this list that were judged here. */
  judged: ReadonlySet<string>;
  counts: FrameCounts | null;
  loading: boolean;
  /** There are frames behind the last row. */
  more: boolean;
  error: unknown;
}

const PAGE = 40;
/** So many rows before the end, the next page is asked for. */
const AHEAD = 8;

/** What is still to be asked for: the rest of one page after another, of one phase after another. */
interface Phase {
  disagreement: boolean;
  before: string | null;
}

export class ReviewQueue extends Store<QueueState> {
  private phases: readonly Phase[] = [];
  /** An answer to a question of an earlier round is about another list. */
  private round = 0;

  constructor(
    private readonly calls: QueueCalls,
    filter: QueueFilter,
  ) {
    super({
      filter,
      rows: [],
      current: null,
      judged: new Set(),
      counts: null,
      loading: false,
      more: false,
      error: null,
    });
  }

  /** Ask for the list from its beginning. */
  async reload(): Promise<void> {
    this.round += 1;
    const { disagreement } = asQuery(this.state.filter);
    this.phases = (disagreement == null ? [true, false] : [disagreement]).map((wanted) => ({
      disagreement: wanted,
      before: null,
    }));
    this.change({ rows: [], current: null, judged: new Set(), more: true, loading: false, error: null });
    await Promise.all([this.loadMore(), this.recount()]);
  }

  async setFilter(filter: QueueFilter): Promise<void> {
    this.change({ filter });
    await this.reload();
  }

  /** Fill one page more, over the end of a phase if it holds too few. */
  async loadMore(): Promise<void> {
    if (this.state.loading) return;
    const round = this.round;
    this.change({ loading: true, error: null });
    try {
      for (let missing = PAGE; missing > 0 && this.phases[0] !== undefined;) {
        const frames = await this.nextPage(this.phases[0], round);
        if (frames === null) return;
        missing -= frames;
      }
      if (round === this.round) this.change({ loading: false, more: this.phases.length > 0 });
    } catch (error) {
      if (round === this.round) this.change({ loading: false, error });
    }
  }

  open(frame: string): void {
    if (!this.state.rows.some(({ id }) => id === frame)) return;
    this.change({ current: frame });
    const at = this.indexOf(frame);
    if (at + AHEAD >= this.state.rows.length && this.state.more) void this.loadMore();
  }

  /** The frame that lies `by` places after the one on the desk, or null at the end. */
  neighbour(by: 1 | -1): Frame | null {
    const { rows, current } = this.state;
    return current === null ? null : (rows[this.indexOf(current) + by] ?? null);
  }

  /** The server has stored a person's word on a frame. */
  reviewed(frame: string, review: Review): void {
    const { rows, judged } = this.state;
    if (!rows.some(({ id }) => id === frame)) return;
    const withReview = (row: Frame): Frame =>
      row.id === frame
        ? {
            ...row,
            reviews: [
              review,
              ...row.reviews
                .filter(({ id }) => id !== review.id)
                .map((other) => ({ ...other, stands: false })),
            ],
          }
        : row;
    this.change({ rows: rows.map(withReview), judged: new Set(judged).add(frame) });
    void this.recount();
  }

  /** Counts are beside the list, and it works without them. */
  async recount(): Promise<void> {
    const round = this.round;
    try {
      const counts = await this.calls.counts(asQuery(this.state.filter));
      if (round === this.round) this.change({ counts });
    } catch {
      // The list itself says that the server is away.
    }
  }

  /** How many frames it brought; null when the list is another one by now. */
  private async nextPage(phase: Phase, round: number): Promise<number | null> {
    const { frames, next } = await this.calls.page({
      ...asQuery(this.state.filter),
      disagreement: phase.disagreement,
      limit: PAGE,
      ...(phase.before === null ? {} : { before: phase.before }),
    });
    if (round !== this.round) return null;
    const rest = this.phases.slice(1);
    this.phases = next === null ? rest : [{ ...phase, before: next }, ...rest];
    // A frame may be described while the list is read, and so change its phase.
    const known = new Set(this.state.rows.map(({ id }) => id));
    const rows = [...this.state.rows, ...frames.filter(({ id }) => !known.has(id))];
    this.change({ rows, current: this.state.current ?? rows[0]?.id ?? null });
    return frames.length;
  }

  private indexOf(frame: string): number {
    return this.state.rows.findIndex(({ id }) => id === frame);
  }
}
