/** Datasets, runs and models by REST, in the types of the schema. */
import { ApiError, csrfToken, errorFrom } from "../../api/client";
import type { components } from "../../api/schema";
import type { Answer } from "../../api/types";

type Schemas = components["schemas"];
export type Dataset = Answer<Schemas["Dataset"]>;
export type WholeDataset = Answer<Schemas["WholeDataset"]>;
export type ImportJob = Answer<Schemas["Import"]>;
export type ImportWithTroubles = Answer<Schemas["ImportWithTroubles"]>;
export type DatasetVersion = Answer<Schemas["DatasetVersion"]>;
export type Run = Answer<Schemas["Run"]>;
export type RunKind = Answer<Schemas["RunKind"]>;
export type RunEvent = Answer<Schemas["RunEvent"]>;
export type ModelVersion = Answer<Schemas["ModelVersion"]>;
export type Corrections = Answer<Schemas["Corrections"]>;
export type Gate = Schemas["Gate"];

/** The trainer's preview.json, as `finetune/training/lora/preview.py` writes it. */
export interface PreviewShown {
  estimate: Record<string, number | undefined>;
  places: { train: number; validation: number };
  crops: readonly PreviewCrop[];
}
export interface PreviewCrop {
  picture: string;
  frame: string;
  defect_class: string;
  question: string;
  answer: Readonly<Record<string, string>>;
  hint: readonly [string, number] | null;
  template: boolean;
}
export type Preview = Omit<Answer<Schemas["Preview"]>, "shown"> & { shown: PreviewShown | null };

const TIMEOUT_MS = 15_000;
export const MOST_EVENTS = 2000;
/** A zip of a few hundred MB over a factory's network. */
const UPLOAD_TIMEOUT_MS = 30 * 60_000;

async function ask<T>(method: string, path: string, body?: unknown): Promise<T> {
  const file = body instanceof Blob;
  const headers: Record<string, string> = { Accept: "application/json" };
  if (method !== "GET") headers["X-CSRFToken"] = csrfToken();
  if (body !== undefined) headers["Content-Type"] = file ? "application/zip" : "application/json";
  const request = new Request(new URL(`/api/v1/${path}`, location.origin), {
    method,
    headers,
    credentials: "same-origin",
    signal: AbortSignal.timeout(file ? UPLOAD_TIMEOUT_MS : TIMEOUT_MS),
    ...(body === undefined ? {} : { body: file ? body : JSON.stringify(body) }),
  });
  const response = await fetch(request).catch(() => {
    throw new ApiError("unreachable", "The server does not answer.", "Check the network, and try again.", 0);
  });
  const answer: unknown = await response.json().catch(() => null);
  if (!response.ok || answer === null) throw errorFrom(response.status, answer);
  return answer as T;
}

export interface ImportChoice {
  format: string;
  add_classes: boolean;
  unlabelled: string;
}

export const learning = {
  datasets: () => ask<Dataset[]>("GET", "datasets"),
  dataset: (id: number) => ask<WholeDataset>("GET", `datasets/${id}`),
  make: (line: number, name: string, product: string) =>
    ask<WholeDataset>("POST", "datasets", { line, name, product }),
  send: (dataset: number, file: File, { format, add_classes, unlabelled }: ImportChoice) => {
    const query = new URLSearchParams({ format, name: file.name, add_classes: String(add_classes) });
    if (unlabelled !== "") query.set("unlabelled", unlabelled);
    return ask<ImportJob>("POST", `datasets/${dataset}/imports?${query}`, file);
  },
  import: (id: number) => ask<ImportWithTroubles>("GET", `imports/${id}`),
  cancelImport: (id: number) => ask<ImportJob>("POST", `imports/${id}/cancel`, {}),
  resumeImport: (id: number) => ask<ImportJob>("POST", `imports/${id}/resume`, {}),
  addReviewed: (dataset: number) => ask<{ changed: number }>("POST", `datasets/${dataset}/reviewed`, {}),
  seal: (dataset: number, accept_gaps: boolean) =>
    ask<DatasetVersion>("POST", `datasets/${dataset}/versions`, { accept_gaps }),
  kinds: () => ask<RunKind[]>("GET", "run-kinds"),
  runs: () => ask<Run[]>("GET", "runs"),
  events: (run: string, after: number) =>
    ask<RunEvent[]>("GET", `runs/${run}/events?after=${after}&limit=${MOST_EVENTS}`),
  launch: (order: Schemas["NewRunRequest"]) => ask<Run>("POST", "runs", order),
  act: (run: string, act: "pause" | "cancel" | "resume") => ask<Run>("POST", `runs/${run}/${act}`, {}),
  askPreview: (order: Schemas["NewPreviewRequest"]) => ask<Preview>("POST", "run-previews", order),
  preview: (id: string) => ask<Preview>("GET", `run-previews/${id}`),
  corrections: () => ask<Corrections[]>("GET", "new-corrections"),
  promote: (version: number, reason: string) =>
    ask<Schemas["Serving"]>("POST", `model-versions/${version}/promote`, { reason }),
  rollBack: (line: number, kind: ModelVersion["kind"]) =>
    ask<Schemas["Serving"]>("POST", `lines/${line}/roll-back`, { kind }),
  shadow: (version: number) =>
    ask<Answer<Schemas["ShadowReport"]>>("GET", `model-versions/${version}/shadow`),
  startShadow: (version: number, share: number) =>
    ask<Schemas["ShadowTrial"]>("POST", `model-versions/${version}/shadow`, { share }),
  endShadow: (version: number) => ask<Schemas["ShadowTrial"]>("DELETE", `model-versions/${version}/shadow`),
  models: () => ask<ModelVersion[]>("GET", "model-versions"),
};

/** Whether work in that state may still change by itself. */
export function isOpen(state: string | undefined): boolean {
  return state === "queued" || state === "running";
}
