/** The person's word: accept, reject or unsure, with a note; what was said before and by whom. */
import type { Ref } from "react";

import type { Review, Verdict } from "../../api/types";
import { ago, exactTime, plural } from "../../domain/format";
import { isTouched, type ReviewDraft } from "../../domain/reviewDraft";
import { Icon } from "../../ui/icons";
import { VERDICTS, VerdictChip } from "../../ui/parts";

const ORDER: readonly Verdict[] = ["accept", "reject", "unsure"];

interface Props {
  draft: ReviewDraft;
  saving: Verdict | null;
  noteField: Ref<HTMLTextAreaElement>;
  onNote: (note: string) => void;
  onVerdict: (verdict: Verdict) => void;
  onUndo: () => void;
}

export function VerdictBar({ draft, saving, noteField, onNote, onVerdict, onUndo }: Props) {
  return (
    <section className="verdict-bar" aria-label="Your verdict">
      <div className="field">
        <label htmlFor="note">
          Note <kbd>N</kbd>
        </label>
        <textarea
          id="note"
          ref={noteField}
          className="input"
          rows={2}
          maxLength={2000}
          value={draft.note}
          onChange={(event) => onNote(event.target.value)}
        />
      </div>
      <div className="verdicts">
        {ORDER.map((verdict) => {
          const { icon, act, key, meaning, tone } = VERDICTS[verdict];
          return (
            <button
              key={verdict}
              type="button"
              className={`button verdict ${tone}`}
              title={meaning}
              disabled={saving !== null}
              onClick={() => onVerdict(verdict)}
            >
              <Icon name={icon} />
              {act}
              <kbd>{key}</kbd>
            </button>
          );
        })}
      </div>
      <div className="draft-state">
        <span className="hint" role="status">
          {saving !== null
            ? "Saving"
            : isTouched(draft)
              ? "Kept in this browser until you judge"
              : "Judge the machine’s decision"}
        </span>
        <button type="button" className="button quiet" disabled={draft.past.length === 0} onClick={onUndo}>
          <Icon name="undo" />
          Undo
        </button>
      </div>
    </section>
  );
}

export function Reviews({ reviews, now }: { reviews: readonly Review[]; now: number }) {
  if (reviews.length === 0) return <p className="hint">Nobody has judged this frame yet.</p>;
  return (
    <ul className="reviews">
      {reviews.map((review) => (
        <li key={review.id}>
          <VerdictChip verdict={review.verdict} />
          <span>
            {review.reviewer}{" "}
            <time className="hint" dateTime={review.at} title={exactTime(review.at)}>
              {ago(review.at, now)}
            </time>
            {review.marks.length > 0 && <span className="hint">, {plural(review.marks.length, "mark")}</span>}
            {review.note !== "" && <q>{review.note}</q>}
          </span>
        </li>
      ))}
    </ul>
  );
}
