/** Talk to /api/v1 as the signed-in person. Every call has a deadline; every failure becomes an ApiError in words. */
import createClient from "openapi-fetch";

import type { components, paths } from "./schema";
import type { Answer, Frame, Health, IngestAnswer, Review, ReviewChange } from "./types";

const TIMEOUT_MS = 15_000;
/** Requests need whole addresses where no page gives them one, as in tests. */
const ORIGIN = typeof location === "undefined" ? "http://localhost" : location.origin;

export class ApiError extends Error {
  constructor(
    readonly code: string,
    detail: string,
    readonly hint: string,
    readonly status: number,
  ) {
    super(detail);
  }
}

/** What to tell the person about any failure. */
export function sentenceOf(error: unknown): { detail: string; hint: string } {
  if (error instanceof ApiError) return { detail: error.message, hint: error.hint };
  return { detail: "Something went wrong on this page.", hint: "Reload it and try again." };
}

const UNREACHABLE = () =>
  new ApiError("unreachable", "The server does not answer.", "Check the network, and try again.", 0);

/** The error in a response body, whatever the server or a proxy before it made of it. */
export function errorFrom(status: number, body: unknown): ApiError {
  const fields = (typeof body === "object" && body !== null ? body : {}) as Record<string, unknown>;
  const word = (name: string, otherwise: string) =>
    typeof fields[name] === "string" ? fields[name] : otherwise;
  const detail = word("detail", `The server answered with status ${status}.`);
  return new ApiError(word("code", `http_${status}`), detail, word("hint", ""), status);
}

/** Ask with a deadline. Whatever keeps an answer from coming is one error, unless the caller gave up. */
async function ask(request: Request): Promise<Response> {
  const { signal } = request;
  const deadline = AbortSignal.timeout(TIMEOUT_MS);
  return fetch(new Request(request, { signal: AbortSignal.any([signal, deadline]) })).catch(
    (error: unknown) => {
      throw signal.aborted ? error : UNREACHABLE();
    },
  );
}

/** Addresses, parameters and bodies are those of the OpenAPI schema; the compiler refuses any other. */
const rest = createClient<paths>({
  baseUrl: ORIGIN,
  credentials: "same-origin",
  headers: { Accept: "application/json" },
  fetch: ask,
});
rest.use({
  onRequest: ({ request }) => {
    if (request.method !== "GET") request.headers.set("X-CSRFToken", csrfToken());
  },
});

/** What the server answered, with every field; a refusal is thrown in its words. */
async function answer<Data>(
  call: Promise<{ data?: Data; error?: unknown; response: Response }>,
  signal?: AbortSignal,
): Promise<Answer<Data>> {
  const { data, error, response } = await call.catch((failure: unknown) => {
    // Every answer is JSON; one that is not was cut off on its way, by the deadline for example.
    throw failure instanceof ApiError || signal?.aborted === true ? failure : UNREACHABLE();
  });
  if (!response.ok) throw errorFrom(response.status, error);
  return data as Answer<Data>;
}

let csrf = "";
/** The token from the page; set once when an island starts. */
export function setCsrfToken(token: string): void {
  csrf = token;
}
export function csrfToken(): string {
  return csrf;
}

/** The schema says "numbers" where a box is four of them. */
const asFrame = (frame: unknown) => frame as Frame;
const asReview = (review: unknown) => review as Review;
/** A picture is sent as it is; the schema has no other word for it than text. */
const picture = (file: Blob) => ({
  body: file as unknown as { frame: string },
  bodySerializer: (whole: unknown) => whole as Blob,
  headers: { "Content-Type": file.type === "" ? "application/octet-stream" : file.type },
});

type DemoChange = components["schemas"]["DemoChangeRequest"];
export type FrameFilter = NonNullable<paths["/api/v1/frames"]["get"]["parameters"]["query"]>;

export const api = {
  me: (signal?: AbortSignal) => answer(rest.GET("/api/v1/me", opt(signal)), signal),
  health,
  stations: (line: number, signal?: AbortSignal) =>
    answer(rest.GET("/api/v1/stations", { params: { query: { line } }, ...opt(signal) }), signal),
  baseline: (station: number, signal?: AbortSignal) =>
    answer(rest.GET("/api/v1/stations/{station_id}/baseline", { ...of(station), ...opt(signal) }), signal),
  defectClasses: (line: number, signal?: AbortSignal) =>
    answer(rest.GET("/api/v1/defect-classes", { params: { query: { line } }, ...opt(signal) }), signal),
  frame: async (frame: string, signal?: AbortSignal) =>
    asFrame(
      await answer(
        rest.GET("/api/v1/frames/{frame_id}", { params: { path: { frame_id: frame } }, ...opt(signal) }),
        signal,
      ),
    ),
  frames: async (query: FrameFilter, signal?: AbortSignal) => (await api.framePage(query, signal)).frames,
  /** Newest first; `next` is what `before` must be for the page after it. */
  framePage: async (query: FrameFilter, signal?: AbortSignal) => {
    const page = await answer(rest.GET("/api/v1/frames", { params: { query }, ...opt(signal) }), signal);
    return { frames: page.frames.map(asFrame), next: page.next_before };
  },
  frameCounts: (query: FrameFilter) => answer(rest.GET("/api/v1/frames/counts", { params: { query } })),
  review: async (frame: string, { marks, ...said }: ReviewChange, key: string) =>
    asReview(
      await answer(
        rest.POST("/api/v1/frames/{frame_id}/reviews", {
          params: { path: { frame_id: frame }, header: { "Idempotency-Key": key } },
          body: { ...said, marks: marks.map((mark) => ({ ...mark, box_xyxy: [...mark.box_xyxy] })) },
        }),
      ),
    ),
  /** From a picture file, or from a frame of the station. */
  setTemplate: (station: number, from: Blob | { frame: string }) =>
    answer(
      rest.PUT("/api/v1/stations/{station_id}/template", {
        ...of(station),
        ...(from instanceof Blob ? picture(from) : { body: from }),
      }),
    ),
  clearTemplate: (station: number) =>
    answer(rest.DELETE("/api/v1/stations/{station_id}/template", of(station))),
  retry: (frame: string) =>
    answer(rest.POST("/api/v1/frames/{frame_id}/retry", { params: { path: { frame_id: frame } } })),
  fleet: (signal?: AbortSignal) => answer(rest.GET("/api/v1/fleet", opt(signal)), signal),
  nodes: (signal?: AbortSignal) => answer(rest.GET("/api/v1/nodes", opt(signal)), signal),
  dispatches: (limit: number, signal?: AbortSignal) =>
    answer(rest.GET("/api/v1/dispatches", { params: { query: { limit } }, ...opt(signal) }), signal),
  accuracy: (minutes: number, signal?: AbortSignal) =>
    answer(
      rest.GET("/api/v1/dispatches/accuracy", { params: { query: { minutes } }, ...opt(signal) }),
      signal,
    ),
  lateness: (signal?: AbortSignal) => answer(rest.GET("/api/v1/lateness", opt(signal)), signal),
  savings: (minutes: number, signal?: AbortSignal) =>
    answer(rest.GET("/api/v1/savings", { params: { query: { minutes } }, ...opt(signal) }), signal),
  linePolicies: (signal?: AbortSignal) => answer(rest.GET("/api/v1/line-policies", opt(signal)), signal),
  setPolicy: (line: number, policy: string) =>
    answer(
      rest.PUT("/api/v1/lines/{line_id}/policy", { params: { path: { line_id: line } }, body: { policy } }),
    ),
  replays: (signal?: AbortSignal) => answer(rest.GET("/api/v1/replays", opt(signal)), signal),
  replay: (replay: number) => answer(rest.GET("/api/v1/replays/{replay_id}", ofReplay(replay))),
  startReplay: (policy: string, minutes: number) =>
    answer(rest.POST("/api/v1/replays", { body: { policy, minutes } })),
  cancelReplay: (replay: number) => answer(rest.POST("/api/v1/replays/{replay_id}/cancel", ofReplay(replay))),
  drain: (name: string, action: "drain" | "undrain") =>
    answer(rest.POST(`/api/v1/nodes/{name}/${action}`, { params: { path: { name } } })),
  demo: (station: number, signal?: AbortSignal) =>
    answer(rest.GET("/api/v1/stations/{station_id}/demo", { ...of(station), ...opt(signal) }), signal),
  startDemo: (station: number, boardsPerS: number, count: number) =>
    answer(
      rest.POST("/api/v1/stations/{station_id}/demo", {
        ...of(station),
        body: { action: "start", boards_per_s: boardsPerS, count },
      }),
    ),
  stopDemo: (station: number) =>
    answer(
      rest.POST("/api/v1/stations/{station_id}/demo", {
        ...of(station),
        body: { action: "stop" } as DemoChange,
      }),
    ),
};

function of(station: number) {
  return { params: { path: { station_id: station } } };
}

function ofReplay(replay: number) {
  return { params: { path: { replay_id: replay } } };
}

function opt(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}

/** It is no part of the API, and a report that says "down" comes as 503 and is an answer all the same. */
async function health(signal?: AbortSignal): Promise<Health> {
  const address = new URL("/health", ORIGIN);
  const response = await ask(
    new Request(address, {
      headers: { Accept: "application/json" },
      credentials: "same-origin",
      ...opt(signal),
    }),
  );
  const report: unknown = await response.json().catch(() => null);
  if (response.ok && report === null) throw UNREACHABLE();
  const isReport = typeof report === "object" && report !== null && "parts" in report;
  if (!response.ok && !isReport) throw errorFrom(response.status, report);
  return report as Health;
}

export interface UploadOptions {
  station: number;
  key: string;
  onProgress: (sentBytes: number) => void;
  signal: AbortSignal;
}

/** Send one file (picture or zip). XMLHttpRequest, because fetch tells nothing of what has been sent. */
export function upload(
  file: File,
  { station, key, onProgress, signal }: UploadOptions,
): Promise<IngestAnswer> {
  return new Promise((resolve, reject) => {
    const call = new XMLHttpRequest();
    const form = new FormData();
    form.append("file", file, file.name);
    call.open("POST", `/api/v1/stations/${station}/frames`);
    call.setRequestHeader("Accept", "application/json");
    call.setRequestHeader("X-CSRFToken", csrfToken());
    call.setRequestHeader("Idempotency-Key", key);
    call.upload.onprogress = ({ loaded }) => onProgress(loaded);
    call.onload = () => {
      const body = parse(call.responseText) as Partial<IngestAnswer> | null;
      // A refusal may also name the files one by one: those sentences say more than the common one.
      const understood = call.status < 300 || Array.isArray(body?.rejected);
      if (understood) resolve({ frames: body?.frames ?? [], rejected: body?.rejected ?? [] });
      else reject(errorFrom(call.status, body));
    };
    call.onerror = () => reject(UNREACHABLE());
    call.onabort = () => reject(new DOMException("cancelled", "AbortError"));
    signal.addEventListener("abort", () => call.abort());
    call.send(form);
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
