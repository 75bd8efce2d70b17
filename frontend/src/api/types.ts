/** The values that REST and the websockets carry. Knows nothing of how they are fetched or shown. */

export type Outcome = "pass" | "fail" | "hold";
export type Verdict = "accept" | "reject" | "unsure";
/** x0, y0, x1, y1 in pixels of the stored frame; x right, y down. */
export type BoxXyxy = readonly [number, number, number, number];

export interface Named {
  id: string;
  name: string;
}

export interface DefectClass extends Named {
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
  defect_class: string;
  box_xyxy: BoxXyxy;
}

export interface Review {
  id: string;
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
  inspection: string | null;
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
  line: string;
}

export interface Me {
  username: string;
  roles: { line: string; role: string }[];
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
  id: string;
  at: string;
  model: string;
  node: string | null;
  state: string;
  reason: string;
  policy: string | null;
  predicted_ms: number | null;
  measured_ms: number | null;
  alternatives: Alternative[];
}

export interface FleetNode {
  name: string;
  kind: string;
  state: string;
  /** Why the node is in this state, in words. */
  state_reason: string | null;
  draining: boolean;
  breaker: string;
  in_flight: number;
  credits: number | null;
  queue: number | null;
  link_ms: number | null;
  models: { name: string; version: string; runtime: string | null; service_ms: number | null }[];
  last_seen_at: string | null;
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
