/**
 * Files on their way to a station: a few at a time, each with progress, cancel and its errors in words.
 * Knows no network: `send` comes in by the door.
 */
import type { IngestAnswer, Refusal } from "../api/types";
import { Store } from "./store";

export type UploadState = "waiting" | "sending" | "done" | "failed" | "cancelled";

export interface UploadItem<F> {
  id: number;
  file: F;
  name: string;
  bytes: number;
  sentBytes: number;
  state: UploadState;
  /** It failed on the way; what the server refused will not become better by sending it again. */
  retryable: boolean;
  /** Frames that were stored from this file; a zip may hold many. */
  stored: number;
  errors: readonly Pick<Refusal, "name" | "detail" | "hint">[];
}

export interface SendOptions {
  /** The same for every attempt of one file, so that trying again cannot store it twice. */
  key: string;
  onProgress: (sentBytes: number) => void;
  signal: AbortSignal;
}

export interface UploadEffects<F> {
  send: (file: F, options: SendOptions) => Promise<IngestAnswer>;
  describe: (error: unknown) => { detail: string; hint: string };
  newKey: () => string;
}

export class UploadQueue<F extends { name: string; size: number }> extends Store<readonly UploadItem<F>[]> {
  private readonly keys = new Map<number, string>();
  private readonly aborts = new Map<number, AbortController>();
  private nextId = 1;

  constructor(
    private readonly effects: UploadEffects<F>,
    private readonly atATime = 3,
  ) {
    super([]);
  }

  add(files: readonly F[]): void {
    const added = files.map((file): UploadItem<F> => {
      const id = this.nextId++;
      this.keys.set(id, this.effects.newKey());
      return {
        id,
        file,
        name: file.name,
        bytes: file.size,
        sentBytes: 0,
        state: "waiting",
        retryable: false,
        stored: 0,
        errors: [],
      };
    });
    this.replace([...this.state, ...added]);
    this.pump();
  }

  cancel(id: number): void {
    this.update(id, (item) => (isOpen(item) ? { ...item, state: "cancelled" } : item));
    this.aborts.get(id)?.abort();
    this.pump();
  }

  cancelAll(): void {
    for (const item of this.state.filter(isOpen)) this.cancel(item.id);
  }

  again(id: number): void {
    this.update(id, (item) =>
      isOpen(item) ? item : { ...item, state: "waiting", sentBytes: 0, errors: [] },
    );
    this.pump();
  }

  /** Take what has ended off the list. */
  clear(): void {
    this.replace(this.state.filter(isOpen));
  }

  private pump(): void {
    const sending = this.state.filter(({ state }) => state === "sending").length;
    const next = this.state
      .filter(({ state }) => state === "waiting")
      .slice(0, Math.max(0, this.atATime - sending));
    for (const item of next) void this.send(item);
  }

  private async send({ id, file }: UploadItem<F>): Promise<void> {
    const abort = new AbortController();
    this.aborts.set(id, abort);
    this.update(id, (item) => ({ ...item, state: "sending" }));
    const onProgress = (sentBytes: number) => {
      this.update(id, (item) => ({ ...item, sentBytes: Math.min(sentBytes, item.bytes) }));
    };
    try {
      const answer = await this.effects.send(file, {
        key: this.keys.get(id) ?? "",
        onProgress,
        signal: abort.signal,
      });
      this.settle(id, answered(answer));
    } catch (error) {
      const { detail, hint } = this.effects.describe(error);
      this.settle(id, { state: "failed", retryable: true, errors: [{ name: file.name, detail, hint }] });
    }
    this.aborts.delete(id);
    this.pump();
  }

  /** A cancelled item stays cancelled, whatever its request still says. */
  private settle(id: number, part: Partial<UploadItem<F>>): void {
    this.update(id, (item) => (item.state === "sending" ? { ...item, ...part } : item));
  }

  private update(id: number, edit: (item: UploadItem<F>) => UploadItem<F>): void {
    this.replace(this.state.map((item) => (item.id === id ? edit(item) : item)));
  }
}

export function isOpen({ state }: { state: UploadState }): boolean {
  return state === "waiting" || state === "sending";
}

function answered({
  frames,
  rejected,
}: IngestAnswer): Pick<UploadItem<never>, "state" | "stored" | "errors"> {
  return { state: rejected.length > 0 ? "failed" : "done", stored: frames.length, errors: rejected };
}

export interface RefusedFile {
  name: string;
  detail: string;
  hint: string;
}

/** Each file that was not taken in, by its own name; a zip's members by theirs, with the zip before it. */
export function refusedFiles(
  items: readonly Pick<UploadItem<unknown>, "name" | "state" | "errors">[],
): RefusedFile[] {
  return items
    .filter(({ state }) => state === "failed")
    .flatMap((item) => item.errors.map((error) => ({ ...error, name: nameIn(item.name, error.name) })));
}

function nameIn(file: string, member: string): string {
  return member === "" || member === file ? file : `${file}: ${member}`;
}
