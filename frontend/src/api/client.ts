/** Talk to /api/v1 as the signed-in person. Every call has a deadline; every failure becomes an ApiError in words. */
import type {
  Accuracy,
  DefectClass,
  DemoState,
  Dispatch,
  FleetNode,
  Frame,
  Health,
  IngestAnswer,
  Lateness,
  Savings,
  LinePolicy,
  Me,
  Replay,
  Replays,
  Review,
  ReviewChange,
  Station,
} from "./types";

const TIMEOUT_MS = 15_000;

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

interface RequestOptions {
  signal?: AbortSignal | undefined;
  /** Sent as Idempotency-Key: the same request twice is once. */
  key?: string;
}

async function request<T>(
  method: string,
  path: string,
  body?: unknown,
  { signal, key }: RequestOptions = {},
): Promise<T> {
  const headers: Record<string, string> = { Accept: "application/json" };
  // A file brings its own type; a browser adds it.
  const isFile = body instanceof Blob;
  if (body !== undefined && !isFile) headers["Content-Type"] = "application/json";
  if (isFile && body.type === "") headers["Content-Type"] = "application/octet-stream";
  if (key !== undefined) headers["Idempotency-Key"] = key;
  if (method !== "GET") headers["X-CSRFToken"] = csrfToken();
  const deadline = AbortSignal.timeout(TIMEOUT_MS);
  const response = await fetch(path, {
    method,
    headers,
    credentials: "same-origin",
    signal: signal === undefined ? deadline : AbortSignal.any([signal, deadline]),
    ...(body === undefined ? {} : { body: isFile ? body : JSON.stringify(body) }),
  }).catch((error: unknown) => {
    throw signal?.aborted === true ? error : UNREACHABLE();
  });
  const answer: unknown = await response.json().catch(() => null);
  // Every answer is JSON; one that is not was cut off on its way, by the deadline for example.
  if (response.ok && answer === null) throw UNREACHABLE();
  // A health report that says "down" is an answer, and comes as 503.
  const isReport = typeof answer === "object" && answer !== null && "parts" in answer;
  if (!response.ok && !isReport) throw errorFrom(response.status, answer);
  return answer as T;
}

let csrf = "";
/** The token from the page; set once when an island starts. */
export function setCsrfToken(token: string): void {
  csrf = token;
}
export function csrfToken(): string {
  return csrf;
}

type Query = Record<string, string | number>;

const get = <T>(path: string, signal?: AbortSignal, query: Query = {}): Promise<T> => {
  const pairs = Object.entries(query).map(([key, value]) => [key, String(value)]);
  const search = new URLSearchParams(pairs).toString();
  return request<T>("GET", search === "" ? path : `${path}?${search}`, undefined, { signal });
};
const put = <T>(path: string, body: unknown): Promise<T> => request<T>("PUT", path, body);
const post = <T>(path: string, body: unknown, options?: RequestOptions): Promise<T> =>
  request<T>("POST", path, body, options);

export interface FrameFilter extends Query {
  line: number;
  limit: number;
}

export const api = {
  me: (signal?: AbortSignal) => get<Me>("/api/v1/me", signal),
  health: (signal?: AbortSignal) => get<Health>("/health", signal),
  stations: (line: number, signal?: AbortSignal) => get<Station[]>("/api/v1/stations", signal, { line }),
  defectClasses: (line: number, signal?: AbortSignal) =>
    get<DefectClass[]>("/api/v1/defect-classes", signal, { line }),
  frame: (id: string, signal?: AbortSignal) => get<Frame>(`/api/v1/frames/${id}`, signal),
  frames: async (filter: FrameFilter, signal?: AbortSignal) =>
    (await get<{ frames: Frame[] }>("/api/v1/frames", signal, filter)).frames,
  frameDispatches: (id: string, signal?: AbortSignal) =>
    get<Dispatch[]>(`/api/v1/frames/${id}/dispatches`, signal),
  review: (id: string, review: ReviewChange, key: string) =>
    post<Review>(`/api/v1/frames/${id}/reviews`, review, { key }),
  /** From a picture file, or from a frame of the station. */
  setTemplate: (station: number, from: Blob | { frame: string }) =>
    put<Station>(`/api/v1/stations/${station}/template`, from),
  clearTemplate: (station: number) => request<Station>("DELETE", `/api/v1/stations/${station}/template`),
  retry: (id: string) => post<Frame>(`/api/v1/frames/${id}/retry`, {}),
  nodes: (signal?: AbortSignal) => get<FleetNode[]>("/api/v1/nodes", signal),
  dispatches: (limit: number, signal?: AbortSignal) =>
    get<Dispatch[]>("/api/v1/dispatches", signal, { limit }),
  accuracy: (minutes: number, signal?: AbortSignal) =>
    get<Accuracy>("/api/v1/dispatches/accuracy", signal, { minutes }),
  lateness: (signal?: AbortSignal) => get<Lateness>("/api/v1/lateness", signal),
  savings: (minutes: number, signal?: AbortSignal) => get<Savings>("/api/v1/savings", signal, { minutes }),
  linePolicies: (signal?: AbortSignal) => get<LinePolicy[]>("/api/v1/line-policies", signal),
  setPolicy: (line: number, policy: string) => put<LinePolicy>(`/api/v1/lines/${line}/policy`, { policy }),
  replays: (signal?: AbortSignal) => get<Replays>("/api/v1/replays", signal),
  replay: (id: number) => get<Replay>(`/api/v1/replays/${id}`),
  startReplay: (policy: string, minutes: number) => post<Replay>("/api/v1/replays", { policy, minutes }),
  cancelReplay: (id: number) => post<Replay>(`/api/v1/replays/${id}/cancel`, {}),
  drain: (name: string, action: "drain" | "undrain") =>
    post<FleetNode>(`/api/v1/nodes/${encodeURIComponent(name)}/${action}`, {}),
  demo: (station: number, signal?: AbortSignal) => get<DemoState>(`/api/v1/stations/${station}/demo`, signal),
  startDemo: (station: number, boardsPerS: number, count: number) =>
    post<DemoState>(`/api/v1/stations/${station}/demo`, { action: "start", boards_per_s: boardsPerS, count }),
  stopDemo: (station: number) => post<DemoState>(`/api/v1/stations/${station}/demo`, { action: "stop" }),
};

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
