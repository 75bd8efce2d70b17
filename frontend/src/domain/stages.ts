/**
 * What pages add to the stages of a frame's way: icon, wording, what it means that no node serves one. A stage that has
 * no entry here is shown all the same, with the title and the result that the server gives each step.
 */
import type { Frame } from "../api/types";

export interface Stage {
  kind: string;
  /** In a row that knows the model only: "detect". */
  word: string;
  /** "Detected on edge-1": what a node did. */
  did: string;
  icon: "node" | "cloud";
  /** The model that it asks, as nodes and decisions name it. */
  model: string;
  modelTitle: string;
  /** What it means that no node in rotation serves the model. */
  without: string;
  /** How long it took on this frame, where a list of frames says so. */
  tookMs: (frame: Frame) => number | null;
}

export const STAGES: readonly Stage[] = [
  {
    kind: "detect",
    word: "detect",
    did: "Detected",
    icon: "node",
    model: "edge_detector",
    modelTitle: "Detector",
    without: "nothing in rotation finds defects: new frames wait, and are held at their deadline.",
    tookMs: ({ decision }) => decision?.latency_ms ?? null,
  },
  {
    kind: "describe",
    word: "describe",
    did: "Described",
    icon: "cloud",
    model: "describer",
    modelTitle: "Describer",
    without: "nothing in rotation describes: frames are decided, their descriptions wait.",
    tookMs: ({ regions }) =>
      regions.find(({ description }) => description?.state === "done")?.description?.latency_ms ?? null,
  },
];

export function stageOfModel(model: string): Stage | null {
  return STAGES.find((stage) => stage.model === model) ?? null;
}
