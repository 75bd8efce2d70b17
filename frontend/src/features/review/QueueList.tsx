/** The rows of the queue. One of them is a stop for the keyboard, the one on the desk: J and K walk the others. */
import { useEffect, useRef } from "react";

import type { Frame } from "../../api/types";
import { holdWords } from "../../domain/holdReason";
import { disagrees } from "../../domain/region";
import type { QueueState } from "../../domain/reviewQueue";
import { Icon } from "../../ui/icons";
import { DecisionChip, ReviewChip, titleOf } from "../../ui/parts";
import { nameOf } from "../frame/FrameHeader";

interface Props {
  state: QueueState;
  onOpen: (frame: string) => void;
  onMore: () => void;
}

export function QueueList({ state, onOpen, onMore }: Props) {
  const { rows, current, judged, loading, more } = state;
  return (
    <div className="queue-scroll">
      <ol className="queue-list" aria-label="Frames to look through">
        {rows.map((frame) => (
          <Row
            key={frame.id}
            frame={frame}
            isCurrent={frame.id === current}
            isJudged={judged.has(frame.id)}
            onOpen={onOpen}
          />
        ))}
      </ol>
      {loading && <p className="hint padded">Asking for frames…</p>}
      {!loading && more && rows.length > 0 && (
        <button type="button" className="button wide" onClick={onMore}>
          More
        </button>
      )}
      {!loading && !more && rows.length > 0 && <p className="hint padded">This is the end of the queue.</p>}
    </div>
  );
}

interface RowProps {
  frame: Frame;
  isCurrent: boolean;
  isJudged: boolean;
  onOpen: (frame: string) => void;
}

function Row({ frame, isCurrent, isJudged, onOpen }: RowProps) {
  const row = useRef<HTMLLIElement>(null);
  useEffect(() => {
    if (isCurrent) row.current?.scrollIntoView({ block: "nearest" });
  }, [isCurrent]);
  const review = frame.reviews.find(({ stands }) => stands);
  return (
    <li ref={row} data-frame={frame.id} data-current={isCurrent} data-judged={isJudged}>
      <a
        href={`/frames/${frame.id}/`}
        aria-current={isCurrent ? "true" : undefined}
        tabIndex={isCurrent ? 0 : -1}
        onClick={(event) => {
          if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
          event.preventDefault();
          onOpen(frame.id);
        }}
      >
        <img src={frame.urls.thumbnail} alt="" width={56} height={56} loading="lazy" decoding="async" />
        <span className="queue-words">
          <b>{nameOf(frame)}</b>
          <span className="queue-chips">
            <DecisionChip outcome={frame.decision?.outcome ?? null} />
            {review !== undefined && <ReviewChip review={review} />}
          </span>
          <span className="hint queue-why">
            {disagreementIn(frame) ?? holdWords(frame.decision) ?? classesIn(frame)}
          </span>
        </span>
      </a>
    </li>
  );
}

/** Why it comes first: "open or short?" */
function disagreementIn(frame: Frame) {
  const region = frame.regions.find((each) => each.counts && disagrees(each));
  if (region === undefined) return null;
  return (
    <span className="disputed">
      <Icon name="warning" />
      <span>
        {titleOf(region.defect_class)}, or{" "}
        <span className="machine-text">{region.description?.text?.defect_class}</span>?
      </span>
    </span>
  );
}

function classesIn(frame: Frame): string {
  const names = new Set(
    frame.regions.filter(({ counts }) => counts).map((region) => titleOf(region.defect_class)),
  );
  return names.size === 0 ? frame.station.name : [...names].join(", ");
}
