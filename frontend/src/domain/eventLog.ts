/**
 * Follow one stream of numbered events without missing any.
 *
 * The database numbers events 1..n without gaps; messages may be lost on the way. This core decides for
 * each message whether it is news, a repeat, or the sign that something was missed and REST must be asked.
 * It knows no socket and no clock.
 */

export interface Hello {
  type: "hello";
  head_seq: number;
  epoch: string;
}

export interface Numbered {
  type: string;
  seq: number;
}

export type RefetchReason = "join" | "gap" | "lost tail" | "resync" | "new epoch";

export type Step<E extends Numbered> =
  | { do: "apply"; event: E }
  /** Ask REST for the present state; events up to `upTo` are part of its answer. */
  | { do: "refetch"; reason: RefetchReason; upTo: number }
  | { do: "hint"; message: Record<string, unknown> }
  /** The server gave up on this socket's buffer: open a new one. */
  | { do: "rejoin" };

export class EventLog<E extends Numbered> {
  /** Last event that the viewer's state includes; null before the first hello. */
  private applied: number | null = null;
  private epoch: string | null = null;
  /** A head that was ahead of us at the last heartbeat. Still ahead at the next one: the tail was lost. */
  private owed: number | null = null;

  /** What to ask the server to replay from, null for "from now on". */
  get afterSeq(): number | null {
    return this.applied;
  }

  receive(message: Record<string, unknown>): Step<E>[] {
    const seq = message["seq"];
    switch (message["type"]) {
      case "hello":
        return this.hello(message as unknown as Hello);
      case "head":
        return typeof seq === "number" ? this.head(seq) : [];
      case "resync":
        this.applied = null;
        return [{ do: "rejoin" }];
      default:
        return typeof seq === "number" ? this.event(message as unknown as E) : [{ do: "hint", message }];
    }
  }

  private hello({ head_seq, epoch }: Hello): Step<E>[] {
    this.owed = null;
    const known = this.epoch;
    this.epoch = epoch;
    if (this.applied === null) return this.jumpTo(head_seq, "join");
    // Another epoch, or fewer events than we have seen: the numbers begin anew.
    if ((known !== null && known !== epoch) || head_seq < this.applied) {
      return this.jumpTo(head_seq, "new epoch");
    }
    return [];
  }

  private event(event: E): Step<E>[] {
    if (this.applied === null || event.seq <= this.applied) return [];
    if (event.seq > this.applied + 1) return this.jumpTo(event.seq, "gap");
    this.applied = event.seq;
    return [{ do: "apply", event }];
  }

  private head(seq: number): Step<E>[] {
    if (this.applied === null) return [];
    if (seq < this.applied) return this.jumpTo(seq, "new epoch");
    // A heartbeat may overtake an event by a moment, so being behind once is no loss yet.
    if (this.owed !== null && this.applied < this.owed) return this.jumpTo(seq, "lost tail");
    this.owed = seq > this.applied ? seq : null;
    return [];
  }

  private jumpTo(seq: number, reason: RefetchReason): Step<E>[] {
    this.applied = seq;
    this.owed = null;
    return [{ do: "refetch", reason, upTo: seq }];
  }
}
