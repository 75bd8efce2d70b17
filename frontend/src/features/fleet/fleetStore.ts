/** The fleet, live: hints by websocket, the truth by REST on joining and every now and then. No DOM. */
import { api } from "../../api/client";
import type { Dispatch, FleetNode } from "../../api/types";
import { FleetFeed } from "../../domain/fleetFeed";
import { Store } from "../../domain/store";
import { ReconnectingSocket, socketUrl, type ConnectionState } from "../../live/socket";

const DISPATCHES = 40;
/** Hints may vanish and a busy fleet shows a sample of them, so the list is asked for again. */
const REFRESH_MS = 15_000;
const SILENCE_MS = 10_000;

export interface FleetStatus {
  connection: ConnectionState;
  error: unknown;
  /** Grows each time a hint says that a line chooses its nodes by another policy. */
  policiesVersion: number;
}

export class FleetStore extends Store<FleetStatus> {
  readonly feed = new FleetFeed();
  private readonly socket = new ReconnectingSocket({
    url: () => socketUrl("/ws/v1/fleet", location),
    onMessage: (message) => this.take(message),
    onState: (connection) => {
      this.change({ connection });
      if (connection === "open") this.refresh();
    },
    silenceMs: SILENCE_MS,
  });

  constructor() {
    super({ connection: "connecting", error: null, policiesVersion: 0 });
  }

  start(): () => void {
    this.socket.start();
    this.refresh();
    const timer = setInterval(() => this.refresh(), REFRESH_MS);
    return () => {
      clearInterval(timer);
      this.socket.stop();
    };
  }

  retryNow(): void {
    this.socket.retryNow();
    this.refresh();
  }

  refresh(): void {
    Promise.all([api.nodes(), api.dispatches(DISPATCHES)]).then(
      ([nodes, dispatches]) => {
        this.feed.load(nodes, dispatches);
        this.change({ error: null });
      },
      (error: unknown) => this.change({ error }),
    );
  }

  /** Drain or undrain; it shows at once. The refusal, or null where the server agreed. */
  async drain(name: string, draining: boolean): Promise<unknown> {
    this.feed.ask(name, draining);
    try {
      this.feed.settle(name, await api.drain(name, draining ? "drain" : "undrain"));
      return null;
    } catch (error) {
      this.feed.settle(name, null);
      return error;
    }
  }

  private take(message: Record<string, unknown>): void {
    if (message["type"] === "node") this.feed.node(message as unknown as FleetNode);
    else if (message["type"] === "dispatch") this.feed.dispatch(message as unknown as Dispatch);
    else if (message["type"] === "policies") this.change({ policiesVersion: this.state.policiesVersion + 1 });
  }
}
