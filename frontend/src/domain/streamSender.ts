/**
 * Send pictures through the stream socket: never more than the window unanswered, none lost on a reconnect.
 *
 * Each picture has an idempotency key, so sending it again after a broken socket cannot store it twice.
 * Knows no socket: it says what to transmit, and is told what came back.
 */

export interface Outgoing {
  key: string;
  body: Blob;
  partId: string | null;
  capturedAt: string | null;
}

export interface StreamRefusal {
  key: string;
  code: string;
  detail: string;
  hint: string;
}

export interface StreamCounts {
  sent: number;
  stored: number;
  refused: number;
  /** Pictures skipped because the line was slower than the camera. */
  skipped: number;
  unanswered: number;
  waiting: number;
}

export interface StreamEffects {
  transmit: (item: Outgoing) => void;
  onStored: (key: string, frameId: string) => void;
  onRefused: (refusal: StreamRefusal) => void;
  /** Call `resume()` in so many milliseconds: the server asked for patience. */
  resumeIn: (ms: number) => void;
  onChange: () => void;
}

interface Answer {
  type?: unknown;
  key?: unknown;
  frame?: unknown;
  window?: unknown;
  code?: unknown;
  detail?: unknown;
  hint?: unknown;
  retry_after_s?: unknown;
}

export class StreamSender {
  private window = 0;
  private pausedForServer = false;
  private readonly waiting: Outgoing[] = [];
  /** In the order they were sent: the order in which they go again after a reconnect. */
  private readonly unanswered = new Map<string, Outgoing>();
  private sent = 0;
  private stored = 0;
  private refused = 0;
  private skipped = 0;

  constructor(
    private readonly effects: StreamEffects,
    private readonly maxWaiting = 4,
  ) {}

  get counts(): StreamCounts {
    const { sent, stored, refused, skipped } = this;
    return { sent, stored, refused, skipped, unanswered: this.unanswered.size, waiting: this.waiting.length };
  }

  /** Whether a file being read should go on reading; a camera offers regardless. */
  get hasRoom(): boolean {
    return this.waiting.length < this.maxWaiting;
  }

  get isIdle(): boolean {
    return this.unanswered.size === 0 && this.waiting.length === 0;
  }

  /** Take a picture; when too many wait, the oldest waiting one gives way, because the newest says most. */
  offer(item: Outgoing): void {
    this.waiting.push(item);
    this.pump();
    while (this.waiting.length > this.maxWaiting) {
      this.waiting.shift();
      this.skipped++;
    }
    this.effects.onChange();
  }

  /** The socket closed: whatever was not answered goes again, first and in order, when credit returns. */
  disconnected(): void {
    this.window = 0;
    this.waiting.unshift(...this.unanswered.values());
    this.unanswered.clear();
    this.effects.onChange();
  }

  /** Forget what still waits; what is already under way stays counted until it is answered. */
  clearWaiting(): void {
    this.skipped += this.waiting.length;
    this.waiting.length = 0;
    this.effects.onChange();
  }

  resume(): void {
    this.pausedForServer = false;
    this.pump();
  }

  receive(message: Answer): void {
    if (message.type === "credit" && typeof message.window === "number") this.window = message.window;
    else if (message.type === "ack") this.acknowledged(message);
    else if (message.type === "refused") this.turnedDown(message);
    else return;
    this.pump();
    this.effects.onChange();
  }

  private acknowledged({ key, frame }: Answer): void {
    const item = this.settle(key);
    if (item === null) return;
    this.stored++;
    this.effects.onStored(item.key, String(frame));
  }

  private turnedDown(answer: Answer): void {
    const item = this.settle(answer.key);
    if (item === null) return;
    if (typeof answer.retry_after_s === "number") {
      this.waiting.unshift(item);
      this.pausedForServer = true;
      this.effects.resumeIn(answer.retry_after_s * 1000);
      return;
    }
    this.refused++;
    this.effects.onRefused({
      key: item.key,
      code: text(answer.code, "refused"),
      detail: text(answer.detail, "The server refused this picture."),
      hint: text(answer.hint, ""),
    });
  }

  /** The answered item; an answer without a key is for the oldest, because the server answers in order. */
  private settle(key: unknown): Outgoing | null {
    const oldest = this.unanswered.keys().next();
    const found = typeof key === "string" ? key : oldest.value;
    const item = found === undefined ? undefined : this.unanswered.get(found);
    if (item === undefined) return null;
    this.unanswered.delete(item.key);
    return item;
  }

  private pump(): void {
    while (!this.pausedForServer && this.unanswered.size < this.window) {
      const item = this.waiting.shift();
      if (item === undefined) return;
      this.unanswered.set(item.key, item);
      this.sent++;
      this.effects.transmit(item);
    }
  }
}

function text(value: unknown, otherwise: string): string {
  return typeof value === "string" && value !== "" ? value : otherwise;
}
