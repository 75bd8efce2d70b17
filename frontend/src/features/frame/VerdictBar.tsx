/** The person's word: what each button means for this part, a note, and what became of what was said. */
import type { Ref } from "react";

import type { Frame } from "../../api/types";
import { ago } from "../../domain/format";
import { choicesFor, PART_WORDS, wordOf, type Word } from "../../domain/judgement";
import { standingOf } from "../../domain/regionState";
import { isTouched } from "../../domain/reviewDraft";
import { Icon } from "../../ui/icons";
import { DecisionChip } from "../../ui/parts";
import { OnTheirWay } from "./OnTheirWay";
import { ON_ITS_WAY, type Judging } from "./useJudging";

interface Props {
  frame: Frame;
  judging: Judging;
  user: string;
  now: number;
  noteField: Ref<HTMLTextAreaElement>;
  onWord: (word: Word) => void;
}

export function VerdictBar({ frame, judging, user, now, noteField, onWord }: Props) {
  const { draft, change, queued } = judging;
  const outcome = frame.decision?.outcome ?? null;
  const sending = queued.some((one) => one.frame === frame.id && one.state === "sending");
  return (
    <section className="verdict-bar" id="verdict" tabIndex={-1} aria-label="Your verdict">
      <OnTheirWay verdicts={queued} frame={frame.id} onRetry={judging.retry} onTakeBack={judging.takeBack} />
      <p className="bar-decision">
        <DecisionChip outcome={outcome} />
        <span className="hint">{frame.decision?.reason}</span>
      </p>
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
          onChange={(event) => change({ kind: "note", note: event.target.value })}
        />
      </div>
      <div className="verdicts">
        {choicesFor(outcome).map(({ word, label, key, icon, tone, meaning }) => (
          <button
            key={word}
            type="button"
            className={`button verdict tone-${tone}`}
            title={meaning}
            aria-keyshortcuts={key}
            disabled={sending}
            onClick={() => onWord(word)}
          >
            <Icon name={icon} />
            <span>{label}</span>
            <kbd>{key}</kbd>
          </button>
        ))}
      </div>
      <div className="draft-state">
        <span className="hint" role="status">
          {sending
            ? "Saving"
            : isTouched(draft)
              ? "Kept in this browser until you judge"
              : saidBefore(frame, user, now)}
        </span>
        <label className="advance">
          <input
            type="checkbox"
            checked={judging.advance}
            onChange={(event) => judging.setAdvance(event.target.checked)}
          />
          Then next frame
        </label>
        <button
          type="button"
          className="button quiet"
          disabled={draft.past.length === 0}
          onClick={() => change({ kind: "undo" })}
        >
          <Icon name="undo" />
          Undo
        </button>
      </div>
    </section>
  );
}

/** Who judges after somebody else knows it before they do. */
function saidBefore(frame: Frame, user: string, now: number): string {
  const standing = standingOf(frame.reviews);
  const word = standing === null ? null : wordOf(standing);
  // What is still on its way is told of above.
  if (standing === null || standing.id === ON_ITS_WAY || word === null) return "";
  const who = standing.reviewer === user ? "You" : standing.reviewer;
  return `${who} said ${PART_WORDS[word].toLowerCase()} ${ago(standing.at, now)}`;
}
