// @vitest-environment happy-dom
/** A camera and a video file as streams: nothing is sent beyond what the line takes, and a broken line costs nothing. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { PictureStream, type PictureStreamState } from "./pictureStream";

/** The socket of the station, as the server would behave. */
class Line {
  static all: Line[] = [];
  binaryType = "";
  bufferedAmount = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  sent: unknown[] = [];
  closed = false;

  constructor(readonly url: string) {
    Line.all.push(this);
  }
  send(data: unknown): void {
    this.sent.push(data);
  }
  close(): void {
    this.closed = true;
  }
  opens(window: number): void {
    this.onopen?.();
    this.says({ type: "credit", window });
  }
  says(message: object): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
  /** The keys of the frames that were announced; a picture follows each. */
  get keys(): string[] {
    return this.sent
      .filter((data) => typeof data === "string")
      .map((data) => (JSON.parse(data) as { key: string }).key);
  }
  acknowledges(): void {
    const { keys } = this;
    this.sent = []; // each answer makes room for the next
    for (const key of keys) this.says({ type: "ack", key, frame: "1" });
  }
}

const line = (): Line => {
  const newest = Line.all.at(-1);
  if (newest === undefined) throw new Error("nothing was opened");
  return newest;
};

let video: HTMLVideoElement;
let states: PictureStreamState[];
const last = () => states.at(-1);
const revoked = vi.fn();

/** A video of so many seconds that finds each place at once. */
function aVideo({ seconds = 0, plays = true } = {}): HTMLVideoElement {
  const made = document.createElement("video");
  let at = 0;
  let source = "";
  Object.defineProperties(made, {
    videoWidth: { get: () => 640 },
    videoHeight: { get: () => 480 },
    duration: { get: () => seconds },
    currentTime: {
      get: () => at,
      set: (to: number) => {
        at = to;
        queueMicrotask(() => made.dispatchEvent(new Event("seeked")));
      },
    },
    src: {
      get: () => source,
      set: (to: string) => {
        source = to;
        queueMicrotask(() => made.dispatchEvent(new Event(plays ? "loadeddata" : "error")));
      },
    },
    srcObject: { value: null, writable: true },
  });
  made.play = () => Promise.resolve();
  return made;
}

const stream = (ratePerS = 2) =>
  new PictureStream({ station: 7, video, ratePerS, onState: (state) => states.push(state) });
const file = () => new File(["video"], "belt.mp4", { type: "video/mp4" });
/** Let timers run for so long, and what they promised happen. */
const after = (ms: number) => vi.advanceTimersByTimeAsync(ms);

beforeEach(() => {
  vi.useFakeTimers();
  Line.all = [];
  states = [];
  video = aVideo();
  vi.stubGlobal("WebSocket", Line);
  vi.stubGlobal("isSecureContext", true);
  vi.stubGlobal("URL", Object.assign(URL, { createObjectURL: () => "blob:belt", revokeObjectURL: revoked }));
  vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockReturnValue({ drawImage: vi.fn() } as never);
  vi.spyOn(HTMLCanvasElement.prototype, "toBlob").mockImplementation((done) => done(new Blob(["still"])));
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  revoked.mockClear();
});

function aCamera(): { stop: ReturnType<typeof vi.fn> } {
  const track = { stop: vi.fn() };
  class Media {
    getTracks() {
      return [track];
    }
  }
  vi.stubGlobal("MediaStream", Media);
  vi.stubGlobal("navigator", { mediaDevices: { getUserMedia: () => Promise.resolve(new Media()) } });
  return track;
}

describe("a camera", () => {
  test("sends stills at the chosen rate, each with a key of its own and the time it was taken", async () => {
    aCamera();
    const one = stream(2);
    await one.start("camera");
    expect(line().url).toContain("/ws/v1/stations/7/stream");
    line().opens(8);
    await after(1500);
    const heads = line()
      .sent.filter((data) => typeof data === "string")
      .map((data) => JSON.parse(data) as Record<string, unknown>);
    expect(heads).toHaveLength(3);
    expect(new Set(line().keys).size).toBe(3);
    expect(heads[0]).toMatchObject({ type: "frame", part_id: null });
    expect(Date.parse(String(heads[0]?.["captured_at"]))).not.toBeNaN();
    expect(line().sent.filter((data) => data instanceof Blob)).toHaveLength(3);
    one.stop();
  });

  test("takes no still while the line is away", async () => {
    aCamera();
    const one = stream(2);
    await one.start("camera");
    await after(3000);
    expect(last()?.counts.skipped ?? 0).toBe(0);
    expect(line().sent).toEqual([]);
    one.stop();
  });

  test("skips what the line has no room for, the oldest first, and says how many", async () => {
    aCamera();
    const one = stream(2);
    await one.start("camera");
    line().opens(1);
    await after(3000);
    expect(line().keys).toHaveLength(1);
    expect(last()?.counts).toMatchObject({ sent: 1, unanswered: 1, waiting: 2, skipped: 3 });
    one.stop();
  });

  test("sends again what was not answered when the line broke, under the same key", async () => {
    aCamera();
    const one = stream(2);
    await one.start("camera");
    line().opens(1);
    await after(500);
    const [key] = line().keys;
    line().onclose?.({ code: 1006 });
    expect(last()?.connection).toBe("waiting");
    one.retryNow();
    line().opens(1);
    expect(line().keys).toEqual([key]);
    expect(Line.all).toHaveLength(2);
    one.stop();
  });

  test("waits as long as the server asks for, then sends the newest, which say most", async () => {
    aCamera();
    const one = stream(1);
    await one.start("camera");
    line().opens(4);
    await after(1000);
    line().says({ type: "refused", key: line().keys[0], retry_after_s: 5 });
    await after(4900);
    expect(line().keys).toHaveLength(1);
    await after(100);
    expect(line().keys).toHaveLength(4);
    expect(last()).toMatchObject({ lastRefusal: null, counts: { refused: 0, skipped: 3 } });
    one.stop();
  });

  test("tells in the server's words why a picture was refused, and goes on", async () => {
    aCamera();
    const one = stream(1);
    await one.start("camera");
    line().opens(4);
    await after(1000);
    line().says({
      type: "refused",
      key: line().keys[0],
      code: "too_large",
      detail: "It is too large.",
      hint: "",
    });
    expect(last()).toMatchObject({ counts: { refused: 1 }, lastRefusal: { detail: "It is too large." } });
    await after(1000);
    expect(line().keys).toHaveLength(2);
    one.stop();
  });

  test("is let go when the stream is stopped, and no more is told", async () => {
    const track = aCamera();
    const one = stream(2);
    await one.start("camera");
    line().opens(8);
    await after(500);
    const told = states.length;
    one.stop();
    expect(track.stop).toHaveBeenCalledOnce();
    expect([line().closed, video.srcObject]).toEqual([true, null]);
    await after(3000);
    expect(states.length).toBe(told);
  });

  test("over an address that browsers do not trust is refused with what to do", async () => {
    vi.stubGlobal("isSecureContext", false);
    await expect(stream().start("camera")).rejects.toMatchObject({
      code: "insecure",
      hint: "Open AIVD by https or on localhost.",
    });
    expect(Line.all).toEqual([]);
  });

  test("that nobody allows is said plainly, and nothing is opened", async () => {
    vi.stubGlobal("navigator", { mediaDevices: { getUserMedia: () => Promise.reject(new Error("denied")) } });
    await expect(stream().start("camera")).rejects.toMatchObject({ code: "no_camera" });
    expect(Line.all).toEqual([]);
  });
});

describe("a video file", () => {
  beforeEach(() => {
    video = aVideo({ seconds: 2 });
  });

  test("is sent still by still, none skipped, and ends when all are answered", async () => {
    const one = stream(2);
    await one.start(file());
    line().opens(8);
    await after(4000);
    expect(line().keys).toHaveLength(4);
    expect(last()?.ended).toBe(false);
    line().acknowledges();
    await after(0);
    expect(last()).toMatchObject({ ended: true, counts: { stored: 4, skipped: 0 } });
    expect(line().closed).toBe(true);
    one.stop();
  });

  test("waits for the line where that is slower, instead of leaving stills out", async () => {
    video = aVideo({ seconds: 5 });
    const one = stream(2);
    await one.start(file());
    line().opens(1);
    await after(10_000);
    expect(line().keys).toHaveLength(1);
    for (let n = 0; n < 12; n++) {
      line().acknowledges();
      await after(1000);
    }
    expect(last()).toMatchObject({ ended: true, counts: { stored: 10, skipped: 0, refused: 0 } });
    one.stop();
  });

  test("that was stopped in between reads no further, and its address is given back", async () => {
    const one = stream(2);
    await one.start(file());
    line().opens(8);
    await after(600);
    one.stop();
    const sent = line().sent.length;
    await after(5000);
    expect(line().sent.length).toBe(sent);
    expect(revoked).toHaveBeenCalledWith("blob:belt");
  });

  test("that this browser cannot play is refused by its name", async () => {
    video = aVideo({ plays: false });
    await expect(stream().start(file())).rejects.toMatchObject({
      code: "bad_video",
      message: expect.stringContaining("belt.mp4") as string,
    });
  });
});
