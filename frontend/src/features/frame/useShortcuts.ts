/** Connects the keyboard to the shortcut table. */
import { useRef } from "react";

import { actionFor, type Focus, type Keystroke, type ShortcutAction } from "../../domain/shortcuts";
import { useWindowEvent } from "../../ui/hooks";

type Actions = Readonly<Record<ShortcutAction, (key: string) => void>>;

interface Options {
  /** A dialog is open: its own keys only. */
  disabled: boolean;
  onRelease: (action: ShortcutAction) => void;
}

/** Held down they would judge the next frame too, or flicker. */
const ONCE: ReadonlySet<ShortcutAction> = new Set([
  "agree",
  "disagree",
  "good",
  "defective",
  "unsure",
  "dismiss-region",
  "template",
  "toggle-overlays",
]);

export function useShortcuts(actions: Actions, { disabled, onRelease }: Options): void {
  /** The place of the key that hides the overlays: modifiers and layout may change before it is let go. */
  const held = useRef<string | null>(null);
  const release = () => {
    if (held.current !== null) onRelease("toggle-overlays");
    held.current = null;
  };
  useWindowEvent("keydown", (event) => {
    if (disabled || event.defaultPrevented || event.isComposing) return;
    const found = actionFor(strokeOf(event), focusOf(event.target));
    if (found === null) return;
    event.preventDefault();
    if (event.repeat && ONCE.has(found.action)) return;
    if (found.action === "toggle-overlays") held.current = event.code;
    actions[found.action](found.key);
  });
  useWindowEvent("keyup", (event) => {
    if (event.code === held.current) release();
  });
  // A key that is let go in another window sends no keyup here.
  useWindowEvent("blur", release);
}

function strokeOf(event: KeyboardEvent): Keystroke {
  const { key, code, ctrlKey, metaKey, altKey, shiftKey } = event;
  return { key, code, ctrlKey, metaKey, altKey, shiftKey, altGraph: event.getModifierState("AltGraph") };
}

const NO_TEXT = ["range", "checkbox", "radio", "button", "submit", "file"];

/** Where letters mean text, or arrows mean a choice. */
function focusOf(target: EventTarget | null): Focus {
  if (!(target instanceof HTMLElement)) return null;
  if (target.matches("textarea, [contenteditable]")) return "text";
  if (target instanceof HTMLInputElement) {
    if (!NO_TEXT.includes(target.type)) return "text";
    return target.type === "range" || target.type === "radio" ? "choice" : null;
  }
  return target.matches("select") ? "choice" : null;
}
