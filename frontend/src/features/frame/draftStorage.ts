/** Keeps unsent corrections in this browser tab, so that going to the next frame and back loses nothing. */
import { EMPTY_DRAFT, isTouched, type DraftValues, type ReviewDraft } from "../../domain/reviewDraft";

const key = (frame: string) => `aivd.draft.${frame}`;

export function loadDraft(frame: string): ReviewDraft {
  try {
    const kept = JSON.parse(sessionStorage.getItem(key(frame)) ?? "{}") as Partial<DraftValues>;
    return { ...EMPTY_DRAFT, ...kept };
  } catch {
    return EMPTY_DRAFT;
  }
}

export function keepDraft(frame: string, draft: ReviewDraft): void {
  const { classes, dismissed, note } = draft;
  try {
    if (isTouched(draft)) sessionStorage.setItem(key(frame), JSON.stringify({ classes, dismissed, note }));
    else sessionStorage.removeItem(key(frame));
  } catch {
    // Storage may be full or switched off; the draft then lives as long as the page.
  }
}
