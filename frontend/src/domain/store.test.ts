import { expect, test, vi } from "vitest";

import { Store } from "./store";

class Counter extends Store<{ count: number; name: string }> {
  constructor() {
    super({ count: 0, name: "boards" });
  }
  add(): void {
    this.change({ count: this.state.count + 1 });
  }
  reset(): void {
    this.replace({ count: 0, name: "none" });
  }
}

test("a change keeps what it does not name and makes a new value", () => {
  const counter = new Counter();
  const before = counter.snapshot();
  counter.add();
  expect(counter.snapshot()).toEqual({ count: 1, name: "boards" });
  expect(before).toEqual({ count: 0, name: "boards" });
});

test("without a change the value stays the same object, or React would draw for ever", () => {
  const counter = new Counter();
  expect(counter.snapshot()).toBe(counter.snapshot());
});

test("who listens hears of each change until they leave", () => {
  const counter = new Counter();
  const heard = vi.fn();
  const leave = counter.subscribe(heard);
  counter.add();
  counter.reset();
  leave();
  counter.add();
  expect(heard).toHaveBeenCalledTimes(2);
});

test("one who leaves while all are told does not keep the next from hearing", () => {
  const counter = new Counter();
  const heard: string[] = [];
  const leave = counter.subscribe(() => {
    heard.push("first");
    leave();
  });
  counter.subscribe(() => heard.push("second"));
  counter.add();
  counter.add();
  expect(heard).toEqual(["first", "second", "second"]);
});
