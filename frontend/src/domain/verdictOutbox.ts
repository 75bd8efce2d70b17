/**
 * Verdicts on their way to the server: kept until it has them, sent again by themselves, never twice, never lost
 * in silence. Knows no network and no browser: storage, sending and time come in by the door.
 */
import type { ReviewChange } from "../api/types";
import type { DraftValues } from "./reviewDraft";
import { Store } from "./store";

export interface QueuedVerdict {
  /** Sent as the Idempotency-Key with each attempt. */
  key: string;
  frame: string;
  frameName: string;
  /** As the button said it. */
  label: string;
  /** When it was given, by the clock of this machine. */
  at: string;
  body: ReviewChange;
  /** What it was made of, to take it back. */
  draft: DraftValues;
  state: "waiting" | "sending" | "refused";
  /** Why it waits or was refused. */
  reason: { detail: string; hint: string } | null;
}

export type NewVerdict = Pick<QueuedVerdict, "frame" | "frameName" | "label" | "body" | "draft">;

export interface OutboxEffects<Answer> {
  load: () => QueuedVerdict[];
  /** One verdict is stored by itself, so that two windows do not overwrite each other's. */
  keep: (verdict: QueuedVerdict) => void;
  forget: (key: string) => void;
  send: (verdict: QueuedVerdict) => Promise<Answer>;
  /** Whether the same request may be taken later: the server was away, or we are signed out. */
  maySucceedLater: (error: unknown) => boolean;
  describe: (error: unknown) => { detail: string; hint: string };
  later: (callback: () => void, pauseMs: number) => void;
  newKey: () => string;
  now: () => string;
}

const FIRST_PAUSE_MS = 2000;
const LONGEST_PAUSE_MS = 30_000;

export class VerdictOutbox<Answer> extends Store<readonly QueuedVerdict[]> {
  private readonly hearers = new Set<(verdict: QueuedVerdict, answer: Answer) => void>();
  private busy = false;
  private failures = 0;
  private planned = false;

  constructor(private readonly effects: OutboxEffects<Answer>) {
    super([]);
    this.state = this.loaded();
  }

  /** Hear of each verdict that the server has taken. */
  readonly onSent = (hearer: (verdict: QueuedVerdict, answer: Answer) => void): (() => void) => {
    this.hearers.add(hearer);
    return () => this.hearers.delete(hearer);
  };

  /** A second thought about a frame takes the place of the first while that still waits. */
  add(verdict: NewVerdict): QueuedVerdict {
    for (const { key, frame, state } of this.state) {
      if (frame === verdict.frame && state !== "sending") this.drop(key);
    }
    const added: QueuedVerdict = {
      ...verdict,
      key: this.effects.newKey(),
      at: this.effects.now(),
      state: "waiting",
      reason: null,
    };
    this.effects.keep(added);
    this.replace([...this.state, added]);
    void this.flush();
    return added;
  }

  retry(key: string): void {
    this.amend(key, { state: "waiting", reason: null });
    void this.flush();
  }

  discard(key: string): void {
    this.drop(key);
  }

  /** Another window has added or sent something. */
  reload(): void {
    const sending = new Set(this.state.filter(({ state }) => state === "sending").map(({ key }) => key));
    this.replace(
      this.loaded().map((entry) =>
        sending.has(entry.key) ? { ...entry, state: "sending" as const } : entry,
      ),
    );
  }

  /** Send what waits, the oldest first. Stops at the first that must wait longer: the rest would fare no better. */
  async flush(): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    try {
      for (let next = this.nextWaiting(); next !== undefined; next = this.nextWaiting()) {
        if (!(await this.sendOne(next))) break;
      }
    } finally {
      this.busy = false;
    }
    if (this.nextWaiting() !== undefined) this.plan();
  }

  private async sendOne(verdict: QueuedVerdict): Promise<boolean> {
    this.amend(verdict.key, { state: "sending" });
    try {
      const answer = await this.effects.send(verdict);
      this.failures = 0;
      this.drop(verdict.key);
      for (const hear of this.hearers) hear(verdict, answer);
      return true;
    } catch (error) {
      const later = this.effects.maySucceedLater(error);
      this.amend(verdict.key, {
        state: later ? "waiting" : "refused",
        reason: this.effects.describe(error),
      });
      if (later) this.failures += 1;
      return !later;
    }
  }

  private plan(): void {
    if (this.planned) return;
    this.planned = true;
    const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.max(0, this.failures - 1));
    this.effects.later(() => {
      this.planned = false;
      void this.flush();
    }, pause);
  }

  private nextWaiting(): QueuedVerdict | undefined {
    return this.state.find(({ state }) => state === "waiting");
  }

  /** A window that was closed in the middle of sending leaves "sending" behind: the key makes another try safe. */
  private loaded(): QueuedVerdict[] {
    return this.effects
      .load()
      .map((entry) => (entry.state === "sending" ? { ...entry, state: "waiting" as const } : entry))
      .sort((a, b) => a.at.localeCompare(b.at));
  }

  private amend(key: string, part: Partial<QueuedVerdict>): void {
    const changed = this.state.map((entry) => (entry.key === key ? { ...entry, ...part } : entry));
    const entry = changed.find((one) => one.key === key);
    if (entry !== undefined) this.effects.keep(entry);
    this.replace(changed);
  }

  private drop(key: string): void {
    this.effects.forget(key);
    this.replace(this.state.filter((entry) => entry.key !== key));
  }
}
