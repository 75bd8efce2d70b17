/** Small parts that several pages share. They know values, not where these come from. */
import { useEffect, useRef, type ReactNode } from "react";

import type { DefectClass, Outcome, Region, Review } from "../api/types";
import { formatScore } from "../domain/format";
import { PART_WORDS, wordOf, type Word } from "../domain/judgement";
import { rectOf } from "../domain/region";
import type { ConnectionState } from "../live/socket";
import { useOnline } from "./hooks";
import { Icon, type IconName } from "./icons";

const OUTCOME_WORDS: Readonly<Record<Outcome, string>> = { pass: "Pass", fail: "Fail", hold: "Hold" };

export function DecisionChip({ outcome, large = false }: { outcome: Outcome | null; large?: boolean }) {
  const size = large ? " large" : "";
  if (outcome === null) {
    return (
      <span className={`chip plain${size}`}>
        <Icon name="wait" />
        Not decided yet
      </span>
    );
  }
  return (
    <span className={`chip tone-${outcome}${size}`}>
      <Icon name={outcome} />
      {OUTCOME_WORDS[outcome]}
    </span>
  );
}

const WORD_LOOKS: Readonly<Record<Word, { icon: IconName; tone: string }>> = {
  good: { icon: "pass", tone: "tone-pass" },
  defective: { icon: "fail", tone: "tone-fail" },
  unsure: { icon: "unsure", tone: "tone-hold" },
};

/** What a person said of the part; an old review of a held frame said only what it thought of the machine. */
export function ReviewChip({ review }: { review: Pick<Review, "part" | "verdict"> }) {
  const word = wordOf(review);
  if (word === null) {
    return <span className="chip plain">{review.verdict === "accept" ? "Agreed" : "Disagreed"}</span>;
  }
  const { icon, tone } = WORD_LOOKS[word];
  return (
    <span className={`chip ${tone}`}>
      <Icon name={icon} />
      {PART_WORDS[word]}
    </span>
  );
}

export function className({ colour_index }: DefectClass): string {
  return `class-colour-${colour_index % 8}`;
}

export function titleOf(defectClass: DefectClass): string {
  return defectClass.title === "" ? defectClass.name : defectClass.title;
}

export function ClassName({ of, score }: { of: DefectClass; score?: number }) {
  return (
    <span className={`class-name ${className(of)}`}>
      <span className="swatch" />
      {titleOf(of)}
      {score !== undefined && <span className="score">{formatScore(score)}</span>}
    </span>
  );
}

/** Boxes over a picture that is fitted (not cropped) into the same rectangle. */
export function Boxes({
  regions,
  sizeWh,
}: {
  regions: readonly Region[];
  sizeWh: readonly [number, number];
}) {
  return (
    <svg
      className="boxes"
      viewBox={`0 0 ${sizeWh[0]} ${sizeWh[1]}`}
      preserveAspectRatio="xMidYMid meet"
      aria-hidden="true"
    >
      {regions.map((region) => (
        <g key={region.id} className={className(region.defect_class)} data-region={region.id}>
          <rect className="halo" {...rectOf(region.box_xyxy)} />
          <rect className="edge" {...rectOf(region.box_xyxy)} />
        </g>
      ))}
    </svg>
  );
}

export function Empty({ icon, title, children }: { icon: IconName; title: string; children: ReactNode }) {
  return (
    <div className="empty">
      <Icon name={icon} />
      <h2>{title}</h2>
      {children}
    </div>
  );
}

export function Notice({
  level = "warning",
  children,
}: {
  level?: "warning" | "stopped" | "quiet";
  children: ReactNode;
}) {
  return (
    <div className={`notice ${level}`} role={level === "quiet" ? undefined : "status"}>
      <Icon name={level === "quiet" ? "wait" : "warning"} />
      <div>{children}</div>
    </div>
  );
}

const CONNECTION_WORDS: Readonly<Record<ConnectionState, string>> = {
  connecting: "Connecting",
  open: "Live",
  waiting: "Connection lost, trying again",
  refused: "Not allowed to follow. Sign in again.",
  closed: "Not connected",
};

interface ConnectionProps {
  state: ConnectionState;
  /** The server does not answer by other ways: an open socket alone is not "live". */
  lost?: boolean;
  onRetry: () => void;
}

export function Connection({ state: socket, lost = false, onRetry }: ConnectionProps) {
  const online = useOnline();
  const trying = socket === "open" || socket === "connecting";
  const state = trying && ((lost && socket === "open") || !online) ? "waiting" : socket;
  return (
    <span className="connection" data-state={state} role="status">
      <Icon name={state === "open" ? "dot" : state === "refused" ? "close" : "ring"} />
      {CONNECTION_WORDS[state]}
      {state === "waiting" && (
        <button type="button" className="link-button" onClick={onRetry}>
          now
        </button>
      )}
    </span>
  );
}

export function Dialog({
  title,
  onClose,
  children,
}: {
  title: string;
  onClose: () => void;
  children: ReactNode;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog
      ref={dialog}
      className="dialog"
      aria-label={title}
      onClose={onClose}
      onClick={(event) => {
        if (event.target === dialog.current) dialog.current.close();
      }}
    >
      <header>
        <h1>{title}</h1>
        <button
          type="button"
          className="button quiet icon-only"
          aria-label="Close"
          onClick={() => dialog.current?.close()}
        >
          <Icon name="close" />
        </button>
      </header>
      <div className="body">{children}</div>
    </dialog>
  );
}
