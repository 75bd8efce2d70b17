/** What each key of the shortcut table does on a frame. The table itself is domain/shortcuts.ts. */
import type { RefObject } from "react";

import type { DefectClass, Outcome } from "../../api/types";
import { wordFor, type Word } from "../../domain/judgement";
import { SCORE_STEP } from "../../domain/regionChoice";
import type { ShortcutAction } from "../../domain/shortcuts";
import type { ViewerHandle } from "./ViewerPane";
import type { Judging } from "./useJudging";
import type { Regions } from "./useRegions";
import { useShortcuts } from "./useShortcuts";

export interface FrameKeys {
  outcome: Outcome | null;
  classes: readonly DefectClass[];
  mayReview: boolean;
  regions: Regions;
  change: Judging["change"];
  onWord: (word: Word | null) => void;
  note: RefObject<HTMLTextAreaElement | null>;
  viewer: RefObject<ViewerHandle | null>;
  onNext: () => void;
  onPrevious: () => void;
  onTemplate: () => void;
  onHelp: () => void;
  hideOverlays: (hidden: boolean) => void;
  /** A dialog is open: its own keys only. */
  disabled: boolean;
}

export function useFrameKeys(keys: FrameKeys): void {
  useShortcuts(actionsOf(keys), {
    disabled: keys.disabled,
    onRelease: (action) => action === "toggle-overlays" && keys.hideOverlays(false),
  });
}

export function actionsOf(keys: FrameKeys): Record<ShortcutAction, (key: string) => void> {
  return { ...judgingActions(keys), ...regionActions(keys), ...viewActions(keys) };
}

function judgingActions({ outcome, onWord, change, note, onNext, onPrevious }: FrameKeys) {
  return {
    agree: () => onWord(wordFor("agree", outcome)),
    disagree: () => onWord(wordFor("disagree", outcome)),
    good: () => onWord("good"),
    defective: () => onWord("defective"),
    unsure: () => onWord("unsure"),
    "edit-note": () => note.current?.focus(),
    undo: () => change({ kind: "undo" }),
    redo: () => change({ kind: "redo" }),
    "next-frame": onNext,
    "previous-frame": onPrevious,
  };
}

function regionActions({ regions, classes, mayReview }: FrameKeys) {
  const { current } = regions;
  return {
    "next-region": () => regions.step(1),
    "previous-region": () => regions.step(-1),
    "set-class": (key: string) => {
      const chosen = classes[Number(key) - 1];
      if (current !== null && chosen !== undefined && mayReview)
        regions.setClass(current.region.id, chosen.id);
    },
    "dismiss-region": () => {
      if (current !== null && mayReview) regions.toggleDefect(current.region.id);
    },
    "less-confidence": () => regions.moveScore(-SCORE_STEP),
    "more-confidence": () => regions.moveScore(SCORE_STEP),
  };
}

function viewActions({ regions, viewer, hideOverlays, onTemplate, onHelp }: FrameKeys) {
  return {
    "toggle-overlays": () => hideOverlays(true),
    "fit-region": () => viewer.current?.fitRegion(regions.current?.region ?? null),
    "reset-view": () => viewer.current?.fitAll(),
    "zoom-in": () => viewer.current?.zoom(1),
    "zoom-out": () => viewer.current?.zoom(-1),
    template: onTemplate,
    help: onHelp,
    leave: () => {
      leaveField();
      if (regions.selected !== null) regions.select(null);
    },
  };
}

function leaveField(): void {
  if (document.activeElement instanceof HTMLElement && document.activeElement !== document.body) {
    document.activeElement.blur();
  }
}
