/** Values for tests: a frame and its parts with every field filled, and one place to vary them. */
import type { Frame, FleetNode, Region } from "./api/types";

export function aRegion(part: Partial<Region> = {}): Region {
  return {
    id: "region-1",
    box_xyxy: [100, 120, 140, 150],
    score: 0.91,
    defect_class: { id: 1, name: "open", colour_index: 0 },
    model: { name: "detector", version: "1" },
    node: "edge-1",
    description: null,
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
    part_id: "B-1",
    sha256: "00",
    width: 640,
    height: 640,
    bytes: 60_000,
    media_type: "image/jpeg",
    received_at: "2026-03-02T10:00:00Z",
    captured_at: null,
    state: "complete",
    decision: null,
    steps: [],
    regions: [],
    reviews: [],
    dispatches: {},
    latency_ms: null,
    urls: { picture: `/p/${id}`, thumbnail: `/t/${id}`, template: null },
    ...part,
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
    in_flight: 0,
    queue: 0,
    link_ms: 0.4,
    breaker: "closed",
    last_ready_at: "2026-03-02T10:42:00Z",
    models: [],
    ...part,
  };
}
