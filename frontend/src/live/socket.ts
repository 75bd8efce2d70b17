/**
 * A websocket that comes back: reconnect with growing, jittered pauses, and say plainly how it stands.
 * Knows nothing of what the messages mean. Clock, randomness and the socket itself come in by the door.
 */

export type ConnectionState = "connecting" | "open" | "waiting" | "refused" | "closed";

export interface SocketLike {
  binaryType: string;
  readonly bufferedAmount: number;
  onopen: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number }) => void) | null;
  send(data: string | ArrayBuffer | Blob): void;
  close(code?: number): void;
}

export interface SocketOptions {
  /** Asked anew for each attempt, so that it can carry the newest `after_seq`. */
  url: () => string;
  onMessage: (message: Record<string, unknown>) => void;
  onState: (state: ConnectionState, retryInMs: number | null) => void;
  open?: (url: string) => SocketLike;
  random?: () => number;
  /** No message for so long means a dead line; the viewer socket has a heartbeat every 2 s. */
  silenceMs?: number | null;
}

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;
/** Close codes that trying again cannot mend: signed out, not allowed, no such thing. */
const FINAL_CODES = new Set([4001, 4003, 4004, 4401, 4403, 4404]);

/** Pause before attempt n (0, 1, 2, ...), between half of and the whole of 0.5, 1, 2, ... 15 s. */
export function pauseMs(attempt: number, random: number): number {
  const ceiling = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** attempt);
  return Math.round(ceiling * (0.5 + random / 2));
}

export class ReconnectingSocket {
  private socket: SocketLike | null = null;
  private timer: ReturnType<typeof setTimeout> | null = null;
  private watchdog: ReturnType<typeof setTimeout> | null = null;
  private attempt = 0;
  private stopped = false;

  constructor(private readonly options: SocketOptions) {}

  start(): void {
    this.stopped = false;
    this.connect();
  }

  stop(): void {
    this.stopped = true;
    this.clearTimers();
    this.drop();
    this.options.onState("closed", null);
  }

  /** Try at once: the person asked, or the machine came back to the network. */
  retryNow(): void {
    if (this.timer === null) return;
    this.clearTimers();
    this.connect();
  }

  /** Leave this socket for a new one without a pause. */
  rejoin(): void {
    this.clearTimers();
    this.drop();
    this.connect();
  }

  /** False when there is no open socket; the caller keeps what it wanted to send. */
  send(data: string | ArrayBuffer | Blob): boolean {
    if (this.socket === null || this.attemptOpen) return false;
    this.socket.send(data);
    return true;
  }

  get bufferedBytes(): number {
    return this.socket?.bufferedAmount ?? 0;
  }

  private attemptOpen = false;

  private connect(): void {
    this.options.onState("connecting", null);
    const open = this.options.open ?? ((url: string) => new WebSocket(url) as unknown as SocketLike);
    const socket = open(this.options.url());
    this.socket = socket;
    this.attemptOpen = true;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.attemptOpen = false;
      this.options.onState("open", null);
      this.feedWatchdog();
    };
    socket.onmessage = ({ data }) => {
      this.attempt = 0;
      this.feedWatchdog();
      const message = parse(data);
      if (message !== null) this.options.onMessage(message);
    };
    socket.onclose = ({ code }) => this.lost(code);
  }

  private lost(code: number): void {
    this.clearTimers();
    this.drop();
    if (this.stopped) return;
    if (FINAL_CODES.has(code)) {
      this.options.onState("refused", null);
      return;
    }
    const wait = pauseMs(this.attempt++, (this.options.random ?? Math.random)());
    this.options.onState("waiting", wait);
    this.timer = setTimeout(() => {
      this.timer = null;
      this.connect();
    }, wait);
  }

  private feedWatchdog(): void {
    const { silenceMs } = this.options;
    if (silenceMs === null || silenceMs === undefined) return;
    if (this.watchdog !== null) clearTimeout(this.watchdog);
    this.watchdog = setTimeout(() => this.lost(4000), silenceMs);
  }

  private drop(): void {
    const socket = this.socket;
    this.socket = null;
    this.attemptOpen = false;
    if (socket === null) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  private clearTimers(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    if (this.watchdog !== null) clearTimeout(this.watchdog);
    this.timer = this.watchdog = null;
  }
}

function parse(data: unknown): Record<string, unknown> | null {
  if (typeof data !== "string") return null;
  try {
    const value: unknown = JSON.parse(data);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

/** A path of this site as a websocket address. */
export function socketUrl(path: string, location: { protocol: string; host: string }): string {
  return `${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}${path}`;
}
