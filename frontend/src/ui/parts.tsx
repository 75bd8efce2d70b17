/** Small parts that several pages share. They know values, not where these come from. */
import { useEffect, useRef, type ReactNode } from "react";

import type { DefectClass, Outcome, Region, Verdict } from "../api/types";
import { formatScore } from "../domain/format";
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

export const VERDICTS: Readonly<
  Record<Verdict, { icon: IconName; done: string; act: string; tone: string; key: string; meaning: string }>
> = {
  accept: {
    icon: "pass",
    done: "Accepted",
    act: "Accept",
    tone: "tone-pass",
    key: "A",
    meaning: "The machine's decision stands",
  },
  reject: {
    icon: "fail",
    done: "Rejected",
    act: "Reject",
    tone: "tone-fail",
    key: "X",
    meaning: "The machine's decision is wrong",
  },
  unsure: {
    icon: "unsure",
    done: "Unsure",
    act: "Unsure",
    tone: "tone-hold",
    key: "U",
    meaning: "Somebody else should look",
  },
};

export function VerdictChip({ verdict }: { verdict: Verdict }) {
  const { icon, done, tone } = VERDICTS[verdict];
  return (
    <span className={`chip ${tone}`}>
      <Icon name={icon} />
      {done}
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
  const state = socket === "open" && (lost || !online) ? "waiting" : socket;
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
