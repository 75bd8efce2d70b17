/**
 * Made-up answers for `npm run dev` (open /dev/live.html, /dev/frame.html, /dev/fleet.html): the pages without a
 * server. Never part of a build. `?state=empty|error|degraded` shows the other faces of a page.
 */
import type { Description, Frame, Health, Region } from "../src/api/types";
import { aDescription, aDispatch, aFrame, aHealth, aNode, aRegion, aReplay } from "../src/testing";

const state = new URLSearchParams(location.search).get("state") ?? "full";
const CLASSES = ["open", "short", "mousebite", "spur", "copper", "pin-hole"].map((name, index) => ({
  id: index + 1,
  name,
  title: "",
  colour_index: index,
}));
const line = { id: 1, name: "Bare boards", site: { id: 1, name: "Demo plant" }, policy: "pct-lb" };
const can = {
  see: true,
  upload: true,
  review: true,
  retry: true,
  run_demo: true,
  configure: true,
  manage_fleet: true,
  manage_access: true,
};
const boot = {
  me: { username: "admin", roles: [], can },
  line,
  lines: [line],
  frame: "frame-09",
  newer: "frame-10",
  older: "frame-08",
  may_manage_fleet: true,
  may_replay: true,
  csrf: "",
};
const bootElement = document.createElement("script");
bootElement.id = "boot";
bootElement.type = "application/json";
bootElement.textContent = JSON.stringify(boot);
document.head.append(bootElement);

/** A bare board, drawn: traces and pads on laminate. */
function board(seed: number): string {
  const lines: string[] = [];
  let value = seed * 7919 + 17;
  const next = (below: number) => (value = (value * 48271) % 2147483647) % below;
  for (let i = 0; i < 26; i++) {
    const [x, y, length] = [next(60) * 10 + 20, next(60) * 10 + 20, next(30) * 10 + 60];
    const end = i % 2 === 0 ? `h${length}` : `v${length}`;
    lines.push(`<path d="M${x} ${y}${end}l40 40" stroke="rgb(196 138 84)" stroke-width="9" fill="none"/>`);
    lines.push(
      `<circle cx="${x}" cy="${y}" r="13" fill="rgb(196 138 84)"/><circle cx="${x}" cy="${y}" r="5" fill="rgb(26 58 44)"/>`,
    );
  }
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="640" height="640"><rect width="640" height="640" fill="rgb(30 74 54)"/>${lines.join("")}</svg>`;
  return `data:image/svg+xml,${encodeURIComponent(svg)}`;
}

const TEXTS: Partial<Description>[] = [
  {
    text: {
      defect_class: "open",
      appearance:
        "The horizontal trace is interrupted: a gap about half the trace width separates two copper ends.",
      probable_cause: "Over-etching, or a particle on the photoresist during exposure.",
      recommended_action: "Reject the board; check the resist for particles.",
      confidence: 0.93,
      location: "upper left",
      size: "38 x 26 px (0.24 % of the frame)",
      severity: "moderate",
    },
  },
  { state: "pending", id: null, node: null, latency_ms: null },
  { state: "invalid", partial: '{"defect_class": "short", "appearance": 7' },
];

function region(frame: number, index: number): Region {
  const x = 90 + ((frame * 97 + index * 181) % 440);
  const y = 80 + ((frame * 53 + index * 139) % 460);
  const description =
    frame === 10
      ? aDescription({ state: "streaming", id: null })
      : aDescription(TEXTS[(frame + index) % 5] ?? TEXTS[0]);
  const defectClass = CLASSES[(frame + index) % 6] ?? CLASSES[0];
  return aRegion({
    id: `region-${frame}-${index}`,
    box_xyxy: [x, y, x + 34 + index * 6, y + 28 + frame],
    score: 0.97 - index * 0.13,
    counts: index < 3,
    node: frame % 3 === 0 ? "edge-2" : "edge-1",
    description,
    ...(defectClass === undefined ? {} : { defect_class: defectClass }),
  });
}

function frame(n: number): Frame {
  const found = n % 4 === 3 ? 0 : 1 + (n % 4);
  const outcome = n === 2 ? "hold" : found === 0 ? "pass" : "fail";
  const reason = {
    pass: "No region reached its threshold.",
    fail: "open 97 % reached its threshold of 50 %.",
    hold: "No node answered before the deadline of 15 s.",
  }[outcome];
  const id = `frame-${String(n).padStart(2, "0")}`;
  return aFrame({
    id,
    name: `board-${String(4200 + n)}.jpg`,
    part_id: null,
    line,
    station: { id: 1, name: "Camera 1" },
    received_at: new Date(Date.now() - (12 - n) * 7000).toISOString(),
    state: n === 11 ? "running" : "complete",
    decision:
      n === 11
        ? null
        : { outcome, reason, code: "defect", decided_at: new Date().toISOString(), latency_ms: 61 + n * 9 },
    regions: n === 11 ? [] : Array.from({ length: found }, (_, index) => region(n, index)),
    reviews:
      n === 8
        ? [
            {
              id: 1,
              reviewer: "alice",
              verdict: "accept",
              part: "defective",
              stands: true,
              contradicts: [],
              note: "Clear break of the trace.",
              at: new Date(Date.now() - 60_000).toISOString(),
              marks: [],
            },
          ]
        : [],
    steps: [
      {
        kind: "detect",
        title: "Detect",
        result: {},
        state: n === 11 ? "running" : "done",
        attempts: 1,
        node: n % 3 === 0 ? "edge-2" : "edge-1",
        error: null,
      },
      {
        kind: "describe",
        title: "Describe",
        result: {},
        state: n >= 10 ? "running" : "done",
        attempts: 1,
        node: "cloud-1",
        error: null,
      },
    ],
    dispatches: {
      detect: { node: "edge-1", predicted_ms: 42.1, measured_ms: 44.9, quality: "" },
      describe: { node: "cloud-1", predicted_ms: 810, measured_ms: 942, quality: "JPEG 75" },
    },
    urls: {
      picture: board(n),
      rendition: board(n),
      thumbnail: board(n),
      template: n === 9 ? board(n) : null,
    },
  });
}

const frames = state === "empty" ? [] : Array.from({ length: 12 }, (_, n) => frame(11 - n));
const nodes = [
  aNode({
    load: { outstanding: 1, waiting_ms: 12, service_ms: { edge_detector: 38.2 }, placed_last_minute: 214 },
  }),
  aNode({
    name: "edge-2",
    draining: state === "degraded",
    load: { outstanding: 0, waiting_ms: 0, service_ms: { edge_detector: 121 }, placed_last_minute: 61 },
  }),
  aNode({
    name: "cloud-1",
    kind: "cloud",
    health: state === "degraded" ? "unreachable" : "ready",
    health_detail: state === "degraded" ? "No answer within 2 s." : "",
    breaker: state === "degraded" ? "open" : "closed",
    link: { rtt_ms: 41.3, bandwidth_bytes_s: null },
    models: [{ model: "describer", served_model: "aivd-small 1 (torch)", version: "1", digest: "00" }],
    load: { outstanding: 2, waiting_ms: 840, service_ms: { describer: 410 }, placed_last_minute: 38 },
  }),
];
const dispatches = Array.from({ length: 14 }, (_, index) =>
  aDispatch({
    id: 100 - index,
    node: index % 3 === 1 ? "cloud-1" : index % 3 === 2 ? "edge-2" : "edge-1",
    model: index % 3 === 1 ? "describer" : "edge_detector",
    sent_at: new Date(Date.now() - index * 2600).toISOString(),
    reason:
      index % 3 === 1
        ? "cloud-1: 812 ms predicted (upload 10, wait 320, service 410, round trip 72)"
        : "edge-1: 42 ms predicted (upload 2, wait 0, service 38, round trip 2)",
    predicted_ms: index % 3 === 1 ? 812 : 42,
    slack_ms: index === 7 ? 20 : 14_800,
    alternatives:
      index % 3 === 1
        ? []
        : [
            {
              node: index % 3 === 2 ? "edge-1" : "edge-2",
              predicted_ms: 128,
              why_not: "slower: 121 ms service",
            },
          ],
    measured_ms: index === 0 ? null : (index % 3 === 1 ? 800 : 38) + index * 2,
    outcome: index === 0 ? "running" : index === 5 ? "failed" : "ok",
  }),
);
const points = Array.from({ length: 240 }, (_, n) => {
  const describer = n % 4 === 0;
  const predicted = describer ? 300 + ((n * 37) % 700) : 36 + ((n * 13) % 120);
  const measured = predicted * (0.72 + ((n * 29) % 60) / 100);
  return {
    id: n,
    node: describer ? "cloud-1" : `edge-${1 + (n % 2)}`,
    model: describer ? "describer" : "edge_detector",
    predicted_ms: predicted,
    measured_ms: measured,
  };
});
const figures = { count: 80, median_error_ms: -3.1, median_off_ms: 7.4, p95_off_ms: 31 };
const accuracy = {
  minutes: 15,
  all: { count: 240, median_error_ms: -2, median_off_ms: 9.1, p95_off_ms: 120 },
  by_node: [
    {
      node: "cloud-1",
      model: "describer",
      count: 60,
      median_error_ms: 22,
      median_off_ms: 81,
      p95_off_ms: 240,
    },
    { node: "edge-1", model: "edge_detector", ...figures },
    { node: "edge-2", model: "edge_detector", ...figures },
  ],
  points,
};
const linePolicies = [
  {
    line: 1,
    name: "Bare boards",
    site: "Demo plant",
    policy: "pct-lb",
    may_change: true,
    available: [
      {
        name: "pct-lb",
        about: "Predicted completion, late binding, admission: the policy this project recommends.",
      },
      { name: "round-robin", about: "Round robin: each Node in turn." },
    ],
    changes: [
      {
        before: "round-robin",
        after: "pct-lb",
        by: "alice",
        at: new Date(Date.now() - 720_000).toISOString(),
      },
    ],
  },
];
const replay = aReplay({
  result: {
    looks: 812,
    decisions: 1204,
    same_node: 511,
    recorded_by: { "pct-lb": 1204 },
    was: {
      sent: 1204,
      not_sent: {},
      in_time_share: 0.993,
      p50_predicted_ms: 44,
      p95_predicted_ms: 812,
      by_node: { "edge-1": 701, "edge-2": 201, "cloud-1": 302 },
    },
    would: {
      sent: 1190,
      not_sent: { wait: 14 },
      in_time_share: 0.871,
      p50_predicted_ms: 121,
      p95_predicted_ms: 1240,
      by_node: { "edge-1": 445, "edge-2": 443, "cloud-1": 302 },
    },
    median_change_ms: 77,
    unreadable: 0,
    left_out: 0,
    examples: Array.from({ length: 14 }, (_, n) => ({
      at: Date.now() / 1000 - n * 31,
      item: String(n),
      model: "edge_detector",
      slack_ms: 14_800,
      was: { action: "send", node: "edge-1", predicted_ms: 44 },
      would: { action: "send", node: "edge-2", predicted_ms: 310 - n * 9 },
      change_ms: 266 - n * 9,
    })),
  },
});
const health: Health = aHealth(
  nodes.map(({ kind, health: status, name, last_ready_at }) => ({ kind, status, name, last_ready_at })),
  state === "degraded" ? 37 : 0,
);

function answer(path: string): unknown {
  if (path === "/health") return health;
  if (path.includes("/stations?")) return [{ id: 1, name: "Camera 1", line }];
  if (path.includes("/demo"))
    return {
      state: "none",
      running: false,
      boards_per_s: 0,
      count: 0,
      sent: 0,
      accepted: 0,
      refused: 0,
      error: "",
    };
  if (path.includes("/defect-classes")) return CLASSES;
  if (path.includes("/reviews")) return {};
  if (path.includes("/frames?")) return { frames, next_before: null };
  if (path.includes("/frames/")) return frames.find(({ id }) => path.includes(id)) ?? frames[2];
  if (path.includes("/accuracy"))
    return state === "empty"
      ? { ...accuracy, all: { ...accuracy.all, count: 0 }, by_node: [], points: [] }
      : accuracy;
  if (path.endsWith("/replays"))
    return state === "empty"
      ? { available: linePolicies[0]?.available, runs: [] }
      : { available: linePolicies[0]?.available, runs: [replay] };
  if (path.includes("/replays/")) return replay;
  if (path.includes("/line-policies")) return linePolicies;
  if (path.includes("/policy")) return { ...linePolicies[0], policy: "round-robin" };
  if (path.includes("/drain")) return { ...nodes[1], draining: true };
  if (path.includes("/undrain")) return { ...nodes[1], draining: false };
  if (path.includes("/nodes")) return state === "empty" ? [] : nodes;
  if (path.includes("/dispatches")) return state === "empty" ? [] : dispatches;
  return {};
}

window.fetch = (input) => {
  const path =
    typeof input === "string"
      ? input
      : input instanceof URL
        ? input.pathname
        : input.url.replace(location.origin, "");
  if (state === "error")
    return Promise.resolve(
      Response.json(
        { code: "unavailable", detail: "The database is not reachable.", hint: "Try again in a moment." },
        { status: 503 },
      ),
    );
  return Promise.resolve(Response.json(answer(path)));
};

const WORDS = [
  '{"defect_class"',
  ': "short"',
  ', "appearance"',
  ': "A bridge',
  " of copper",
  " joins",
  " two",
  " nets",
  " beside",
  " the pad",
];

class MockSocket extends EventTarget {
  binaryType = "";
  bufferedAmount = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  private timer = 0;
  constructor(url: string) {
    super();
    if (state === "error") setTimeout(() => this.onclose?.({ code: 1006 }), 50);
    else setTimeout(() => this.begin(url), 50);
  }
  private begin(url: string): void {
    this.onopen?.();
    const tell = (message: object) => this.onmessage?.({ data: JSON.stringify(message) });
    if (url.includes("/stream")) tell({ type: "credit", window: 8 });
    else tell({ type: "hello", head_seq: 0, epoch: "a" });
    let n = 0;
    this.timer = window.setInterval(() => {
      tell({ type: "head", seq: 0 });
      const text = WORDS[n];
      if (text !== undefined)
        tell({ type: "describe.token", id: "frame-10", region: "region-10-0", text, n: ++n });
    }, 150);
  }
  send(): void {}
  close(): void {
    clearInterval(this.timer);
  }
}
window.WebSocket = MockSocket as unknown as typeof WebSocket;
