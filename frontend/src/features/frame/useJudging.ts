/** A person's word on one frame: the draft, the verdict on its way, and what happens when the server has it. */
import { useEffect, useMemo, useReducer, useRef, useState } from "react";

import type { DefectClass, Frame, Mark, Me, Review } from "../../api/types";
import { labelOf, type Word } from "../../domain/judgement";
import { marksFor, namedByMe } from "../../domain/regionState";
import {
  changeDraft,
  isTouched,
  valuesOf,
  type DraftChange,
  type ReviewDraft,
} from "../../domain/reviewDraft";
import type { QueuedVerdict } from "../../domain/verdictOutbox";
import { useStore } from "../../ui/hooks";
import { useMessages, type Messages } from "../../ui/toasts";
import { useOutbox, type Outbox } from "../verdicts/outbox";
import { keepDraft, loadDraft } from "./draftStorage";
import { nameOf, type Neighbours } from "./FrameHeader";
import type { FrameStore } from "./frameStore";
import { keepSettings, loadSettings } from "./settings";

/** The id of a review that only this browser knows yet. */
export const ON_ITS_WAY = 0;

export interface Judging {
  draft: ReviewDraft;
  change: (change: DraftChange) => void;
  /** The frame with my verdict on its way as if it stood already. */
  frame: Frame;
  queued: readonly QueuedVerdict[];
  judge: (word: Word) => void;
  retry: (key: string) => void;
  takeBack: (verdict: QueuedVerdict) => void;
  advance: boolean;
  setAdvance: (advance: boolean) => void;
}

interface Options {
  me: Me | null;
  stored: Frame;
  store: FrameStore;
  classes: readonly DefectClass[];
  mayReview: boolean;
  neighbours: Pick<Neighbours, "next" | "open">;
  advanceByDefault: boolean;
}

export function useJudging({
  me,
  stored,
  store,
  classes,
  mayReview,
  neighbours,
  advanceByDefault,
}: Options): Judging {
  const user = me?.username ?? "";
  const outbox = useOutbox();
  const { say } = useMessages();
  const queued = useStore(outbox);
  const [draft, change] = useReducer(changeDraft, stored.id, (frame) => loadDraft(user, frame));
  useEffect(() => keepDraft(user, stored.id, draft), [user, stored.id, draft]);
  const [settings, setSettings] = useState(() => loadSettings(user, advanceByDefault));
  const setAdvance = (advance: boolean) => {
    setSettings({ advance });
    keepSettings(user, { advance });
  };

  const frame = useMemo(() => withMine(stored, queued, user), [stored, queued, user]);
  useAnswers(outbox, say, stored, store, () => settings.advance && !isTouched(draft), neighbours);
  const unreached = queued.some(({ state, reason }) => state === "waiting" && reason !== null);
  useEffect(() => {
    if (unreached) store.doubt();
  }, [unreached, store]);
  const { connection } = useStore(store);
  useEffect(() => {
    if (connection === "open") void outbox.flush();
  }, [connection, outbox]);

  const judge = (word: Word) => {
    const onItsWay = queued.some((one) => one.frame === stored.id && one.state === "sending");
    if (!mayReview || onItsWay) return;
    const named = namedByMe(frame, draft);
    if (word === "good" && named.length > 0) {
      say(
        `You named region ${named.join(", ")} a defect. Dismiss it first, or say that the part is defective.`,
      );
      return;
    }
    outbox.add({
      frame: stored.id,
      frameName: nameOf(stored),
      label: labelOf(word, stored.decision?.outcome ?? null),
      body: {
        ...(word === "unsure" ? { verdict: "unsure" } : { part: word }),
        note: draft.note.trim(),
        marks: marksFor(word, frame, draft, classes),
      },
      draft: valuesOf(draft),
    });
    change({ kind: "said" });
  };
  const takeBack = (verdict: QueuedVerdict) => {
    outbox.discard(verdict.key);
    if (verdict.frame === stored.id) change({ kind: "take-back", draft: verdict.draft });
  };
  const retry = (key: string) => outbox.retry(key);
  return { draft, change, frame, queued, judge, retry, takeBack, advance: settings.advance, setAdvance };
}

/** Tell the person what became of each verdict; a contradiction is worth staying for. */
function useAnswers(
  outbox: Outbox,
  say: Messages["say"],
  frame: Frame,
  store: FrameStore,
  mayAdvance: () => boolean,
  neighbours: Pick<Neighbours, "next" | "open">,
): void {
  const newest = useRef({ mayAdvance, neighbours });
  useEffect(() => {
    newest.current = { mayAdvance, neighbours };
  });
  useEffect(
    () =>
      outbox.onSent((verdict, review) => {
        if (verdict.frame !== frame.id) {
          say(`Sent: ${verdict.label}, ${verdict.frameName}.`);
          return;
        }
        store.addReview(review);
        const { mayAdvance, neighbours } = newest.current;
        if (review.contradicts.length > 0) {
          say(`Saved. It contradicts ${review.contradicts.join(" and ")}; yours is the latest and stands.`);
        } else if (mayAdvance() && neighbours.next !== null) {
          neighbours.open(neighbours.next);
        } else {
          say(`Saved: ${verdict.label}.${neighbours.next === null ? "" : " J goes to the next frame."}`);
        }
      }),
    [outbox, say, frame.id, store],
  );
}

/** A verdict on its way counts here as the one that stands. */
function withMine(frame: Frame, queued: readonly QueuedVerdict[], user: string): Frame {
  const mine = queued.find((one) => one.frame === frame.id && one.state !== "refused");
  if (mine === undefined) return frame;
  const detected = new Map(frame.regions.map((region) => [region.id, region.defect_class.id]));
  const marks = mine.body.marks.map((mark, index): Mark => ({
    id: -1 - index,
    detection: mark.detection,
    defect_class: mark.defect_class,
    box_xyxy: mark.box_xyxy,
    from_model: detected.get(mark.detection ?? "") === mark.defect_class,
  }));
  const review: Review = {
    id: ON_ITS_WAY,
    reviewer: user,
    verdict: mine.body.verdict ?? "accept",
    part: mine.body.part ?? "",
    note: mine.body.note,
    at: mine.at,
    marks,
    stands: true,
    contradicts: [],
  };
  return { ...frame, reviews: [review, ...frame.reviews.map((other) => ({ ...other, stands: false }))] };
}
