import { describe, expect, test } from "vitest";

import { SHORTCUTS, actionFor, keyCaps, type Keystroke } from "./shortcuts";

const press = (key: string, part: Partial<Keystroke> = {}): Keystroke => ({
  key,
  ctrlKey: false,
  metaKey: false,
  altKey: false,
  shiftKey: false,
  ...part,
});

describe("keys of the Frame page", () => {
  test.each([
    ["a", {}, "accept"],
    ["A", { shiftKey: true }, "accept"],
    ["x", {}, "reject"],
    ["u", {}, "unsure"],
    ["n", {}, "edit-note"],
    ["j", {}, "next-frame"],
    ["ArrowRight", {}, "next-frame"],
    ["k", {}, "previous-frame"],
    ["ArrowLeft", {}, "previous-frame"],
    ["ArrowDown", {}, "next-region"],
    ["ArrowUp", {}, "previous-region"],
    ["1", {}, "set-class"],
    ["9", {}, "set-class"],
    ["0", {}, null],
    ["Delete", {}, "dismiss-region"],
    ["h", {}, "toggle-overlays"],
    ["z", {}, "fit-region"],
    ["z", { ctrlKey: true }, "undo"],
    ["z", { metaKey: true }, "undo"],
    ["Z", { ctrlKey: true, shiftKey: true }, "redo"],
    ["r", {}, "reset-view"],
    ["r", { ctrlKey: true }, null],
    ["+", { shiftKey: true }, "zoom-in"],
    ["=", {}, "zoom-in"],
    ["-", {}, "zoom-out"],
    ["[", {}, "less-confidence"],
    ["]", {}, "more-confidence"],
    ["t", {}, "template"],
    ["?", { shiftKey: true }, "help"],
    ["Escape", {}, "leave"],
    ["a", { altKey: true }, null],
    ["a", { ctrlKey: true }, null],
    ["q", {}, null],
  ] as const)("%s %j means %s", (key, modifiers, expected) => {
    expect(actionFor(press(key, modifiers), false)?.action ?? null).toBe(expected);
  });

  test.each([
    ["a", null],
    ["1", null],
    ["z", null],
    ["Escape", "leave"],
  ])("in a text field %s means %s", (key, expected) => {
    expect(actionFor(press(key), true)?.action ?? null).toBe(expected);
  });

  test("no two rows answer to the same key", () => {
    const taken = SHORTCUTS.flatMap(({ keys, ctrl, shift }) =>
      keys.map(
        (key) => `${key} ctrl:${String(ctrl ?? false)} shift:${String(ctrl === true ? shift : "any")}`,
      ),
    );
    expect(new Set(taken).size).toBe(taken.length);
  });

  test("every row can be read on the sheet", () => {
    for (const shortcut of SHORTCUTS) {
      expect(shortcut.says).not.toBe("");
      expect(keyCaps(shortcut).join("")).not.toBe("");
    }
    const caps = (wanted: string) => SHORTCUTS.filter(({ action }) => action === wanted).map(keyCaps);
    expect(caps("redo")).toEqual([["Ctrl Shift Z"]]);
    expect(caps("set-class")).toEqual([["1–9"]]);
  });
});
