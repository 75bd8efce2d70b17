/** Say plainly what does not work at the moment and what that means for frames. Knows no screen. */
import type { Health } from "../api/types";
import { clock, plural } from "./format";

export interface Trouble {
  level: "warning" | "stopped";
  sentence: string;
}

type NodeHealth = Health["parts"]["nodes"][number];

/** What a person beside the line must know, worst first; empty when all is well. */
export function troubles({ parts, backlog }: Health, nowMs: number): Trouble[] {
  if (parts.database !== "ok") {
    return [{ level: "stopped", sentence: "The database does not answer: no frames can be taken in." }];
  }
  const waiting = backlog ?? { waiting_to_detect: 0, waiting_to_describe: 0, dead_letters: 0, undecided: 0 };
  const edges = parts.nodes.filter(({ kind }) => kind === "edge");
  const clouds = parts.nodes.filter(({ kind }) => kind === "cloud");
  const found: Trouble[] = [];
  if (parts.workers !== "ok") {
    found.push({ level: "stopped", sentence: "No worker is running: frames are stored and wait." });
  }
  if (noneOf(edges)) {
    const frames = plural(waiting.waiting_to_detect, "frame");
    found.push({
      level: "stopped",
      sentence: `No edge node in reach${since(edges, nowMs)}: ${frames} waiting.`,
    });
  }
  if (noneOf(clouds)) {
    const frames = plural(waiting.waiting_to_describe, "frame");
    found.push({
      level: "warning",
      sentence: `Edge-only: ${cloudIs(clouds, nowMs)}, descriptions of ${frames} pending. Decisions go on.`,
    });
  }
  if (parts.redis !== "ok") {
    found.push({
      level: "warning",
      sentence: "Redis does not answer: live updates may come late. Nothing is lost.",
    });
  }
  return found;
}

/** Why nothing is described now, as the page says it of all cloud nodes together. */
function cloudIs(clouds: readonly NodeHealth[], nowMs: number): string {
  if (clouds.every(({ status }) => status === "draining")) return "every cloud node is drained";
  return `cloud unreachable${since(clouds, nowMs)}`;
}

/** Why a description waits, for the frame's own place; null when nothing is in its way. */
export function descriptionsWaitFor(health: Health): string | null {
  const clouds = health.parts.nodes.filter(({ kind }) => kind === "cloud");
  if (!noneOf(clouds)) return null;
  return clouds.every(({ status }) => status === "draining") ? "cloud drained" : "cloud unreachable";
}

function noneOf(nodes: readonly NodeHealth[]): boolean {
  return nodes.length > 0 && nodes.every(({ status }) => status !== "ready");
}

function since(nodes: readonly NodeHealth[], nowMs: number): string {
  const seen = nodes.flatMap(({ last_ready_at }) =>
    typeof last_ready_at === "string" ? [last_ready_at] : [],
  );
  const latest = seen.sort().at(-1);
  return latest === undefined ? "" : ` since ${clock(latest, nowMs)}`;
}
