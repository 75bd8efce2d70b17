/** Values for tests: a frame and its parts with every field filled, and one place to vary them. */
import type {
  Description,
  Dispatch,
  FleetNode,
  Frame,
  FrameCounts,
  Health,
  Mark,
  Region,
  Replay,
  Review,
} from "./api/types";

export function aRegion(part: Partial<Region> = {}): Region {
  return {
    id: "region-1",
    box_xyxy: [100, 120, 140, 150],
    score: 0.91,
    counts: true,
    sure: false,
    defect_class: { id: 1, name: "open", title: "", colour_index: 0 },
    model: { name: "detector", version: "1" },
    node: "edge-1",
    description: null,
    ...part,
  };
}

export function aDescription(part: Partial<Description> = {}): Description {
  return {
    id: 1,
    state: "done",
    text: null,
    partial: null,
    model: null,
    node: "cloud-1",
    latency_ms: 900,
    ...part,
  };
}

export function aFrame(part: Partial<Frame> = {}): Frame {
  const id = part.id ?? "0001";
  return {
    id,
    station: { id: 1, name: "Camera 1" },
    line: { id: 1, name: "Line A" },
    inspection: 1,
    name: "board.jpg",
    part_id: "B-1",
    sha256: "00",
    width: 640,
    height: 640,
    bytes: 60_000,
    media_type: "image/jpeg",
    bit_depth: 8,
    received_at: "2026-03-02T10:00:00Z",
    captured_at: null,
    state: "complete",
    appearance: null,
    decision: null,
    steps: [],
    regions: [],
    reviews: [],
    dispatches: {},
    latency_ms: null,
    urls: { picture: `/p/${id}`, rendition: `/r/${id}`, thumbnail: `/t/${id}`, template: null },
    ...part,
  };
}

export function aReview(part: Partial<Review> = {}): Review {
  return {
    id: 1,
    reviewer: "alice",
    verdict: "accept",
    part: "defective",
    note: "",
    at: "2026-03-02T10:05:00Z",
    marks: [],
    stands: true,
    contradicts: [],
    ...part,
  };
}

export function aMark(part: Partial<Mark> = {}): Mark {
  return { id: 1, detection: null, defect_class: 1, box_xyxy: [10, 10, 30, 30], from_model: true, ...part };
}

export function aHealth(nodes: Health["parts"]["nodes"], waitingToDescribe = 0): Health {
  return {
    status: "degraded",
    parts: { database: "ok", redis: "ok", workers: "ok", nodes },
    backlog: { waiting_to_detect: 0, waiting_to_describe: waitingToDescribe, dead_letters: 0, undecided: 0 },
  };
}

export function aNode(part: Partial<FleetNode> = {}): FleetNode {
  return {
    name: "edge-1",
    kind: "edge",
    health: "ready",
    health_detail: "",
    draining: false,
    capacity: 2,
    last_ready_at: "2026-03-02T10:42:00Z",
    models: [{ model: "edge_detector", served_model: "detector 1 (openvino)", version: "1", digest: "00" }],
    load: { outstanding: 0, waiting_ms: 0, service_ms: { edge_detector: 38 }, placed_last_minute: 0 },
    link: { rtt_ms: 0.4, bandwidth_bytes_s: null },
    credits: { limit: 3, left: 3 },
    counts: {},
    breaker: "closed",
    last_act: null,
    ...part,
  };
}

export function aDispatch(part: Partial<Dispatch> = {}): Dispatch {
  return {
    id: 1,
    subject: "0001",
    model: "edge_detector",
    attempt: 1,
    node: "edge-1",
    policy: "pct-lb",
    reason: "least predicted completion",
    alternatives: [],
    predicted_ms: 40,
    breakdown: {},
    slack_ms: 14_800,
    measured_ms: null,
    queue_ms: null,
    service_ms: null,
    payload_bytes: 60_000,
    full_bytes: 60_000,
    quality: "",
    sent_at: "2026-03-02T10:42:00Z",
    outcome: "running",
    error_code: "",
    error_detail: "",
    ...part,
  };
}

export function aReplay(part: Partial<Replay> = {}): Replay {
  return {
    id: 1,
    policy: "round-robin",
    since: "2026-03-02T10:27:00Z",
    until: "2026-03-02T10:42:00Z",
    state: "succeeded",
    active: false,
    done: 100,
    total: 100,
    error: "",
    created_at: "2026-03-02T10:42:00Z",
    result: null,
    ...part,
  };
}

export function someCounts(part: Partial<FrameCounts> = {}): FrameCounts {
  return {
    total: 0,
    capped: false,
    disagreements: 0,
    decisions: {},
    verdicts: {},
    stations: [],
    classes: [],
    models: [],
    ...part,
  };
}
