/** One frame as REST tells it, kept fresh by its line's events, and what is being written about it. No DOM. */
import { api } from "../../api/client";
import type { Frame, Review, TokenHint } from "../../api/types";
import { typed, type Typing } from "../../domain/frameFeed";
import { Refetcher } from "../../domain/refetcher";
import { Store } from "../../domain/store";
import { LineSession } from "../../live/lineSession";
import { socketUrl, type ConnectionState } from "../../live/socket";

const GATHER_MS = 60;

export interface FrameState {
  frame: Frame | null;
  error: unknown;
  connection: ConnectionState;
  typing: ReadonlyMap<string, Typing>;
  /** The first frame that was received after this one while the page was open. */
  newer: string | null;
}

export class FrameStore extends Store<FrameState> {
  private readonly session: LineSession;
  private readonly refetcher: Refetcher<Frame>;

  constructor(
    private readonly id: string,
    line: number,
    /** What a list already knew of it; shown until REST answers. */
    known: Frame | null = null,
  ) {
    super({ frame: known, error: null, connection: "connecting", typing: new Map(), newer: null });
    const fetchIt = () => api.frame(id);
    this.refetcher = new Refetcher<Frame>({
      one: fetchIt,
      newest: async () => [await fetchIt()],
      onResult: ([frame]) => this.change({ frame: frame ?? null, error: null }),
      onError: (error) => this.change({ error }),
      later: (callback, pauseMs) => setTimeout(callback, Math.max(GATHER_MS, pauseMs)),
    });
    this.session = new LineSession(socketUrl(`/ws/v1/lines/${line}/events`, location), {
      onEvent: (event) => {
        if (event.id === id) this.refetcher.everything();
        else if (event.type === "frame.added" && this.state.newer === null) this.change({ newer: event.id });
      },
      onRefetch: () => this.refetcher.everything(),
      onHint: (message) => this.hint(message),
      onState: (connection) => this.change({ connection }),
    });
  }

  start(): () => void {
    this.session.start();
    this.refetcher.everything();
    return () => {
      this.session.stop();
      this.refetcher.stop();
    };
  }

  reload(): void {
    this.refetcher.everything();
  }

  retryNow(): void {
    this.session.retryNow();
  }

  doubt(): void {
    if (this.state.connection === "open") this.session.doubt();
  }

  /** The server has just stored it: show it before the next answer does. */
  addReview(review: Review): void {
    const { frame } = this.state;
    if (frame === null) return;
    const others = frame.reviews.filter(({ id }) => id !== review.id);
    this.change({
      frame: { ...frame, reviews: [review, ...others.map((other) => ({ ...other, stands: false }))] },
    });
    this.reload();
  }

  private hint(message: Record<string, unknown>): void {
    if (message["type"] !== "describe.token" || message["id"] !== this.id) return;
    const hint = message as unknown as TokenHint;
    const typing = new Map(this.state.typing);
    typing.set(hint.region, typed(typing.get(hint.region), hint));
    this.change({ typing });
  }
}
