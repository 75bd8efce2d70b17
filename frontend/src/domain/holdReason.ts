/** Why a decision is `hold`, in two or three words for a chip; the whole sentence is the decision's reason. */
import type { Frame } from "../api/types";

const WORDS: Readonly<Record<string, string>> = {
  late: "too late",
  failed: "not inspected",
  product: "no model for this product",
  unlike: "unlike anything known",
  unplaced: "a region outside the picture",
  unscaled: "grey levels uncertain",
};

export function holdWords(decision: Frame["decision"]): string | null {
  if (decision === null || decision.outcome !== "hold") return null;
  return WORDS[decision.code] ?? null;
}
