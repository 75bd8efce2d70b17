/**
 * The stages of a frame's way as pages show them: the one place that knows their shape. A new stage is one entry.
 * How a stage is requested and committed is the server's business.
 */
import type { Frame, FrameStep } from "../api/types";

export interface Stage {
  kind: string;
  title: string;
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

const KNOWN: Readonly<Record<FrameStep["kind"], Omit<Stage, "kind">>> = {
  detect: {
    title: "Detect",
    did: "Detected",
    icon: "node",
    model: "edge_detector",
    modelTitle: "Detector",
    without: "nothing in rotation finds defects: new frames wait, and are held at their deadline.",
    tookMs: ({ decision }) => decision?.latency_ms ?? null,
  },
  describe: {
    title: "Describe",
    did: "Described",
    icon: "cloud",
    model: "describer",
    modelTitle: "Describer",
    without: "nothing in rotation describes: frames are decided, their descriptions wait.",
    tookMs: ({ regions }) =>
      regions.find(({ description }) => description?.state === "done")?.description?.latency_ms ?? null,
  },
};

export const STAGES: readonly Stage[] = Object.entries(KNOWN).map(([kind, stage]) => ({ kind, ...stage }));

export function stageOfModel(model: string): Stage | null {
  return STAGES.find((stage) => stage.model === model) ?? null;
}
