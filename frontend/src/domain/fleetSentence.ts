/** How the fleet stands, in one sentence for somebody who has one second. Knows no screen. */
import type { FleetNode, Lateness } from "../api/types";
import { inRotation, outBecause } from "./fleetMode";
import { plural } from "./format";

export interface FleetSentence {
  level: "well" | "warning" | "stopped";
  words: string;
}

/** Null while nothing is known yet. `lateness` may come later than the nodes. */
export function fleetSentence(nodes: readonly FleetNode[], lateness: Lateness | null): FleetSentence | null {
  if (nodes.length === 0) return null;
  const out = nodes.filter((node) => !inRotation(node));
  const finders = nodes.filter(({ kind }) => kind === "edge");
  if (!finders.some(inRotation))
    return {
      level: "stopped",
      words: sentence("No node finds defects now: frames wait, and are held at their deadline", lateness),
    };
  const late = lateness?.late ?? 0;
  if (out.length === 0 && late === 0) return { level: "well", words: sentence("All well", lateness, ", ") };
  if (out.length === 0) return { level: "warning", words: sentence("All nodes work", lateness, ", but ") };
  const working = `${nodes.length - out.length} of ${plural(nodes.length, "node")} work`;
  const why = out.map((node) => `${node.name} ${outBecause(node)}`).join(", ");
  return { level: "warning", words: sentence(`${working}: ${why}`, lateness) };
}

function sentence(begin: string, lateness: Lateness | null, join = "; "): string {
  return lateness === null ? `${begin}.` : `${begin}${join}${lateInWords(lateness)} in the last hour.`;
}

function lateInWords({ late, received }: Lateness): string {
  if (received === 0) return "no frames";
  return late === 0 ? "0 late" : `${late} of ${plural(received, "frame")} late`;
}
