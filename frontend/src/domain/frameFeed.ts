/**
 * The newest frames of a line, as a calm list: while the person reads (holds), nothing moves.
 *
 * Frames on screen are always updated in place; frames that arrive during a hold wait behind a count.
 * Knows no DOM, no socket and no clock.
 */
import type { Frame, Region, TokenHint } from "../api/types";
import { Store } from "./store";

export interface Typing {
  text: string;
  tokens: number;
}

export interface FeedState {
  /** Newest first, at most `limit`. */
  shown: readonly Frame[];
  /** Arrived during the hold, not shown yet. */
  held: number;
  /** More arrived than are kept: after a long hold only the newest are shown. */
  heldMore: boolean;
  holding: boolean;
  /** What models are writing at this moment, by region id. */
  typing: ReadonlyMap<string, Typing>;
}

const EMPTY: FeedState = { shown: [], held: 0, heldMore: false, holding: false, typing: new Map() };

export class FrameFeed extends Store<FeedState> {
  private readonly waiting = new Map<string, Frame>();
  private overflowed = false;

  constructor(private readonly limit = 48) {
    super(EMPTY);
  }

  /** Frames as REST tells them now: known ones change in place, new ones are shown or held. */
  put(frames: readonly Frame[]): void {
    const known = new Map(this.state.shown.map((frame) => [frame.id, frame]));
    const hadSome = known.size > 0;
    for (const frame of frames) {
      if (known.has(frame.id) || !this.state.holding || !hadSome) known.set(frame.id, frame);
      else this.hold(frame);
    }
    this.show([...known.values()]);
  }

  /** Keep it for later; of many only as many as can be shown. */
  private hold(frame: Frame): void {
    this.waiting.set(frame.id, frame);
    if (this.waiting.size <= this.limit) return;
    const oldest = [...this.waiting.keys()].sort()[0];
    if (oldest !== undefined) this.waiting.delete(oldest);
    this.overflowed = true;
  }

  setHolding(holding: boolean): void {
    if (holding === this.state.holding) return;
    this.change({ holding });
    if (!holding) this.release();
  }

  /** Show what waited. The hold itself stays, so that the list rests again afterwards. */
  release(): void {
    const all = [...this.waiting.values(), ...this.state.shown];
    this.waiting.clear();
    this.overflowed = false;
    this.show(all);
  }

  /** A hint brings the newest piece. `n` counts all tokens so far, so a smaller one means a new attempt. */
  token(hint: TokenHint): void {
    const typing = new Map(this.state.typing);
    typing.set(hint.region, typed(this.state.typing.get(hint.region), hint));
    this.change({ typing });
  }

  private show(frames: Frame[]): void {
    const shown = frames.sort(newestFirst).slice(0, this.limit);
    const writing = new Set(
      [...shown, ...this.waiting.values()].flatMap((frame) =>
        frame.regions.filter(isWriting).map((r) => r.id),
      ),
    );
    const typing = new Map([...this.state.typing].filter(([region]) => writing.has(region)));
    this.change({ shown, held: this.waiting.size, heldMore: this.overflowed, typing });
  }
}

/** The first message of a description holds one token; one that starts later shows that we joined midway. */
export function typed(before: Typing | undefined, { text, n }: TokenHint): Typing {
  if (before !== undefined && n > before.tokens) return { text: before.text + text, tokens: n };
  return { text: n > 1 && before === undefined ? `… ${text}` : text, tokens: n };
}

/** Whether the Description of this region is still to come; a finished one ends the typing. */
export function isWriting(region: Region): boolean {
  const state = region.description?.state;
  return state === undefined || state === "pending" || state === "streaming";
}

/** Frame ids are UUIDs of version 7: their order is the order of receipt. */
function newestFirst(a: Frame, b: Frame): number {
  return a.id < b.id ? 1 : a.id > b.id ? -1 : 0;
}
