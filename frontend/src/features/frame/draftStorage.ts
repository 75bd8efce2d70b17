/**
 * Keeps a person's unsent corrections in this browser, so that going to the next frame and back loses nothing.
 * They belong to that person; signing out clears them (entries/shell.ts).
 */
import {
  EMPTY_DRAFT,
  isTouched,
  valuesOf,
  type DraftValues,
  type ReviewDraft,
} from "../../domain/reviewDraft";

const PREFIX = "aivd.drafts.";
const key = (user: string, frame: string) => `${PREFIX}${user}.${frame}`;

export function loadDraft(user: string, frame: string): ReviewDraft {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(key(user, frame)) ?? "null");
    return isDraft(kept) ? { ...EMPTY_DRAFT, ...valuesOf(kept) } : EMPTY_DRAFT;
  } catch {
    return EMPTY_DRAFT;
  }
}

export function keepDraft(user: string, frame: string, draft: ReviewDraft): void {
  try {
    if (isTouched(draft)) localStorage.setItem(key(user, frame), JSON.stringify(valuesOf(draft)));
    else localStorage.removeItem(key(user, frame));
  } catch {
    // Storage may be full or switched off; the draft then lives as long as the page.
  }
}

function isDraft(kept: unknown): kept is DraftValues {
  const draft = kept as Partial<DraftValues> | null;
  return (
    typeof draft === "object" &&
    typeof draft?.classes === "object" &&
    typeof draft.defects === "object" &&
    typeof draft.note === "string"
  );
}
