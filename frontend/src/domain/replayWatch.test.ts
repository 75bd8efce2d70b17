import { afterEach, beforeEach, expect, test, vi } from "vitest";

import type { Replay } from "../api/types";
import { aReplay } from "../testing";
import { ReplayWatch } from "./replayWatch";

let server: Replay;
const calls = {
  start: vi.fn(() => Promise.resolve(server)),
  get: vi.fn(() => Promise.resolve(server)),
  cancel: vi.fn(() => Promise.resolve(server)),
};
let watch: ReplayWatch;

const shown = () => {
  const { run } = watch.snapshot();
  return run === null ? null : `${run.state} ${run.done}/${run.total}`;
};

beforeEach(() => {
  vi.useFakeTimers();
  for (const call of Object.values(calls)) call.mockClear();
  calls.get.mockImplementation(() => Promise.resolve(server));
  watch = new ReplayWatch(calls);
});
afterEach(() => {
  vi.useRealTimers();
});

test("a run is watched to its end and then left alone", async () => {
  server = aReplay({ state: "queued", active: true, done: 0 });
  await watch.start("round-robin", 15);
  expect(calls.start).toHaveBeenCalledWith("round-robin", 15);
  server = aReplay({ state: "running", active: true, done: 40 });
  await vi.advanceTimersByTimeAsync(600);
  expect(shown()).toBe("running 40/100");
  server = aReplay({ state: "succeeded", active: false, done: 100 });
  await vi.advanceTimersByTimeAsync(600);
  expect(shown()).toBe("succeeded 100/100");
  const asked = calls.get.mock.calls.length;
  await vi.advanceTimersByTimeAsync(60_000);
  expect(calls.get).toHaveBeenCalledTimes(asked);
});

test("a server that is away for a while is asked again", async () => {
  server = aReplay({ state: "running", active: true });
  await watch.start("random", 5);
  calls.get.mockRejectedValueOnce(new Error("away"));
  await vi.advanceTimersByTimeAsync(600);
  expect(watch.snapshot().error).toBeInstanceOf(Error);
  server = aReplay({ state: "succeeded", active: false });
  await vi.advanceTimersByTimeAsync(4000);
  expect(watch.snapshot().error).toBeNull();
  expect(shown()).toBe("succeeded 100/100");
});

test("a refusal is shown and the last result stays", async () => {
  watch.adopt(aReplay({ state: "succeeded", active: false }));
  calls.start.mockRejectedValueOnce(new Error("nothing recorded"));
  await watch.start("random", 5);
  expect(watch.snapshot()).toMatchObject({ busy: false, error: new Error("nothing recorded") });
  expect(shown()).toBe("succeeded 100/100");
});

test("cancelled is cancelled, whatever an answer under way says", async () => {
  server = aReplay({ state: "running", active: true, done: 10 });
  await watch.start("random", 5);
  let late: (run: Replay) => void = () => undefined;
  calls.get.mockImplementationOnce(() => new Promise((resolve) => (late = resolve)));
  await vi.advanceTimersByTimeAsync(600);
  const cancelled = watch.cancel();
  late(aReplay({ state: "running", active: true, done: 20 }));
  server = aReplay({ state: "cancelled", active: false, done: 20 });
  calls.cancel.mockResolvedValueOnce(server);
  await cancelled;
  await vi.advanceTimersByTimeAsync(5000);
  expect(shown()).toBe("cancelled 20/100");
});

test("a page that was left asks no more, and finds the run again", async () => {
  server = aReplay({ state: "running", active: true });
  watch.adopt(server);
  watch.stop();
  await vi.advanceTimersByTimeAsync(5000);
  expect(calls.get).not.toHaveBeenCalled();
  const again = new ReplayWatch(calls);
  again.adopt(server);
  await vi.advanceTimersByTimeAsync(600);
  expect(calls.get).toHaveBeenCalledWith(server.id);
  again.stop();
});
