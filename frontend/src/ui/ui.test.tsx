// @vitest-environment happy-dom
import { act, cleanup, fireEvent, render, renderHook, screen } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { ApiError } from "../api/client";
import { Store } from "../domain/store";
import { useNow, useOnline, useStore, useWindowEvent } from "./hooks";
import { Connection, Dialog, ReviewChip, titleOf } from "./parts";
import { Messages, MessagesOf, Toasts } from "./toasts";

beforeEach(() => vi.useFakeTimers());
afterEach(() => {
  cleanup();
  act(() => {
    vi.runOnlyPendingTimers();
  });
  vi.useRealTimers();
});

describe("messages", () => {
  const drawn = (): Messages => {
    const messages = new Messages();
    render(
      <MessagesOf value={messages}>
        <Toasts />
      </MessagesOf>,
    );
    return messages;
  };

  test("what is done leaves by itself; an error stays until it is closed", () => {
    const { say, complain } = drawn();
    act(() => {
      say("Saved.");
      complain(new ApiError("busy", "It is busy.", "Wait.", 503));
    });
    act(() => {
      vi.advanceTimersByTime(5000);
    });
    expect(screen.queryByText("Saved.")).toBeNull();
    expect(screen.getByText("It is busy.")).toBeTruthy();
    fireEvent.click(screen.getByRole("button", { name: "Close" }));
    expect(screen.queryByText("It is busy.")).toBeNull();
  });

  test("the same complaint stands there once", () => {
    const { complain } = drawn();
    act(() => {
      complain(new ApiError("busy", "It is busy.", "", 503));
      complain(new ApiError("busy", "It is busy.", "", 503));
    });
    expect(screen.getAllByText("It is busy.")).toHaveLength(1);
  });

  test("what can be taken back stays long enough to get there, and acts once", () => {
    const undo = vi.fn();
    const { say } = drawn();
    act(() => {
      say("Drained.", { label: "Undo", act: undo });
    });
    act(() => {
      vi.advanceTimersByTime(8000);
    });
    fireEvent.click(screen.getByRole("button", { name: "Undo" }));
    expect(undo).toHaveBeenCalledOnce();
    expect(screen.queryByText("Drained.")).toBeNull();
  });
});

describe("hooks", () => {
  class Count extends Store<number> {
    constructor() {
      super(0);
    }
    add() {
      this.replace(this.state + 1);
    }
  }

  test("a store's value is followed, and let go of with the component", () => {
    const store = new Count();
    const { result, unmount } = renderHook(() => useStore(store));
    act(() => store.add());
    expect(result.current).toBe(1);
    unmount();
    store.add();
    expect(result.current).toBe(1);
  });

  test("the clock goes on by itself", () => {
    const { result } = renderHook(() => useNow(1000));
    const before = result.current;
    act(() => {
      vi.advanceTimersByTime(3000);
    });
    expect(result.current - before).toBe(3000);
  });

  test("a window's event reaches the newest handler, and none once it is gone", () => {
    const [first, second] = [vi.fn(), vi.fn()];
    const { rerender, unmount } = renderHook(({ handler }) => useWindowEvent("scroll", handler), {
      initialProps: { handler: first },
    });
    rerender({ handler: second });
    fireEvent.scroll(window);
    unmount();
    fireEvent.scroll(window);
    expect([first.mock.calls.length, second.mock.calls.length]).toEqual([0, 1]);
  });

  test("losing the network is heard at once", () => {
    const network = vi.spyOn(navigator, "onLine", "get").mockReturnValue(true);
    const { result } = renderHook(() => useOnline());
    network.mockReturnValue(false);
    act(() => void window.dispatchEvent(new Event("offline")));
    expect(result.current).toBe(false);
  });
});

describe("the connection", () => {
  const words = (state: Parameters<typeof Connection>[0]["state"], lost = false) => {
    render(<Connection state={state} lost={lost} onRetry={vi.fn()} />);
    return screen.getByRole("status").textContent;
  };

  test.each([
    ["open", false, "Live"],
    ["open", true, "Connection lost, trying againnow"],
    ["waiting", false, "Connection lost, trying againnow"],
    ["refused", true, "Not allowed to follow. Sign in again."],
    ["connecting", false, "Connecting"],
  ] as const)("that is %s, the server away: %s, says %s", (state, lost, said) => {
    expect(words(state, lost)).toBe(said);
  });

  test("an open socket without a network is not called live", () => {
    vi.spyOn(navigator, "onLine", "get").mockReturnValue(false);
    expect(words("open")).toContain("Connection lost");
  });

  test("who will not wait asks again now", () => {
    const retry = vi.fn();
    render(<Connection state="waiting" onRetry={retry} />);
    fireEvent.click(screen.getByRole("button", { name: "now" }));
    expect(retry).toHaveBeenCalledOnce();
  });
});

test.each([
  [{ part: "good", verdict: "reject" }, "Good"],
  [{ part: "", verdict: "unsure" }, "Unsure"],
  [{ part: "", verdict: "accept" }, "Agreed"],
  [{ part: "", verdict: "reject" }, "Disagreed"],
] as const)("a review %o is shown as %s", (review, words) => {
  const { container } = render(<ReviewChip review={review} />);
  expect(container.textContent).toBe(words);
});

test("a class is called by its title, and by its name where it has none", () => {
  const defectClass = { id: 1, name: "pin-hole", title: "", colour_index: 0 };
  expect(titleOf(defectClass)).toBe("pin-hole");
  expect(titleOf({ ...defectClass, title: "Pin hole" })).toBe("Pin hole");
});

test("a dialog closes by its button, by a click beside it, and tells so", () => {
  const onClose = vi.fn();
  render(
    <Dialog title="Keys" onClose={onClose}>
      <p>Inside</p>
    </Dialog>,
  );
  fireEvent.click(screen.getByText("Inside"));
  expect(onClose).not.toHaveBeenCalled();
  fireEvent.click(screen.getByRole("button", { name: "Close" }));
  expect(onClose).toHaveBeenCalledOnce();
});
