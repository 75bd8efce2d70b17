/** The regions of a frame as they stand, which are shown, which one is selected, and how a person changes them. */
import { useCallback, useMemo, useState } from "react";

import type { DefectClass, Frame, Region } from "../../api/types";
import { movedScore, nextRegion, shownFrom } from "../../domain/regionChoice";
import { drawnIn, statesOf, type DrawnState, type RegionState } from "../../domain/regionState";
import type { DraftChange, ReviewDraft } from "../../domain/reviewDraft";

export interface Regions {
  /** Those confident enough to be shown, what counts first. */
  shown: readonly RegionState[];
  drawn: readonly DrawnState[];
  minScore: number;
  setMinScore: (score: number) => void;
  moveScore: (by: number) => void;
  selected: string | null;
  /** The selected one, if it is shown. */
  current: RegionState | null;
  select: (region: string | null) => void;
  step: (by: 1 | -1) => void;
  setClass: (region: string, defectClass: number) => void;
  toggleDefect: (region: string) => void;
  /** Its place in the frame's own order, from 1: the number on the picture and in the list. */
  numberOf: (region: Region) => number;
}

export function useRegions(
  frame: Frame,
  draft: ReviewDraft,
  change: (change: DraftChange) => void,
  classes: readonly DefectClass[],
): Regions {
  const [minScore, setMinScore] = useState(0);
  const [selected, select] = useState<string | null>(null);
  const states = useMemo(() => statesOf(frame, draft, classes), [frame, draft, classes]);
  const drawn = useMemo(() => drawnIn(frame.reviews, classes), [frame.reviews, classes]);
  const shown = useMemo(() => shownFrom(states, minScore), [states, minScore]);
  const numberOf = useCallback(
    (region: Region) => frame.regions.findIndex(({ id }) => id === region.id) + 1,
    [frame.regions],
  );
  const withState = (id: string, act: (state: RegionState) => void) => {
    const found = states.find(({ region }) => region.id === id);
    if (found !== undefined) act(found);
  };
  return {
    shown,
    drawn,
    minScore,
    setMinScore,
    moveScore: (by) => setMinScore((score) => movedScore(score, by)),
    selected,
    current: shown.find(({ region }) => region.id === selected) ?? null,
    select,
    step: (by) => select(nextRegion(shown, selected, by)),
    setClass: (region, defectClass) =>
      withState(region, ({ before }) => change({ kind: "class", region, defectClass, before })),
    toggleDefect: (region) =>
      withState(region, ({ defect, before }) => change({ kind: "defect", region, defect: !defect, before })),
    numberOf,
  };
}
