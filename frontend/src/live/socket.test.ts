import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { ReconnectingSocket, pauseMs, socketUrl, type SocketLike } from "./socket";

class FakeSocket implements SocketLike {
  binaryType = "";
  bufferedAmount = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  sent: unknown[] = [];
  closed = false;
  constructor(readonly url: string) {}
  send(data: unknown): void {
    this.sent.push(data);
  }
  close(): void {
    this.closed = true;
  }
}

let opened: FakeSocket[];
let states: string[];
let messages: unknown[];
let afterSeq: number;

const latest = (): FakeSocket => {
  const socket = opened.at(-1);
  if (socket === undefined) throw new Error("nothing was opened");
  return socket;
};

function socketUnderTest(silenceMs: number | null = null): ReconnectingSocket {
  return new ReconnectingSocket({
    url: () => `ws://line/events?after_seq=${afterSeq}`,
    onMessage: (message) => messages.push(message),
    onState: (state) => states.push(state),
    open: (url) => {
      const socket = new FakeSocket(url);
      opened.push(socket);
      return socket;
    },
    random: () => 1,
    silenceMs,
  });
}

beforeEach(() => {
  vi.useFakeTimers();
  opened = [];
  states = [];
  messages = [];
  afterSeq = 0;
});
afterEach(() => {
  vi.useRealTimers();
});

describe("a socket that comes back", () => {
  test("reconnects with the newest address after a loss", () => {
    socketUnderTest().start();
    latest().onopen?.();
    afterSeq = 12;
    latest().onclose?.({ code: 1006 });
    expect(states).toEqual(["connecting", "open", "waiting"]);
    vi.advanceTimersByTime(500);
    expect(latest().url).toBe("ws://line/events?after_seq=12");
    expect(opened).toHaveLength(2);
  });

  test("waits longer each time, and begins anew after a message", () => {
    socketUnderTest().start();
    for (const wait of [500, 1000, 2000]) {
      latest().onclose?.({ code: 1006 });
      vi.advanceTimersByTime(wait - 1);
      const before = opened.length;
      vi.advanceTimersByTime(1);
      expect(opened.length).toBe(before + 1);
    }
    latest().onopen?.();
    latest().onmessage?.({ data: '{"type":"hello"}' });
    latest().onclose?.({ code: 1006 });
    vi.advanceTimersByTime(500);
    expect(opened).toHaveLength(5);
  });

  test.each([4001, 4003, 4004, 4403])("does not try again after close code %i", (code) => {
    socketUnderTest().start();
    latest().onclose?.({ code });
    vi.advanceTimersByTime(60_000);
    expect(opened).toHaveLength(1);
    expect(states.at(-1)).toBe("refused");
  });

  test("takes silence for a dead line", () => {
    socketUnderTest(6000).start();
    const first = latest();
    first.onopen?.();
    vi.advanceTimersByTime(5999);
    first.onmessage?.({ data: '{"type":"head","seq":1}' });
    vi.advanceTimersByTime(5999);
    expect(first.closed).toBe(false);
    vi.advanceTimersByTime(1);
    expect(first.closed).toBe(true);
    expect(states.at(-1)).toBe("waiting");
  });

  test("sends nothing before it is open and says so", () => {
    const socket = socketUnderTest();
    socket.start();
    expect(socket.send("early")).toBe(false);
    latest().onopen?.();
    expect(socket.send("now")).toBe(true);
    expect(latest().sent).toEqual(["now"]);
  });

  test("stays closed once stopped", () => {
    const socket = socketUnderTest();
    socket.start();
    latest().onopen?.();
    socket.stop();
    vi.advanceTimersByTime(60_000);
    expect(opened).toHaveLength(1);
    expect(latest().closed).toBe(true);
  });

  test("rejoins at once when asked", () => {
    const socket = socketUnderTest();
    socket.start();
    latest().onopen?.();
    socket.rejoin();
    expect(opened).toHaveLength(2);
    expect(opened[0]?.closed).toBe(true);
  });

  test.each(["not json", "7", "null", new ArrayBuffer(3)])(
    "ignores a message that is no object: %s",
    (data) => {
      socketUnderTest().start();
      latest().onopen?.();
      latest().onmessage?.({ data });
      expect(messages).toEqual([]);
    },
  );
});

test.each([
  [0, 0, 250],
  [0, 1, 500],
  [3, 1, 4000],
  [20, 1, 15_000],
  [20, 0, 7500],
])("pause before attempt %i with randomness %f is %i ms", (attempt, random, expected) => {
  expect(pauseMs(attempt, random)).toBe(expected);
});

test.each([
  ["http:", "ws://plant:8000/ws/v1/fleet"],
  ["https:", "wss://plant:8000/ws/v1/fleet"],
])("a page on %s talks to %s", (protocol, expected) => {
  expect(socketUrl("/ws/v1/fleet", { protocol, host: "plant:8000" })).toBe(expected);
});
