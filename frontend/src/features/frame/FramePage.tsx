/** Frame: one picture, what the machines said of it and why, and the person's word. */
import { useQuery } from "@tanstack/react-query";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";

import type { Boot } from "../../api/boot";
import { sentenceOf } from "../../api/client";
import { queries } from "../../api/queries";
import type { DefectClass, Frame, Region } from "../../api/types";
import { wordFor, type Word } from "../../domain/judgement";
import { drawnIn, statesOf, type RegionState } from "../../domain/regionState";
import type { ShortcutAction } from "../../domain/shortcuts";
import { useNow, useStore } from "../../ui/hooks";
import { Empty } from "../../ui/parts";
import { say } from "../../ui/toasts";
import { FrameHeader } from "./FrameHeader";
import { FrameStore } from "./frameStore";
import { HelpSheet } from "./HelpSheet";
import { MachineSide } from "./MachineSide";
import { RegionList } from "./RegionList";
import { Quarrel, Reviews } from "./Reviews";
import { TemplateDialog } from "./TemplateDialog";
import { VerdictBar } from "./VerdictBar";
import { NEXT_MODE, ViewerPane, type TemplateMode, type ViewerHandle } from "./ViewerPane";
import { useJudging } from "./useJudging";
import { useShortcuts } from "./useShortcuts";

const SCORE_STEP = 0.05;
const NO_CLASSES: readonly DefectClass[] = [];

export function FramePage({ boot }: { boot: Boot }) {
  const store = useMemo(() => new FrameStore(boot.frame ?? "", boot.line?.id ?? 0), [boot]);
  useEffect(() => store.start(), [store]);
  const state = useStore(store);
  if (state.frame === null) {
    if (state.error === null) return <div className="frame-page" aria-busy="true" />;
    const { detail, hint } = sentenceOf(state.error);
    return (
      <Empty icon="warning" title={detail}>
        <p>{hint}</p>
        <button type="button" className="button primary" onClick={() => store.reload()}>
          Try again
        </button>
      </Empty>
    );
  }
  return <LoadedFrame boot={boot} frame={state.frame} store={store} />;
}

function LoadedFrame({ boot, frame: stored, store }: { boot: Boot; frame: Frame; store: FrameStore }) {
  const state = useStore(store);
  const now = useNow(5000);
  const line = stored.line.id;
  const vocabulary = useQuery(queries.defectClasses(line));
  const classes = vocabulary.data ?? NO_CLASSES;
  const mayReview = mayOn(boot, line, "inspector");
  const mayConfigure = mayOn(boot, line, "engineer");
  const judging = useJudging(boot, stored, store, classes, mayReview);
  const { draft, change, frame } = judging;
  const [minScore, setMinScore] = useState(0);
  const [selected, setSelected] = useState<string | null>(null);
  const [overlaysHidden, setOverlaysHidden] = useState(false);
  const [mode, setMode] = useState<TemplateMode>("off");
  const [dialog, setDialog] = useState<"help" | "template" | null>(null);
  const note = useRef<HTMLTextAreaElement>(null);
  const viewer = useRef<ViewerHandle>(null);

  const states = useMemo(() => statesOf(frame, draft, classes), [frame, draft, classes]);
  const drawn = useMemo(() => drawnIn(frame.reviews, classes), [frame.reviews, classes]);
  const shown = useMemo(
    () => inOrder(states.filter(({ region }) => region.score >= minScore)),
    [states, minScore],
  );
  const numberOf = useCallback(
    (region: Region) => frame.regions.findIndex(({ id }) => id === region.id) + 1,
    [frame.regions],
  );
  const current = shown.find(({ region }) => region.id === selected) ?? null;
  const newer = boot.newer ?? state.newer;
  const outcome = frame.decision?.outcome ?? null;

  const setClass = (id: string, defectClass: number) => {
    const found = states.find(({ region }) => region.id === id);
    if (found !== undefined) change({ kind: "class", region: id, defectClass, before: found.before });
  };
  const toggleDefect = (id: string) => {
    const found = states.find(({ region }) => region.id === id);
    if (found === undefined) return;
    change({ kind: "defect", region: id, defect: !found.defect, before: found.before });
  };
  const sayWord = (word: Word | null) => {
    if (word !== null) judging.judge(word);
    else say("The machine has not judged this part: G says it is good, D that it is defective.");
  };
  const step = (by: 1 | -1) => {
    if (shown.length === 0) return;
    const at = shown.findIndex(({ region }) => region.id === selected);
    const next =
      shown[at === -1 ? (by === 1 ? 0 : shown.length - 1) : (at + by + shown.length) % shown.length];
    setSelected(next?.region.id ?? null);
  };
  const leave = () => {
    if (document.activeElement instanceof HTMLElement && document.activeElement !== document.body) {
      document.activeElement.blur();
    }
    if (selected !== null) setSelected(null);
  };
  const moveScore = (by: number) =>
    setMinScore((score) => Math.min(0.95, Math.max(0, Math.round((score + by) * 100) / 100)));
  const onTemplate = () => {
    if (frame.urls.template !== null) setMode(NEXT_MODE[mode]);
    else say(whyNoTemplate(frame, mayConfigure));
  };
  const actions: Record<ShortcutAction, (key: string) => void> = {
    agree: () => sayWord(wordFor("agree", outcome)),
    disagree: () => sayWord(wordFor("disagree", outcome)),
    good: () => sayWord("good"),
    defective: () => sayWord("defective"),
    unsure: () => sayWord("unsure"),
    "edit-note": () => note.current?.focus(),
    undo: () => change({ kind: "undo" }),
    redo: () => change({ kind: "redo" }),
    "next-region": () => step(1),
    "previous-region": () => step(-1),
    "set-class": (key) => {
      const chosen = classes[Number(key) - 1];
      if (current !== null && chosen !== undefined && mayReview) setClass(current.region.id, chosen.id);
    },
    "dismiss-region": () => {
      if (current !== null && mayReview) toggleDefect(current.region.id);
    },
    "next-frame": () => open(boot.older),
    "previous-frame": () => open(newer),
    "toggle-overlays": () => setOverlaysHidden(true),
    "fit-region": () => viewer.current?.fitRegion(current?.region ?? null),
    "reset-view": () => viewer.current?.fitAll(),
    "zoom-in": () => viewer.current?.zoom(1),
    "zoom-out": () => viewer.current?.zoom(-1),
    "less-confidence": () => moveScore(-SCORE_STEP),
    "more-confidence": () => moveScore(SCORE_STEP),
    template: onTemplate,
    help: () => setDialog("help"),
    leave,
  };
  useShortcuts(actions, {
    disabled: dialog !== null,
    onRelease: (action) => action === "toggle-overlays" && setOverlaysHidden(false),
  });

  return (
    <div className="frame-page">
      <a className="skip-link" href="#verdict">
        Skip to your verdict
      </a>
      <FrameHeader
        frame={frame}
        newer={newer}
        older={boot.older}
        now={now}
        connection={state.connection}
        onRetry={() => store.retryNow()}
        onHelp={() => setDialog("help")}
      />
      <div className="frame-body">
        <ViewerPane
          frame={frame}
          states={shown}
          drawn={drawn}
          numberOf={numberOf}
          selected={selected}
          onSelect={setSelected}
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
              onRetried={() => store.reload()}
              mayRetry={mayOn(boot, line, "inspector")}
            />
            <section>
              <div className="side-head">
                <h2>
                  Regions{" "}
                  <span className="hint">
                    {shown.length < frame.regions.length
                      ? `${shown.length} of ${frame.regions.length}`
                      : frame.regions.length}
                  </span>
                </h2>
                <label className="confidence">
                  <span className="label">Score from {Math.round(minScore * 100)} %</span>
                  <input
                    type="range"
                    min={0}
                    max={0.95}
                    step={SCORE_STEP}
                    value={minScore}
                    onChange={(event) => setMinScore(Number(event.target.value))}
                  />
                </label>
              </div>
              {frame.regions.length === 0 && (
                <p className="hint">
                  {frame.state === "queued" || frame.state === "running"
                    ? "Regions appear here once a node has looked."
                    : "No model proposed a region."}
                </p>
              )}
              <RegionList
                states={shown}
                drawn={drawn}
                classes={classes}
                numberOf={numberOf}
                selected={selected}
                typing={state.typing}
                mayReview={mayReview}
                onSelect={(region) => setSelected(region === selected ? null : region)}
                onClass={setClass}
                onToggle={toggleDefect}
              />
            </section>
            <section>
              <h2>Judged by</h2>
              <Reviews reviews={frame.reviews} now={now} />
            </section>
          </div>
          {mayReview ? (
            <VerdictBar
              frame={frame}
              judging={judging}
              user={boot.me?.username ?? ""}
              now={now}
              noteField={note}
              onWord={sayWord}
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

const ROLES = ["viewer", "inspector", "engineer", "admin"] as const;

/** Roles are per line: what one may do elsewhere says nothing of this frame. */
function mayOn(boot: Boot, line: number, least: (typeof ROLES)[number]): boolean {
  const held = boot.me?.roles.find((role) => role.line === line)?.role;
  return held !== undefined && ROLES.indexOf(held) >= ROLES.indexOf(least);
}

/** What counts first, in the order of the scores; then what lies below its threshold. */
function inOrder(states: readonly RegionState[]): RegionState[] {
  return [...states.filter(({ region }) => region.counts), ...states.filter(({ region }) => !region.counts)];
}

function whyNoTemplate(frame: Frame, mayConfigure: boolean): string {
  const missing = `${frame.station.name} has no golden template.`;
  return mayConfigure
    ? `${missing} “Set template” below the picture makes one of a good frame or of a file.`
    : `${missing} An engineer of ${frame.line.name} can set one.`;
}

function open(frame: string | null): void {
  if (frame !== null) location.assign(`/frames/${frame}/`);
}
