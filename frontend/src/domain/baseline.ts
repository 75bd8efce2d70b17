/** When a station's first frames need a person's word, and what to say of it. Knows no screen. */
import type { Baseline, Frame } from "../api/types";

/** So many frames a person can confirm: the server's rule. */
const FEWEST_CONFIRMED = 20;

/** What holds frames of this station for being unlike anything known; null where nothing does. */
export function baselineTrouble(baseline: Baseline, station: number, shown: readonly Frame[]): string | null {
  if (baseline.state === "waiting") {
    return (
      `its first ${baseline.collected} frames are unlike what the model was trained on, ` +
      "so frames like them are held."
    );
  }
  const held = shown.some((frame) => frame.station.id === station && frame.decision?.code === "unlike");
  if (baseline.state !== "collecting" || !held) return null;
  const ready = baseline.collected >= FEWEST_CONFIRMED;
  return (
    `frames are held as unlike anything known. ${baseline.collected} of its first ${baseline.wanted} are ` +
    (ready ? "collected." : `collected; from ${FEWEST_CONFIRMED} on they can be confirmed.`)
  );
}
