/** Follow a line: a socket that comes back, and the event log that knows what was missed. No DOM, no React. */
import type { LineEvent } from "../api/types";
import { EventLog } from "../domain/eventLog";
import { ReconnectingSocket, type ConnectionState, type SocketLike } from "./socket";

/** Three heartbeats of 2 s. */
const SILENCE_MS = 6500;

export interface LineListener {
  onEvent: (event: LineEvent) => void;
  /** Something was missed, or this is the beginning: ask REST for everything that is shown. */
  onRefetch: () => void;
  onHint: (message: Record<string, unknown>) => void;
  onState: (state: ConnectionState) => void;
}

export class LineSession {
  private readonly log = new EventLog<LineEvent>();
  private readonly socket: ReconnectingSocket;

  constructor(
    address: string,
    private readonly listener: LineListener,
    open?: (url: string) => SocketLike,
  ) {
    this.socket = new ReconnectingSocket({
      url: () => (this.log.afterSeq === null ? address : `${address}?after_seq=${this.log.afterSeq}`),
      onMessage: (message) => this.receive(message),
      onState: (state) => listener.onState(state),
      silenceMs: SILENCE_MS,
      ...(open === undefined ? {} : { open }),
    });
  }

  start(): void {
    this.socket.start();
  }

  stop(): void {
    this.socket.stop();
  }

  retryNow(): void {
    this.socket.retryNow();
  }

  /** A request found nobody at the other end: do not believe the socket either. */
  doubt(): void {
    this.socket.rejoin();
  }

  private receive(message: Record<string, unknown>): void {
    for (const step of this.log.receive(message)) {
      if (step.do === "apply") this.listener.onEvent(step.event);
      else if (step.do === "refetch") this.listener.onRefetch();
      else if (step.do === "hint") this.listener.onHint(step.message);
      else this.socket.rejoin();
    }
  }
}
