/** The keys of the Frame page as data: the page obeys this table and the `?` sheet shows it. */

export type ShortcutAction =
  | "accept"
  | "reject"
  | "unsure"
  | "next-frame"
  | "previous-frame"
  | "next-region"
  | "previous-region"
  | "set-class"
  | "dismiss-region"
  | "edit-note"
  | "undo"
  | "redo"
  | "toggle-overlays"
  | "fit-region"
  | "reset-view"
  | "zoom-in"
  | "zoom-out"
  | "less-confidence"
  | "more-confidence"
  | "template"
  | "help"
  | "leave";

export interface Shortcut {
  action: ShortcutAction;
  /** Values of KeyboardEvent.key, letters in lower case. */
  keys: readonly string[];
  ctrl?: boolean;
  shift?: boolean;
  says: string;
  group: "Judge" | "Regions" | "Frames" | "View" | "Elsewhere";
  /** Works while a text field has the focus. */
  inFields?: boolean;
}

export interface Keystroke {
  key: string;
  ctrlKey: boolean;
  metaKey: boolean;
  altKey: boolean;
  shiftKey: boolean;
}

export const SHORTCUTS: readonly Shortcut[] = [
  { action: "accept", keys: ["a"], says: "Accept the decision", group: "Judge" },
  { action: "reject", keys: ["x"], says: "Reject the decision", group: "Judge" },
  { action: "unsure", keys: ["u"], says: "I am unsure", group: "Judge" },
  { action: "edit-note", keys: ["n"], says: "Write a note", group: "Judge" },
  { action: "undo", keys: ["z"], ctrl: true, shift: false, says: "Undo my last change", group: "Judge" },
  { action: "redo", keys: ["z"], ctrl: true, shift: true, says: "Redo it", group: "Judge" },
  { action: "next-region", keys: ["ArrowDown"], says: "Next region", group: "Regions" },
  { action: "previous-region", keys: ["ArrowUp"], says: "Previous region", group: "Regions" },
  {
    action: "set-class",
    keys: ["1", "2", "3", "4", "5", "6", "7", "8", "9"],
    says: "Class of the selected region",
    group: "Regions",
  },
  { action: "dismiss-region", keys: ["Delete"], says: "No defect here, or put it back", group: "Regions" },
  { action: "next-frame", keys: ["j", "ArrowRight"], says: "Next (older) frame", group: "Frames" },
  { action: "previous-frame", keys: ["k", "ArrowLeft"], says: "Previous (newer) frame", group: "Frames" },
  { action: "toggle-overlays", keys: ["h"], says: "Hide overlays while held", group: "View" },
  { action: "fit-region", keys: ["z"], ctrl: false, says: "Fit the selected region", group: "View" },
  { action: "reset-view", keys: ["r"], says: "Show the whole frame", group: "View" },
  { action: "zoom-in", keys: ["+", "="], says: "Zoom in", group: "View" },
  { action: "zoom-out", keys: ["-"], says: "Zoom out", group: "View" },
  { action: "less-confidence", keys: ["["], says: "Show less certain regions", group: "View" },
  { action: "more-confidence", keys: ["]"], says: "Show only more certain regions", group: "View" },
  { action: "template", keys: ["t"], says: "Template: beside, blink, off", group: "View" },
  { action: "help", keys: ["?"], says: "This sheet", group: "Elsewhere" },
  { action: "leave", keys: ["Escape"], says: "One level out", group: "Elsewhere", inFields: true },
];

/** What a keystroke means, with the key itself (for `set-class`), or null. */
export function actionFor(
  stroke: Keystroke,
  inField: boolean,
): { action: ShortcutAction; key: string } | null {
  if (stroke.altKey) return null;
  const key = stroke.key.length === 1 ? stroke.key.toLowerCase() : stroke.key;
  const ctrl = stroke.ctrlKey || stroke.metaKey;
  const found = SHORTCUTS.find(
    (shortcut) =>
      shortcut.keys.includes(key) &&
      (shortcut.ctrl ?? false) === ctrl &&
      (shortcut.shift === undefined || shortcut.shift === stroke.shiftKey) &&
      (!inField || shortcut.inFields === true),
  );
  return found === undefined ? null : { action: found.action, key };
}

const SHOWN: Readonly<Record<string, string>> = {
  ArrowDown: "↓",
  ArrowUp: "↑",
  ArrowLeft: "←",
  ArrowRight: "→",
  Escape: "Esc",
  Delete: "Del",
};

/** The keys of a row as a person reads them on the keyboard. */
export function keyCaps(shortcut: Shortcut): string[] {
  const first = shortcut.keys[0] ?? "";
  if (shortcut.action === "set-class") return [`${first}–${shortcut.keys.at(-1) ?? first}`];
  const prefix = `${shortcut.ctrl === true ? "Ctrl " : ""}${shortcut.shift === true ? "Shift " : ""}`;
  return shortcut.keys
    .filter((key) => key !== "=")
    .map((key) => prefix + (SHOWN[key] ?? (key.length === 1 ? key.toUpperCase() : key)));
}
