/** Frame: one picture, what the machines said of it and why, and the person's word. */
import { useCallback, useEffect, useMemo, useReducer, useRef, useState, useSyncExternalStore } from "react";

import type { Boot } from "../../api/boot";
import { api, sentenceOf } from "../../api/client";
import type { DefectClass, Frame, Region, Verdict } from "../../api/types";
import {
  EMPTY_DRAFT,
  changeDraft,
  marksFor,
  type DraftChange,
  type ReviewDraft,
} from "../../domain/reviewDraft";
import { drawable } from "../../domain/region";
import type { ShortcutAction } from "../../domain/shortcuts";
import { useNow, useResource } from "../../ui/hooks";
import { Empty } from "../../ui/parts";
import { complain, say } from "../../ui/toasts";
import { VERDICTS } from "../../ui/parts";
import { FrameHeader } from "./FrameHeader";
import { FrameStore } from "./frameStore";
import { HelpSheet } from "./HelpSheet";
import { MachineSide } from "./MachineSide";
import { RegionList } from "./RegionList";
import { Reviews, VerdictBar } from "./VerdictBar";
import { NEXT_MODE, ViewerPane, type TemplateMode, type ViewerHandle } from "./ViewerPane";
import { keepDraft, loadDraft } from "./draftStorage";
import { useShortcuts } from "./useShortcuts";

const SCORE_STEP = 0.05;

export function FramePage({ boot }: { boot: Boot }) {
  const store = useMemo(() => new FrameStore(boot.frame ?? "", boot.line?.id ?? 0), [boot]);
  useEffect(() => store.start(), [store]);
  const state = useSyncExternalStore(store.subscribe, store.snapshot);
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

type DraftAction = DraftChange | { kind: "sent" };

function reduceDraft(draft: ReviewDraft, action: DraftAction): ReviewDraft {
  return action.kind === "sent" ? EMPTY_DRAFT : changeDraft(draft, action);
}

function LoadedFrame({ boot, frame, store }: { boot: Boot; frame: Frame; store: FrameStore }) {
  const state = useSyncExternalStore(store.subscribe, store.snapshot);
  const now = useNow(5000);
  const line = frame.line.id;
  const vocabulary = useResource(
    useCallback((signal: AbortSignal) => api.defectClasses(line, signal), [line]),
  );
  const classes = useMemo(() => vocabulary.value ?? [], [vocabulary.value]);
  const [draft, change] = useReducer(reduceDraft, frame.id, loadDraft);
  useEffect(() => keepDraft(frame.id, draft), [frame.id, draft]);
  const [minScore, setMinScore] = useState(0);
  const [selected, setSelected] = useState<string | null>(null);
  const [overlaysHidden, setOverlaysHidden] = useState(false);
  const [mode, setMode] = useState<TemplateMode>("off");
  const [help, setHelp] = useState(false);
  const [saving, setSaving] = useState<Verdict | null>(null);
  const note = useRef<HTMLTextAreaElement>(null);
  const viewer = useRef<ViewerHandle>(null);

  const regions = useMemo(() => asCorrected(frame.regions, draft, classes), [frame.regions, draft, classes]);
  const shown = useMemo(() => regions.filter(({ score }) => score >= minScore), [regions, minScore]);
  const drawn = useMemo(() => drawable(shown, 0), [shown]);
  const numberOf = useCallback(
    (region: Region) => frame.regions.findIndex(({ id }) => id === region.id) + 1,
    [frame.regions],
  );
  const current = shown.find(({ id }) => id === selected) ?? null;
  const mayReview = boot.me?.can.review === true;
  const newer = boot.newer ?? state.newer;

  const setClass = (region: string, defectClass: number) => {
    const detected = frame.regions.find(({ id }) => id === region)?.defect_class.id;
    if (detected !== undefined) change({ kind: "class", region, defectClass, detected });
  };
  const toggleDismissed = (region: string) => {
    change({ kind: draft.dismissed.includes(region) ? "restore" : "dismiss", region });
  };
  const judge = async (verdict: Verdict) => {
    if (!mayReview || saving !== null) return;
    setSaving(verdict);
    try {
      await api.review(frame.id, {
        verdict,
        note: draft.note.trim(),
        marks: marksFor(verdict, frame, draft),
      });
      change({ kind: "sent" });
      say(`${VERDICTS[verdict].done}. J goes to the next frame.`);
      store.reload();
    } catch (error) {
      complain(error);
    }
    setSaving(null);
  };
  const step = (by: 1 | -1) => {
    if (shown.length === 0) return;
    const at = shown.findIndex(({ id }) => id === selected);
    const next =
      shown[at === -1 ? (by === 1 ? 0 : shown.length - 1) : (at + by + shown.length) % shown.length];
    setSelected(next?.id ?? null);
  };
  const leave = () => {
    if (document.activeElement instanceof HTMLElement && document.activeElement !== document.body) {
      document.activeElement.blur();
    }
    if (selected !== null) setSelected(null);
  };
  const moveScore = (by: number) =>
    setMinScore((score) => Math.min(0.95, Math.max(0, Math.round((score + by) * 100) / 100)));
  const actions: Record<ShortcutAction, (key: string) => void> = {
    accept: () => void judge("accept"),
    reject: () => void judge("reject"),
    unsure: () => void judge("unsure"),
    "edit-note": () => note.current?.focus(),
    undo: () => change({ kind: "undo" }),
    redo: () => change({ kind: "redo" }),
    "next-region": () => step(1),
    "previous-region": () => step(-1),
    "set-class": (key) => {
      const chosen = classes[Number(key) - 1];
      if (current !== null && chosen !== undefined && mayReview) setClass(current.id, chosen.id);
    },
    "dismiss-region": () => {
      if (current !== null && mayReview) toggleDismissed(current.id);
    },
    "next-frame": () => open(boot.older),
    "previous-frame": () => open(newer),
    "toggle-overlays": () => setOverlaysHidden(true),
    "fit-region": () => viewer.current?.fitRegion(current),
    "reset-view": () => viewer.current?.fitAll(),
    "zoom-in": () => viewer.current?.zoom(1),
    "zoom-out": () => viewer.current?.zoom(-1),
    "less-confidence": () => moveScore(-SCORE_STEP),
    "more-confidence": () => moveScore(SCORE_STEP),
    template: () => {
      if (frame.urls.template !== null) setMode(NEXT_MODE[mode]);
    },
    help: () => setHelp(true),
    leave,
  };
  useShortcuts(actions, {
    disabled: help,
    onRelease: (action) => action === "toggle-overlays" && setOverlaysHidden(false),
  });

  return (
    <div className="frame-page">
      <FrameHeader
        frame={frame}
        newer={newer}
        older={boot.older}
        now={now}
        connection={state.connection}
        onRetry={() => store.retryNow()}
        onHelp={() => setHelp(true)}
      />
      <div className="frame-body">
        <ViewerPane
          frame={frame}
          regions={drawn}
          numberOf={numberOf}
          dismissed={draft.dismissed}
          selected={selected}
          onSelect={setSelected}
          overlaysHidden={overlaysHidden}
          mode={mode}
          onMode={setMode}
          handle={viewer}
        />
        <aside className="side">
          <div className="side-scroll">
            <MachineSide
              frame={frame}
              onRetried={() => store.reload()}
              mayRetry={boot.me?.can.retry === true}
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
                regions={shown}
                classes={classes}
                numberOf={numberOf}
                corrected={draft.classes}
                dismissed={draft.dismissed}
                selected={selected}
                typing={state.typing}
                mayReview={mayReview}
                onSelect={(region) => setSelected(region === selected ? null : region)}
                onClass={setClass}
                onDismiss={toggleDismissed}
              />
            </section>
            <section>
              <h2>Judged by</h2>
              <Reviews reviews={frame.reviews} now={now} />
            </section>
          </div>
          {mayReview ? (
            <VerdictBar
              draft={draft}
              saving={saving}
              noteField={note}
              onNote={(text) => change({ kind: "note", note: text })}
              onVerdict={(verdict) => void judge(verdict)}
              onUndo={() => change({ kind: "undo" })}
            />
          ) : (
            <p className="verdict-bar hint">Your role lets you look; judging takes the role inspector.</p>
          )}
        </aside>
      </div>
      {help && <HelpSheet onClose={() => setHelp(false)} />}
    </div>
  );
}

function asCorrected(
  regions: readonly Region[],
  draft: ReviewDraft,
  classes: readonly DefectClass[],
): Region[] {
  return regions.map((region) => {
    const corrected = classes.find(({ id }) => id === draft.classes[region.id]);
    return corrected === undefined ? region : { ...region, defect_class: corrected };
  });
}

function open(frame: string | null): void {
  if (frame !== null) location.assign(`/frames/${frame}/`);
}
