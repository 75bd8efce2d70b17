/**
 * What I am about to say of a frame: class corrections, dismissed regions, a note; each step undoable.
 *
 * Holds local changes only. What others do, or models add, changes the frame and never this draft, so
 * undo can never take back somebody else's work.
 */
import type { Frame, MarkChange, Verdict } from "../api/types";

export interface DraftValues {
  /** Region id to DefectClass id, only where it differs from the detector's. */
  classes: Readonly<Record<string, number>>;
  dismissed: readonly string[];
  note: string;
}

export interface ReviewDraft extends DraftValues {
  past: readonly DraftValues[];
  future: readonly DraftValues[];
}

export type DraftChange =
  | { kind: "class"; region: string; defectClass: number; detected: number }
  | { kind: "dismiss"; region: string }
  | { kind: "restore"; region: string }
  | { kind: "note"; note: string }
  | { kind: "undo" }
  | { kind: "redo" };

export const EMPTY_DRAFT: ReviewDraft = { classes: {}, dismissed: [], note: "", past: [], future: [] };

export function changeDraft(draft: ReviewDraft, change: DraftChange): ReviewDraft {
  if (change.kind === "undo") return undo(draft);
  if (change.kind === "redo") return redo(draft);
  const before = values(draft);
  const after = edit(before, change);
  if (after === before) return draft;
  // Typing a note is one step, not one for each letter.
  const goesOn = change.kind === "note" && draft.past.at(-1) !== undefined && onlyNoteDiffers(draft);
  return { ...after, past: goesOn ? draft.past : [...draft.past, before], future: [] };
}

/** The marks that go with a verdict: all that I let stand when I accept, else only what I corrected. */
export function marksFor(verdict: Verdict, frame: Frame, draft: DraftValues): MarkChange[] {
  return frame.regions
    .filter((region) => !draft.dismissed.includes(region.id))
    .filter((region) => verdict === "accept" || draft.classes[region.id] !== undefined)
    .map((region) => ({
      detection: region.id,
      defect_class: draft.classes[region.id] ?? region.defect_class.id,
      box_xyxy: region.box_xyxy,
    }));
}

export function isTouched(draft: DraftValues): boolean {
  return Object.keys(draft.classes).length > 0 || draft.dismissed.length > 0 || draft.note.trim() !== "";
}

function edit(draft: DraftValues, change: Exclude<DraftChange, { kind: "undo" | "redo" }>): DraftValues {
  switch (change.kind) {
    case "class":
      return setClass(draft, change.region, change.defectClass, change.detected);
    case "dismiss":
      if (draft.dismissed.includes(change.region)) return draft;
      return { ...draft, dismissed: [...draft.dismissed, change.region] };
    case "restore":
      if (!draft.dismissed.includes(change.region)) return draft;
      return { ...draft, dismissed: draft.dismissed.filter((id) => id !== change.region) };
    case "note":
      return change.note === draft.note ? draft : { ...draft, note: change.note };
  }
}

function setClass(draft: DraftValues, region: string, defectClass: number, detected: number): DraftValues {
  if ((draft.classes[region] ?? detected) === defectClass) return draft;
  const others = Object.fromEntries(Object.entries(draft.classes).filter(([id]) => id !== region));
  return { ...draft, classes: defectClass === detected ? others : { ...others, [region]: defectClass } };
}

function undo(draft: ReviewDraft): ReviewDraft {
  const last = draft.past.at(-1);
  if (last === undefined) return draft;
  return { ...last, past: draft.past.slice(0, -1), future: [values(draft), ...draft.future] };
}

function redo(draft: ReviewDraft): ReviewDraft {
  const [next, ...rest] = draft.future;
  if (next === undefined) return draft;
  return { ...next, past: [...draft.past, values(draft)], future: rest };
}

function values({ classes, dismissed, note }: DraftValues): DraftValues {
  return { classes, dismissed, note };
}

function onlyNoteDiffers(draft: ReviewDraft): boolean {
  const last = draft.past.at(-1);
  return last?.classes === draft.classes && last.dismissed === draft.dismissed && last.note !== draft.note;
}
