/** What the Live page knows of one line: frames, how fast they come, how the connection stands. No DOM. */
import { api } from "../../api/client";
import type { Frame, LineEvent, TokenHint } from "../../api/types";
import { FrameFeed } from "../../domain/frameFeed";
import { Refetcher } from "../../domain/refetcher";
import { Store } from "../../domain/store";
import { Throughput } from "../../domain/throughput";
import { LineSession } from "../../live/lineSession";
import { socketUrl, type ConnectionState } from "../../live/socket";

const SHOWN = 48;
/** Events that come together are answered together. */
const GATHER_MS = 120;

export interface LiveStatus {
  connection: ConnectionState;
  /** The first list has arrived. */
  loaded: boolean;
  error: unknown;
}

export class LiveStore extends Store<LiveStatus> {
  readonly feed = new FrameFeed(SHOWN);
  readonly decided = new Throughput();
  private readonly refetcher: Refetcher<Frame>;
  private readonly session: LineSession;

  constructor(line: number, onFleetChange: () => void) {
    super({ connection: "connecting", loaded: false, error: null });
    this.refetcher = new Refetcher<Frame>({
      one: (id) => api.frame(id),
      newest: () => api.frames({ line, limit: SHOWN }),
      onResult: (frames) => {
        this.feed.put(frames);
        this.change({ loaded: true, error: null });
      },
      onError: (error) => this.change({ error }),
      later: (callback, pauseMs) => setTimeout(callback, Math.max(GATHER_MS, pauseMs)),
    });
    this.session = new LineSession(socketUrl(`/ws/v1/lines/${line}/events`, location), {
      onEvent: (event) => this.take(event, onFleetChange),
      onRefetch: () => this.refetcher.everything(),
      onHint: (message) => {
        if (message["type"] === "describe.token") this.feed.token(message as unknown as TokenHint);
      },
      onState: (connection) => this.change({ connection }),
    });
  }

  /** Returns what ends it, for React. REST is asked at once, so that frames show even where sockets are blocked. */
  start(): () => void {
    this.session.start();
    this.refetcher.everything();
    return () => {
      this.session.stop();
      this.refetcher.stop();
    };
  }

  retryNow(): void {
    this.session.retryNow();
    this.refetcher.everything();
  }

  private take(event: LineEvent, onFleetChange: () => void): void {
    if (event.type === "frame.decided") this.decided.add(Date.now());
    if (event.type.startsWith("fleet.")) onFleetChange();
    if (event.id !== null) this.refetcher.changed(event.id);
  }
}
