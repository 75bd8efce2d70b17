/**
 * What I am about to say of a frame: other classes, regions that are a defect or none, a note; each step undoable.
 *
 * Holds local changes only. What others do, or models add, changes the frame and never this draft, so
 * undo can never take back somebody else's work.
 */

export interface DraftValues {
  /** Region id to DefectClass id, only where it differs from what stood there. */
  classes: Readonly<Record<string, number>>;
  /** Region id to "this is a defect", only where it differs from what stood there. */
  defects: Readonly<Record<string, boolean>>;
  note: string;
}

export interface ReviewDraft extends DraftValues {
  past: readonly DraftValues[];
  future: readonly DraftValues[];
}

/** What stood there before I said anything. */
export interface Before {
  defect: boolean;
  defectClass: number;
}

export type DraftChange =
  | { kind: "class"; region: string; defectClass: number; before: Before }
  | { kind: "defect"; region: string; defect: boolean; before: Before }
  | { kind: "note"; note: string }
  | { kind: "undo" }
  | { kind: "redo" }
  /** It has been said: begin anew. */
  | { kind: "said" }
  | { kind: "take-back"; draft: DraftValues };

export const EMPTY_DRAFT: ReviewDraft = { classes: {}, defects: {}, note: "", past: [], future: [] };

export function changeDraft(draft: ReviewDraft, change: DraftChange): ReviewDraft {
  if (change.kind === "undo") return undo(draft);
  if (change.kind === "redo") return redo(draft);
  if (change.kind === "said") return EMPTY_DRAFT;
  const before = valuesOf(draft);
  const after = edit(before, change);
  if (after === before) return draft;
  // Typing a note is one step, not one for each letter.
  const goesOn = change.kind === "note" && draft.past.at(-1) !== undefined && onlyNoteDiffers(draft);
  return { ...after, past: goesOn ? draft.past : [...draft.past, before], future: [] };
}

export function isTouched(draft: DraftValues): boolean {
  return (
    Object.keys(draft.classes).length > 0 || Object.keys(draft.defects).length > 0 || draft.note.trim() !== ""
  );
}

export function valuesOf({ classes, defects, note }: DraftValues): DraftValues {
  return { classes, defects, note };
}

type Edit = Exclude<DraftChange, { kind: "undo" | "redo" | "said" }>;

function edit(draft: DraftValues, change: Edit): DraftValues {
  switch (change.kind) {
    case "class":
      return setClass(draft, change.region, change.defectClass, change.before);
    case "defect":
      return setDefect(draft, change.region, change.defect, change.before);
    case "note":
      return change.note === draft.note ? draft : { ...draft, note: change.note };
    case "take-back":
      return withNoteOf(change.draft, draft.note);
  }
}

/** Who names the class of a region says that it is a defect. */
function setClass(draft: DraftValues, region: string, defectClass: number, before: Before): DraftValues {
  const marked = setDefect(draft, region, true, before);
  if ((draft.classes[region] ?? before.defectClass) === defectClass) return marked;
  return { ...marked, classes: put(draft.classes, region, defectClass, before.defectClass) };
}

function setDefect(draft: DraftValues, region: string, defect: boolean, before: Before): DraftValues {
  if ((draft.defects[region] ?? before.defect) === defect) return draft;
  return { ...draft, defects: put(draft.defects, region, defect, before.defect) };
}

/** Only what differs from before is kept. */
function put<T>(record: Readonly<Record<string, T>>, key: string, value: T, before: T): Record<string, T> {
  const others = Object.fromEntries(Object.entries(record).filter(([id]) => id !== key));
  return value === before ? others : { ...others, [key]: value };
}

/** What was typed meanwhile is kept behind what comes back. */
function withNoteOf(draft: DraftValues, typed: string): DraftValues {
  const notes = [draft.note, typed].filter((note) => note.trim() !== "");
  return { ...valuesOf(draft), note: notes.join("\n") };
}

function undo(draft: ReviewDraft): ReviewDraft {
  const last = draft.past.at(-1);
  if (last === undefined) return draft;
  return { ...last, past: draft.past.slice(0, -1), future: [valuesOf(draft), ...draft.future] };
}

function redo(draft: ReviewDraft): ReviewDraft {
  const [next, ...rest] = draft.future;
  if (next === undefined) return draft;
  return { ...next, past: [...draft.past, valuesOf(draft)], future: rest };
}

function onlyNoteDiffers(draft: ReviewDraft): boolean {
  const last = draft.past.at(-1);
  return last?.classes === draft.classes && last.defects === draft.defects && last.note !== draft.note;
}
