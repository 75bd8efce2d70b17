/** Connects the keyboard to the shortcut table. */
import { actionFor, type ShortcutAction } from "../../domain/shortcuts";
import { useWindowEvent } from "../../ui/hooks";

type Actions = Readonly<Record<ShortcutAction, (key: string) => void>>;

interface Options {
  /** A dialog is open: its own keys only. */
  disabled: boolean;
  onRelease: (action: ShortcutAction) => void;
}

export function useShortcuts(actions: Actions, { disabled, onRelease }: Options): void {
  useWindowEvent("keydown", (event) => {
    if (disabled || event.defaultPrevented) return;
    const found = actionFor(event, isField(event.target));
    if (found === null || (found.action === "toggle-overlays" && event.repeat)) return;
    event.preventDefault();
    actions[found.action](found.key);
  });
  useWindowEvent("keyup", (event) => {
    const found = actionFor(event, false);
    if (found !== null) onRelease(found.action);
  });
  // A key that is let go in another window sends no keyup here.
  useWindowEvent("blur", () => onRelease("toggle-overlays"));
}

/** Where letters mean text, or arrows mean a choice. */
function isField(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.matches("input, textarea, select, [contenteditable]");
}
