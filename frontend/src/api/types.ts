/** The values that REST and the websockets carry. Knows nothing of how they are fetched or shown. */

export type Outcome = "pass" | "fail" | "hold";
export type Verdict = "accept" | "reject" | "unsure";
/** x0, y0, x1, y1 in pixels of the stored frame; x right, y down. */
export type BoxXyxy = readonly [number, number, number, number];

/** Lines, stations and classes are numbered; frames, regions and descriptions carry UUIDs. */
export interface Named {
  id: number;
  name: string;
}

export interface DefectClass extends Named {
  /** As people read it; may be empty. */
  title?: string;
  colour_index: number;
}

/** What the model wrote (first five) and what the node worked out from the box (last three). */
export interface DescriptionText {
  defect_class?: string;
  appearance?: string;
  probable_cause?: string;
  recommended_action?: string;
  confidence?: number | string | null;
  location?: unknown;
  size?: unknown;
  severity?: unknown;
}

export interface Description {
  id: string | null;
  state: "pending" | "streaming" | "done" | "invalid";
  text: DescriptionText | null;
  partial?: string | null;
  node?: string | null;
  latency_ms?: number | null;
}

export interface Region {
  id: string;
  box_xyxy: BoxXyxy;
  score: number;
  defect_class: DefectClass;
  model: { name: string; version: string };
  node: string | null;
  description: Description | null;
}

export interface Decision {
  outcome: Outcome;
  reason: string;
  code: string;
  decided_at: string;
  latency_ms: number | null;
}

export interface Mark {
  detection: string | null;
  /** Id of the DefectClass. */
  defect_class: number;
  box_xyxy: BoxXyxy;
}

export interface Review {
  id: number;
  reviewer: string;
  verdict: Verdict;
  note: string;
  at: string;
  marks: Mark[];
}

export interface DispatchFact {
  node: string | null;
  predicted_ms: number | null;
  measured_ms: number | null;
}

export interface FrameStep {
  kind: string;
  state: string;
  attempts: number;
  node: string | null;
  error: string | null;
}

export interface Frame {
  id: string;
  station: Named;
  line: Named;
  inspection: number | string | null;
  /** What the sender called it. */
  name?: string;
  part_id: string | null;
  sha256: string;
  width: number;
  height: number;
  bytes: number;
  media_type: string;
  received_at: string;
  captured_at: string | null;
  state: "queued" | "running" | "decided" | "complete";
  decision: Decision | null;
  steps: FrameStep[];
  regions: Region[];
  reviews: Review[];
  dispatches: { detect?: DispatchFact | null; describe?: DispatchFact | null };
  latency_ms: number | null;
  urls: { picture: string; thumbnail: string; template: string | null };
}

export interface Station extends Named {
  line: Named | number;
}

export interface Line extends Named {
  site: Named | string;
}

export interface Me {
  username: string;
  roles: { line: Named | number | string; role: string }[];
  can: Record<string, boolean>;
}

export interface DemoState {
  running: boolean;
  boards_per_s: number | null;
  sent: number | null;
}

export interface Alternative {
  node: string;
  predicted_ms: number | null;
  why_not: string | null;
}

export interface Dispatch {
  id: number;
  sent_at: string;
  model: string;
  node: string | null;
  outcome: "running" | "ok" | "failed" | "late";
  attempt: number;
  reason: string;
  policy: string | null;
  predicted_ms: number | null;
  measured_ms: number | null;
  alternatives: Alternative[];
  error_code?: string | null;
  error_detail?: string | null;
}

export interface NodeModel {
  model: string;
  name: string | null;
  version: string | null;
  runtime: string | null;
}

export interface FleetNode {
  name: string;
  kind: "edge" | "cloud";
  health: "unknown" | "ready" | "unreachable" | "wrong_contract";
  /** Why the node is in this state, in words. */
  health_detail: string;
  draining: boolean;
  capacity: number;
  in_flight: number | null;
  queue: number | null;
  link_ms: number | null;
  breaker: string | null;
  last_ready_at: string | null;
  models: NodeModel[];
}

export interface Refusal {
  name: string;
  code: string;
  detail: string;
  hint: string;
}

export interface IngestAnswer {
  frames: { id: string; sha256: string }[];
  rejected: Refusal[];
}

/** Messages of the viewer socket. Those with `seq` are facts in order; the others are hints and may vanish. */
export interface LineEvent {
  type: string;
  seq: number;
  id: string | null;
  at: string;
  data?: Record<string, unknown>;
}

export interface TokenHint {
  type: "describe.token";
  id: string;
  region: string;
  /** Everything written so far or the newest piece; `n` says how many tokens there are up to here. */
  text: string;
  n: number;
}
