/**
 * One frame on the desk: its picture, what machines and people said of it, and the person's word.
 * The Frame page and the review queue both lay a frame on it; they say where "next" leads.
 */
import { useQuery } from "@tanstack/react-query";
import { useRef, useState } from "react";

import { queries } from "../../api/queries";
import type { DefectClass, Frame, Me } from "../../api/types";
import type { Word } from "../../domain/judgement";
import { hasRole } from "../../domain/roles";
import { useNow, useStore } from "../../ui/hooks";
import { useMessages } from "../../ui/toasts";
import { FrameHeader, type Neighbours } from "./FrameHeader";
import type { FrameStore } from "./frameStore";
import { HelpSheet } from "./HelpSheet";
import { MachineSide } from "./MachineSide";
import { RegionsSection } from "./RegionsSection";
import { Quarrel, Reviews } from "./Reviews";
import { TemplateDialog } from "./TemplateDialog";
import { VerdictBar } from "./VerdictBar";
import { ViewerPane, type ViewerHandle } from "./ViewerPane";
import { useFrameKeys } from "./useFrameKeys";
import { useJudging } from "./useJudging";
import { useRegions } from "./useRegions";
import { useTemplateMode } from "./useTemplateMode";

const NO_CLASSES: readonly DefectClass[] = [];
const NOT_JUDGED = "The machine has not judged this part: G says it is good, D that it is defective.";

interface Props {
  me: Me | null;
  frame: Frame;
  store: FrameStore;
  neighbours: Neighbours;
  /** Whether a verdict leads to the next frame for whom has not said how they want it. */
  advanceByDefault?: boolean;
}

export function FrameDesk({ me, frame: stored, store, neighbours, advanceByDefault = false }: Props) {
  const state = useStore(store);
  const now = useNow(5000);
  const line = stored.line.id;
  const classes = useQuery(queries.defectClasses(line)).data ?? NO_CLASSES;
  const mayReview = hasRole(me, line, "inspector");
  const mayConfigure = hasRole(me, line, "engineer");
  const judging = useJudging({ me, stored, store, classes, mayReview, neighbours, advanceByDefault });
  const { frame, draft, change } = judging;
  const regions = useRegions(frame, draft, change, classes);
  const [overlaysHidden, hideOverlays] = useState(false);
  const [mode, onTemplate] = useTemplateMode(frame, mayConfigure);
  const [dialog, setDialog] = useState<"help" | "template" | null>(null);
  const note = useRef<HTMLTextAreaElement>(null);
  const viewer = useRef<ViewerHandle>(null);
  const { say } = useMessages();
  const onWord = (word: Word | null) => (word === null ? say(NOT_JUDGED) : judging.judge(word));
  const onHelp = () => setDialog("help");
  const go = (to: string | null) => to !== null && neighbours.open(to);
  useFrameKeys({
    outcome: frame.decision?.outcome ?? null,
    classes,
    mayReview,
    regions,
    change,
    onWord,
    note,
    viewer,
    onNext: () => go(neighbours.next),
    onPrevious: () => go(neighbours.previous),
    onTemplate,
    onHelp,
    hideOverlays,
    disabled: dialog !== null,
  });

  return (
    <div className="frame-page">
      <a className="skip-link" href="#verdict">
        Skip to your verdict
      </a>
      <FrameHeader
        frame={frame}
        neighbours={neighbours}
        now={now}
        connection={state.connection}
        onRetry={() => store.retryNow()}
        onHelp={onHelp}
      />
      <div className="frame-body">
        <ViewerPane
          frame={frame}
          states={regions.shown}
          drawn={regions.drawn}
          numberOf={regions.numberOf}
          selected={regions.selected}
          onSelect={regions.select}
          overlaysHidden={overlaysHidden}
          mode={mode}
          onTemplate={onTemplate}
          onTemplateDialog={mayConfigure ? () => setDialog("template") : null}
          handle={viewer}
        />
        <aside className="side">
          <div className="side-scroll">
            <Quarrel reviews={frame.reviews} now={now} />
            <MachineSide
              frame={frame}
              mayConfigure={mayConfigure}
              mayRetry={mayReview}
              onRetried={() => store.reload()}
            />
            <RegionsSection
              frame={frame}
              regions={regions}
              classes={classes}
              typing={state.typing}
              mayReview={mayReview}
            />
            <section>
              <h2>Judged by</h2>
              <Reviews reviews={frame.reviews} now={now} />
            </section>
          </div>
          {mayReview ? (
            <VerdictBar
              frame={frame}
              judging={judging}
              user={me?.username ?? ""}
              now={now}
              noteField={note}
              onWord={onWord}
            />
          ) : (
            <p className="verdict-bar hint" id="verdict" tabIndex={-1}>
              Your role lets you look; judging takes the role inspector.
            </p>
          )}
        </aside>
      </div>
      {dialog === "help" && <HelpSheet onClose={() => setDialog(null)} />}
      {dialog === "template" && (
        <TemplateDialog frame={frame} onClose={() => setDialog(null)} onChanged={() => store.reload()} />
      )}
    </div>
  );
}
