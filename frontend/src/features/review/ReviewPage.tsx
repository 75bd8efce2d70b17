/** Review: the frames that wait for a person's word on the left, the one that is looked at beside them. */
import { useEffect, useMemo, useState } from "react";

import type { Boot } from "../../api/boot";
import { api, sentenceOf } from "../../api/client";
import type { Frame, Line, Me } from "../../api/types";
import { filterFrom, searchOf } from "../../domain/frameFilter";
import { ReviewQueue, type QueueState } from "../../domain/reviewQueue";
import { useStore } from "../../ui/hooks";
import { Icon } from "../../ui/icons";
import { Empty, Notice } from "../../ui/parts";
import { FrameDesk } from "../frame/FrameDesk";
import { FrameStore } from "../frame/frameStore";
import { useOutbox } from "../verdicts/outbox";
import { Filters } from "./Filters";
import { QueueList } from "./QueueList";

export function ReviewPage({ boot }: { boot: Boot }) {
  const queue = useMemo(
    () => new ReviewQueue({ page: api.framePage, counts: api.frameCounts }, filterFrom(location.search)),
    [],
  );
  useEffect(() => void queue.reload(), [queue]);
  const state = useStore(queue);
  const outbox = useOutbox();
  useEffect(() => outbox.onSent(({ frame }, review) => queue.reviewed(frame, review)), [queue, outbox]);
  useAddress(state);
  const [listOpen, setListOpen] = useState(false);

  const frame = state.rows.find(({ id }) => id === state.current) ?? null;
  const open = (id: string) => {
    queue.open(id);
    setListOpen(false);
  };
  return (
    <div className="review" data-list={listOpen ? "open" : "closed"}>
      <h1 className="visually-hidden">Review</h1>
      <aside className="queue" aria-label="Queue">
        <QueueHead state={state} onReload={() => void queue.reload()} />
        <Filters
          filter={state.filter}
          counts={state.counts}
          lines={boot.lines}
          onChange={(filter) => void queue.setFilter(filter)}
        />
        {state.error !== null && <Trouble error={state.error} onRetry={() => void queue.loadMore()} />}
        <QueueList state={state} onOpen={open} onMore={() => void queue.loadMore()} />
      </aside>
      <button
        type="button"
        className="button queue-switch"
        aria-expanded={listOpen}
        onClick={() => setListOpen(!listOpen)}
      >
        <Icon name="tray" />
        Queue and filters
      </button>
      {frame === null ? (
        <NothingHere state={state} lines={boot.lines} />
      ) : (
        <OnTheDesk
          key={frame.id}
          me={boot.me}
          row={frame}
          next={queue.neighbour(1)}
          previous={queue.neighbour(-1)}
          onOpen={open}
        />
      )}
    </div>
  );
}

function QueueHead({ state, onReload }: { state: QueueState; onReload: () => void }) {
  const { counts } = state;
  return (
    <header className="queue-head">
      <h2>Queue</h2>
      <span className="hint" role="status">
        {counts !== null &&
          `${counts.total}${counts.capped ? "+" : ""} ${counts.total === 1 ? "frame" : "frames"}`}
        {counts !== null && counts.disagreements > 0 && `, ${counts.disagreements} disputed`}
      </span>
      <button
        type="button"
        className="button quiet icon-only"
        aria-label="Look again"
        title="Look again"
        onClick={onReload}
      >
        <Icon name="retry" />
      </button>
    </header>
  );
}

function Trouble({ error, onRetry }: { error: unknown; onRetry: () => void }) {
  const { detail, hint } = sentenceOf(error);
  return (
    <Notice level="stopped">
      <p>{detail}</p>
      <p>{hint}</p>
      <button type="button" className="button" onClick={onRetry}>
        Try again
      </button>
    </Notice>
  );
}

function NothingHere({ state, lines }: { state: QueueState; lines: readonly Line[] }) {
  if (state.loading || state.error !== null) return <div className="frame-page" aria-busy={state.loading} />;
  if (lines.length === 0) {
    return (
      <Empty icon="tray" title="No line to review">
        <p>You have no role on any line yet. An admin can give you one; then its frames wait for you here.</p>
      </Empty>
    );
  }
  return (
    <Empty icon="pass" title="Nothing waits here">
      <p>
        No frame is in this queue. Frames appear here as they are inspected; “Look again” asks for new ones,
        and other filters show those that were judged.
      </p>
      <a className="button" href="/">
        Watch them arrive on Live
      </a>
    </Empty>
  );
}

interface DeskProps {
  me: Me | null;
  row: Frame;
  next: Frame | null;
  previous: Frame | null;
  onOpen: (frame: string) => void;
}

const WORDS = { next: "Next in the queue (J)", previous: "Previous in the queue (K)" };

/** What the list knows of the frame is shown at once; its own page of facts follows. */
function OnTheDesk({ me, row, next, previous, onOpen }: DeskProps) {
  const store = useMemo(() => new FrameStore(row.id, row.line.id, row), [row.id, row.line.id]); // eslint-disable-line react-hooks/exhaustive-deps -- the row is only the beginning
  useEffect(() => store.start(), [store]);
  const { frame } = useStore(store);
  useEffect(() => {
    if (next !== null) new Image().src = next.urls.rendition;
  }, [next]);
  return (
    <FrameDesk
      me={me}
      frame={frame ?? row}
      store={store}
      neighbours={{ next: next?.id ?? null, previous: previous?.id ?? null, words: WORDS, open: onOpen }}
      advanceByDefault
    />
  );
}

/** The address says what is looked through, so that it can be kept, sent and come back to. */
function useAddress({ filter }: QueueState): void {
  useEffect(() => {
    const search = searchOf(filter);
    history.replaceState(null, "", search === "" ? location.pathname : `${location.pathname}?${search}`);
  }, [filter]);
}
