/** The keys of the Frame page as data: the page obeys this table and the `?` sheet shows it. */

export type ShortcutAction =
  | "agree"
  | "disagree"
  | "good"
  | "defective"
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
  /** Characters as KeyboardEvent.key gives them on a Latin layout, letters in lower case. */
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
  /** The place of the key on the keyboard, whatever the layout writes there. */
  code: string;
  /** AltGr, with which many layouts write brackets and signs. */
  altGraph: boolean;
  ctrlKey: boolean;
  metaKey: boolean;
  altKey: boolean;
  shiftKey: boolean;
}

export const SHORTCUTS: readonly Shortcut[] = [
  { action: "agree", keys: ["a"], says: "Agree with the decision (pass or fail)", group: "Judge" },
  { action: "disagree", keys: ["x"], says: "Disagree with the decision (pass or fail)", group: "Judge" },
  { action: "good", keys: ["g"], says: "The part is good", group: "Judge" },
  { action: "defective", keys: ["d"], says: "The part is defective", group: "Judge" },
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
  { action: "dismiss-region", keys: ["Delete"], says: "Dismiss or restore this region", group: "Regions" },
  { action: "next-frame", keys: ["j", "ArrowRight"], says: "Next (older) frame", group: "Frames" },
  { action: "previous-frame", keys: ["k", "ArrowLeft"], says: "Previous (newer) frame", group: "Frames" },
  { action: "toggle-overlays", keys: ["h"], says: "Hide overlays while held", group: "View" },
  { action: "fit-region", keys: ["z"], ctrl: false, says: "Fit the selected region", group: "View" },
  { action: "reset-view", keys: ["r"], says: "Show the whole frame", group: "View" },
  { action: "zoom-in", keys: ["+", "="], says: "Zoom in", group: "View" },
  { action: "zoom-out", keys: ["-"], says: "Zoom out", group: "View" },
  { action: "less-confidence", keys: ["["], says: "Show less certain regions", group: "View" },
  { action: "more-confidence", keys: ["]"], says: "Show only more certain regions", group: "View" },
  { action: "template", keys: ["t"], says: "Template: beside, blink, difference, off", group: "View" },
  { action: "help", keys: ["?"], says: "This sheet", group: "Elsewhere" },
  { action: "leave", keys: ["Escape"], says: "Deselect or close", group: "Elsewhere", inFields: true },
];

/** What has the focus: text takes every key, a choice (slider, list) those that move it, anything else none. */
export type Focus = "text" | "choice" | null;

const MOVES_A_CHOICE = new Set(["ArrowDown", "ArrowUp", "ArrowLeft", "ArrowRight"]);

/** What a keystroke means, with the key itself (for `set-class`), or null. */
export function actionFor(stroke: Keystroke, focus: Focus): { action: ShortcutAction; key: string } | null {
  const written = writtenBy(stroke);
  if (written === null) return null;
  const { key, ctrl } = written;
  if (focus === "choice" && MOVES_A_CHOICE.has(key)) return null;
  const found = SHORTCUTS.find(
    (shortcut) =>
      shortcut.keys.includes(key) &&
      (shortcut.ctrl ?? false) === ctrl &&
      (shortcut.shift === undefined || shortcut.shift === stroke.shiftKey) &&
      (focus !== "text" || shortcut.inFields === true),
  );
  return found === undefined ? null : { action: found.action, key };
}

const SIGN = /^[^\p{L}\p{N}]$/u;
const LATIN = /^[\p{Script=Latin}\p{ASCII}]$/u;

/** The character that was written, in the words of the table; null where the modifiers belong to something else. */
function writtenBy(stroke: Keystroke): { key: string; ctrl: boolean } | null {
  const { key, altKey, ctrlKey, metaKey, altGraph } = stroke;
  const ctrl = ctrlKey || metaKey;
  // Windows tells AltGr as Ctrl and Alt. With it a layout writes signs such as [ and ]: those count, letters never.
  if (altGraph || (altKey && (ctrlKey || SIGN.test(key)))) {
    return SIGN.test(key) ? { key, ctrl: false } : null;
  }
  if (altKey) return null;
  if (key.length !== 1) return { key, ctrl };
  // Cyrillic, Greek, Arabic: the letter that a Latin layout has at that place.
  return { key: LATIN.test(key) ? key.toLowerCase() : latinAt(stroke), ctrl };
}

const AT: Readonly<Record<string, string>> = {
  BracketLeft: "[",
  BracketRight: "]",
  Minus: "-",
  Equal: "=",
  Slash: "/",
};

function latinAt({ code, shiftKey }: Keystroke): string {
  const sign = /^(?:Key|Digit)(.)$/.exec(code)?.[1] ?? AT[code] ?? "";
  return sign === "/" && shiftKey ? "?" : sign.toLowerCase();
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
