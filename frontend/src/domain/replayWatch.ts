/** One replay from the button to its result: started, watched by asking, cancelled. Knows no DOM and no addresses. */
import type { Replay } from "../api/types";
import { Store } from "./store";

export interface ReplayCalls {
  start: (policy: string, minutes: number) => Promise<Replay>;
  get: (id: number) => Promise<Replay>;
  cancel: (id: number) => Promise<Replay>;
}

export interface ReplayState {
  run: Replay | null;
  /** Something was asked for and is not answered: buttons wait. */
  busy: boolean;
  error: unknown;
}

const ASK_EVERY_MS = 500;
/** The server did not answer; the run goes on there, so it is asked again. */
const ASK_AGAIN_MS = 3000;

export class ReplayWatch extends Store<ReplayState> {
  private timer: ReturnType<typeof setTimeout> | null = null;
  private stopped = false;

  constructor(private readonly calls: ReplayCalls) {
    super({ run: null, busy: false, error: null });
  }

  /** Show a run that was begun before this page was opened, unless there is one already. */
  adopt(run: Replay): void {
    this.stopped = false;
    if (this.state.run === null && !this.state.busy) this.show(run);
  }

  async start(policy: string, minutes: number): Promise<void> {
    await this.act(() => this.calls.start(policy, minutes));
  }

  async cancel(): Promise<void> {
    const { run } = this.state;
    if (run?.active === true) await this.act(() => this.calls.cancel(run.id));
  }

  /** Ask no more; the run goes on at the server. */
  stop(): void {
    this.stopped = true;
    this.clear();
  }

  private async act(call: () => Promise<Replay>): Promise<void> {
    if (this.state.busy) return;
    this.clear();
    this.change({ busy: true, error: null });
    try {
      this.show(await call());
    } catch (error) {
      this.change({ error });
      this.askIn(ASK_AGAIN_MS);
    }
    this.change({ busy: false });
  }

  private async ask(id: number): Promise<void> {
    try {
      const run = await this.calls.get(id);
      // Meanwhile the person may have started another one.
      if (this.state.run?.id === id && !this.state.busy) this.show(run);
    } catch (error) {
      this.change({ error });
      this.askIn(ASK_AGAIN_MS);
    }
  }

  private show(run: Replay): void {
    this.change({ run, error: null });
    this.askIn(ASK_EVERY_MS);
  }

  private askIn(ms: number): void {
    this.clear();
    const { run } = this.state;
    if (run?.active !== true || this.stopped) return;
    this.timer = setTimeout(() => void this.ask(run.id), ms);
  }

  private clear(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
  }
}
