import { describe, expect, test } from "vitest";

import { SHORTCUTS, actionFor, keyCaps, type Focus, type Keystroke } from "./shortcuts";

const press = (key: string, part: Partial<Keystroke> = {}): Keystroke => ({
  key,
  code: "",
  altGraph: false,
  ctrlKey: false,
  metaKey: false,
  altKey: false,
  shiftKey: false,
  ...part,
});

describe("keys of the Frame page", () => {
  test.each([
    ["a", {}, "agree"],
    ["A", { shiftKey: true }, "agree"],
    ["x", {}, "disagree"],
    ["g", {}, "good"],
    ["d", {}, "defective"],
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
    expect(actionFor(press(key, modifiers), null)?.action ?? null).toBe(expected);
  });

  test.each([
    ["a", null],
    ["1", null],
    ["z", null],
    ["Escape", "leave"],
  ])("in a text field %s means %s", (key, expected) => {
    expect(actionFor(press(key), "text")?.action ?? null).toBe(expected);
  });

  test.each<[string, Focus, string | null]>([
    ["a", "choice", "agree"],
    ["1", "choice", "set-class"],
    ["[", "choice", "less-confidence"],
    ["Delete", "choice", "dismiss-region"],
    ["ArrowDown", "choice", null],
    ["ArrowRight", "choice", null],
    ["Escape", "choice", "leave"],
  ])("%s while a %s has the focus means %s", (key, focus, expected) => {
    expect(actionFor(press(key), focus)?.action ?? null).toBe(expected);
  });

  const CYRILLIC = [
    ["ф", "KeyA", {}, "agree"],
    ["Ф", "KeyA", { shiftKey: true }, "agree"],
    ["ч", "KeyX", {}, "disagree"],
    ["п", "KeyG", {}, "good"],
    ["в", "KeyD", {}, "defective"],
    ["г", "KeyU", {}, "unsure"],
    ["т", "KeyN", {}, "edit-note"],
    ["я", "KeyZ", { ctrlKey: true }, "undo"],
    ["Я", "KeyZ", { ctrlKey: true, shiftKey: true }, "redo"],
    ["я", "KeyZ", {}, "fit-region"],
    ["о", "KeyJ", {}, "next-frame"],
    ["л", "KeyK", {}, "previous-frame"],
    ["р", "KeyH", {}, "toggle-overlays"],
    ["к", "KeyR", {}, "reset-view"],
    ["х", "BracketLeft", {}, "less-confidence"],
    ["ъ", "BracketRight", {}, "more-confidence"],
    ["е", "KeyT", {}, "template"],
    ["?", "Digit7", { shiftKey: true }, "help"],
    ["1", "Digit1", {}, "set-class"],
    ["=", "Equal", {}, "zoom-in"],
    ["-", "Minus", {}, "zoom-out"],
  ] as const;
  test.each(CYRILLIC)("on a Cyrillic layout %s (%s) %j means %s", (key, code, modifiers, expected) => {
    expect(actionFor(press(key, { code, ...modifiers }), null)?.action ?? null).toBe(expected);
  });

  test("on a Cyrillic layout every letter of the sheet works", () => {
    const latin = "qwertyuiopasdfghjklzxcvbnm";
    for (const { action, keys, ctrl, shift } of SHORTCUTS) {
      for (const key of keys.filter((one) => latin.includes(one))) {
        const stroke = press("ж", {
          code: `Key${key.toUpperCase()}`,
          ctrlKey: ctrl ?? false,
          shiftKey: shift ?? false,
        });
        expect(actionFor(stroke, null)?.action).toBe(action);
      }
    }
  });

  const ALT_GR = { altGraph: true };
  const ALT_GR_WINDOWS = { ctrlKey: true, altKey: true };
  test.each([
    ["[", "Digit8", ALT_GR, "less-confidence"],
    ["]", "Digit9", ALT_GR, "more-confidence"],
    ["[", "Digit8", ALT_GR_WINDOWS, "less-confidence"],
    ["]", "Digit9", ALT_GR_WINDOWS, "more-confidence"],
    ["[", "Digit5", { altKey: true }, "less-confidence"], // Option on a Mac
    ["@", "KeyQ", ALT_GR, null],
    ["€", "KeyE", ALT_GR, null],
    ["µ", "KeyM", ALT_GR, null],
    ["{", "Digit7", ALT_GR_WINDOWS, null],
    ["ą", "KeyA", ALT_GR, null], // a Polish letter judges nothing
    ["ą", "KeyA", ALT_GR_WINDOWS, null],
    ["a", "KeyA", ALT_GR, null],
    ["z", "KeyY", { ctrlKey: true }, "undo"], // by the letter, not by the place
    ["y", "KeyZ", { ctrlKey: true }, null],
    ["z", "KeyY", {}, "fit-region"],
    ["?", "Minus", { shiftKey: true }, "help"],
    ["ü", "BracketLeft", {}, null],
    ["ß", "Minus", {}, null],
    ["+", "BracketRight", {}, "zoom-in"],
    ["-", "Slash", {}, "zoom-out"],
    ["ArrowLeft", "ArrowLeft", { altKey: true }, null], // the browser's way back
  ] as const)("on a German layout %s (%s) %j means %s", (key, code, modifiers, expected) => {
    expect(actionFor(press(key, { code, ...modifiers }), null)?.action ?? null).toBe(expected);
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
