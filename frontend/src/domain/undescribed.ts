/** Why a region has no description (yet), in one sentence for Live and Frame. Knows no screen. */
import type { Description, Region } from "../api/types";

type State = Description["state"];
const NOT_YET: ReadonlySet<State> = new Set(["pending", "streaming", "skipped"]);

/** Null where there is a description, or none will ever be. `waitFor`: what keeps all that wait, if anything does. */
export function whyUndescribed(region: Region, waitFor: string | null = null): string | null {
  const { description, sure } = region;
  if (description === null || !NOT_YET.has(description.state)) return null;
  if (description.state === "skipped") return "Not described: the edge is sure, and the cloud was too slow";
  if (description.state === "streaming") return `Being described on ${description.node ?? "a node"}`;
  if (waitFor !== null) return `Description pending: ${waitFor}`;
  return sure ? "Description later: the edge is sure, so others come first" : "Description pending";
}
