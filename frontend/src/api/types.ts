/**
 * The values that REST and the websockets carry, in the words of the OpenAPI schema (schema.d.ts, generated).
 * Knows nothing of how they are fetched or shown.
 */
import type { components } from "./schema";

type Schemas = components["schemas"];

/** The schema calls a field optional when a request may leave it out; an answer always has it. */
export type Answer<T> = T extends readonly (infer Item)[]
  ? Answer<Item>[]
  : T extends object
    ? { [Key in keyof T]-?: Answer<T[Key]> }
    : T;

/** x1, y1, x2, y2 in pixels of the stored frame; x right, y down. */
export type BoxXyxy = readonly [number, number, number, number];

export type Outcome = Schemas["DecisionOutcomeEnum"];
export type Verdict = Schemas["VerdictEnum"];
export type Line = Answer<Schemas["Line"]>;
export type Station = Answer<Schemas["Station"]>;
export type Baseline = Answer<Schemas["Baseline"]>;
export type FrameCounts = Answer<Schemas["FrameCounts"]>;
export type Me = Answer<Schemas["Me"]>;
export type DemoState = Answer<Schemas["Demo"]>;
export type DefectClass = Answer<Schemas["DefectClassName"]>;
export type Dispatch = Answer<Schemas["Dispatch"]>;
export type FleetNode = Answer<Schemas["Node"]>;
export type Lateness = Answer<Schemas["Lateness"]>;
export type LinePolicy = Answer<Schemas["LinePolicy"]>;
export type Savings = Answer<Schemas["Savings"]>;
export type Accuracy = Answer<Schemas["Accuracy"]>;
export type Replay = Answer<Schemas["Replay"]>;
export type ReplayResult = NonNullable<Replay["result"]>;
export type ReplaySide = ReplayResult["was"];
export type ReplayExample = ReplayResult["examples"][number];
export type Replays = Answer<Schemas["Replays"]>;
export type PredictionPoint = Accuracy["points"][number];
export type FrameStep = Answer<Schemas["Step"]>;
export type Mark = Omit<Answer<Schemas["Mark"]>, "box_xyxy"> & { box_xyxy: BoxXyxy };
export type Review = Omit<Answer<Schemas["Review"]>, "marks"> & { marks: Mark[] };
/** What a person says, as it is sent. */
export type ReviewChange = Omit<Schemas["ReviewChangeRequest"], "marks"> & { marks: readonly MarkChange[] };
export type DispatchFact = Schemas["DispatchFact"];

/** Machine text: the first five fields are the model's, the last three the node's. Any may be missing. */
export type DescriptionText = Schemas["DescriptionText"];
export type Description = Omit<Schemas["Description"], "text"> & { text: DescriptionText | null };

export type Region = Omit<Answer<Schemas["Region"]>, "box_xyxy" | "description"> & {
  box_xyxy: BoxXyxy;
  description: Description | null;
};

/** `dispatches` is by the kind of the step, and empty in lists. */
export type Frame = Omit<Answer<Schemas["Frame"]>, "regions" | "reviews" | "dispatches"> & {
  regions: Region[];
  reviews: Review[];
  dispatches: Readonly<Partial<Record<string, DispatchFact>>>;
};

export type MarkChange = Answer<Omit<Schemas["MarkChangeRequest"], "box_xyxy">> & { box_xyxy: BoxXyxy };
export type Refusal = Omit<Schemas["Rejected"], "retry_after_s">;

export interface IngestAnswer {
  frames: { id: string; sha256: string }[];
  rejected: Refusal[];
}

/** `/health` as a signed-in person gets it. It is no part of the API and so not in the schema. */
export interface Health {
  status: "ok" | "degraded" | "down";
  parts: {
    database: string;
    redis: string;
    workers: string;
    nodes: { kind: string; status: string; name?: string; detail?: string; last_ready_at?: string | null }[];
  };
  backlog?: {
    waiting_to_detect: number;
    waiting_to_describe: number;
    dead_letters: number;
    undecided: number;
  };
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
  /** The newest piece; `n` says how many tokens there are up to here. */
  text: string;
  n: number;
}
