/** Following a line over a socket that breaks: what was missed is asked for, what is known is not asked for again. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { LineSession } from "./lineSession";
import type { SocketLike } from "./socket";

class Line implements SocketLike {
  binaryType = "";
  bufferedAmount = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  closed = false;
  constructor(readonly url: string) {}
  send(): void {
    // A viewer says nothing.
  }
  close(): void {
    this.closed = true;
  }
  says(message: object): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
  joins(head: number, epoch = "a"): void {
    this.onopen?.();
    this.says({ type: "hello", head_seq: head, epoch });
  }
}

const opened: Line[] = [];
const line = (): Line => opened.at(-1) as Line;
const heard = { onEvent: vi.fn(), onRefetch: vi.fn(), onHint: vi.fn(), onState: vi.fn() };
const event = (seq: number) => ({ type: "frame.decided", seq, id: `frame-${seq}` });

function follow(): LineSession {
  const session = new LineSession("ws://here/events", heard, (url) => {
    const one = new Line(url);
    opened.push(one);
    return one;
  });
  session.start();
  return session;
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.clearAllMocks();
  opened.length = 0;
});
afterEach(() => void vi.useRealTimers());

describe("on joining", () => {
  test("everything is asked for once, and events are applied from there on", () => {
    follow();
    expect(line().url).toBe("ws://here/events");
    line().joins(7);
    expect(heard.onRefetch).toHaveBeenCalledOnce();
    line().says(event(7)); // part of what was asked for
    line().says(event(8));
    expect(heard.onEvent.mock.calls).toEqual([[event(8)]]);
  });

  test("hints are passed on as they are, and are no events", () => {
    follow();
    line().joins(7);
    line().says({ type: "describe.token", id: "1", text: "A" });
    expect(heard.onHint).toHaveBeenCalledWith({ type: "describe.token", id: "1", text: "A" });
    expect(heard.onEvent).not.toHaveBeenCalled();
  });
});

describe("after a break", () => {
  test("the server replays what came meanwhile, so nothing is asked for anew", () => {
    follow();
    line().joins(7);
    line().says(event(8));
    line().onclose?.({ code: 1006 });
    vi.advanceTimersByTime(1000);
    expect(line().url).toBe("ws://here/events?after_seq=8");
    line().joins(10);
    line().says(event(9));
    line().says(event(10));
    expect(heard.onEvent.mock.calls.map(([applied]) => (applied as { seq: number }).seq)).toEqual([8, 9, 10]);
    expect(heard.onRefetch).toHaveBeenCalledOnce();
  });

  test("of a server whose numbers begin anew, everything is asked for", () => {
    follow();
    line().joins(7);
    line().onclose?.({ code: 1006 });
    vi.advanceTimersByTime(1000);
    line().joins(2, "b");
    expect(heard.onRefetch).toHaveBeenCalledTimes(2);
    line().says(event(3));
    expect(heard.onEvent).toHaveBeenCalledOnce();
  });

  test("that nobody noticed shows by the missing heartbeat", () => {
    follow();
    line().joins(7);
    vi.advanceTimersByTime(6400);
    line().says({ type: "head", seq: 7 });
    vi.advanceTimersByTime(6400);
    expect(opened).toHaveLength(1);
    vi.advanceTimersByTime(200);
    expect(heard.onState.mock.lastCall?.[0]).toBe("waiting");
    vi.advanceTimersByTime(1000);
    expect(opened).toHaveLength(2);
  });

  test("a person may try at once, and a failed request doubts the socket", () => {
    const session = follow();
    line().joins(7);
    session.doubt();
    expect([opened.length, opened[0]?.closed]).toEqual([2, true]);
    line().onclose?.({ code: 1006 });
    session.retryNow();
    expect(opened).toHaveLength(3);
  });

  test("that signing in again must mend is not tried again", () => {
    follow();
    line().onclose?.({ code: 4401 });
    vi.advanceTimersByTime(60_000);
    expect(opened).toHaveLength(1);
    expect(heard.onState.mock.lastCall?.[0]).toBe("refused");
  });
});

describe("what is lost on the way", () => {
  test("in the middle is asked for at once", () => {
    follow();
    line().joins(7);
    line().says(event(9));
    expect(heard.onRefetch).toHaveBeenCalledTimes(2);
    line().says(event(9)); // late, and part of what was asked for
    expect(heard.onEvent).not.toHaveBeenCalled();
  });

  test("at the end is asked for at the second heartbeat that tells of it", () => {
    follow();
    line().joins(7);
    line().says({ type: "head", seq: 8 });
    expect(heard.onRefetch).toHaveBeenCalledOnce();
    line().says({ type: "head", seq: 8 });
    expect(heard.onRefetch).toHaveBeenCalledTimes(2);
  });

  test("in the server's own buffer opens a new socket from now on", () => {
    follow();
    line().joins(7);
    line().says({ type: "resync", seq: 7 });
    expect(opened.map(({ url }) => url)).toEqual(["ws://here/events", "ws://here/events"]);
  });
});

test("once the page is left nothing is opened any more", () => {
  const session = follow();
  line().joins(7);
  session.stop();
  vi.advanceTimersByTime(60_000);
  expect([opened.length, line().closed]).toEqual([1, true]);
  expect(heard.onState.mock.lastCall?.[0]).toBe("closed");
});
