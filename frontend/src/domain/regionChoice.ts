/** Which regions of a frame are shown, in which order, and which one is selected next. Knows no screen. */
import type { RegionState } from "./regionState";

export const SCORE_STEP = 0.05;
const HIGHEST_SCORE = 0.95;

/** What counts first, in the order of the scores; then what lies below its threshold. */
export function shownFrom(states: readonly RegionState[], minScore: number): RegionState[] {
  const sure = states.filter(({ region }) => region.score >= minScore);
  return [...sure.filter(({ region }) => region.counts), ...sure.filter(({ region }) => !region.counts)];
}

/** The region after (1) or before (-1) the selected one, round and round; from none, the first or the last. */
export function nextRegion(
  shown: readonly RegionState[],
  selected: string | null,
  by: 1 | -1,
): string | null {
  const at = shown.findIndex(({ region }) => region.id === selected);
  const from = at === -1 && by === -1 ? 0 : at;
  return shown[(from + by + shown.length) % Math.max(1, shown.length)]?.region.id ?? null;
}

/** The least score that is shown, moved by `by` and kept where a slider can show it. */
export function movedScore(score: number, by: number): number {
  return Math.min(HIGHEST_SCORE, Math.max(0, Math.round((score + by) * 100) / 100));
}
