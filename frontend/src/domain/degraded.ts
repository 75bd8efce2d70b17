/** Say plainly what does not work at the moment and what that means for frames. Knows no screen. */
import type { FleetNode } from "../api/types";
import { clock, plural } from "./format";

export interface Trouble {
  level: "warning" | "stopped";
  sentence: string;
}

export function isReachable(node: FleetNode): boolean {
  return node.health === "ready";
}

/** What a person beside the line must know, worst first; empty when all is well. */
export function troubles(nodes: readonly FleetNode[], pendingDescriptions: number, nowMs: number): Trouble[] {
  const found: Trouble[] = [];
  const edges = nodes.filter(({ kind }) => kind === "edge");
  const clouds = nodes.filter(({ kind }) => kind === "cloud");
  if (edges.length > 0 && !edges.some(isReachable)) {
    found.push({
      level: "stopped",
      sentence: `No edge node answers${since(edges, nowMs)}: frames are stored and wait.`,
    });
  }
  if (clouds.length > 0 && !clouds.some(isReachable)) {
    const pending = `${plural(pendingDescriptions, "description")} pending`;
    found.push({
      level: "warning",
      sentence: `Cloud unreachable${since(clouds, nowMs)}: ${pending}. Decisions go on.`,
    });
  }
  return found;
}

function since(nodes: readonly FleetNode[], nowMs: number): string {
  const seen = nodes.map((node) => node.last_ready_at).filter((at) => at !== null);
  const latest = seen.sort().at(-1);
  return latest === undefined ? "" : ` since ${clock(latest, nowMs)}`;
}
