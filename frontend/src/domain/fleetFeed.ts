/** Nodes and the scheduler's last decisions, from REST and live hints. Knows no DOM and no socket. */
import type { Dispatch, FleetNode } from "../api/types";
import { Store } from "./store";

export interface FleetState {
  nodes: readonly FleetNode[];
  /** Drains (true) and undrains (false) that were asked for and are not answered yet, by node. */
  asked: ReadonlyMap<string, boolean>;
  /** Newest first. */
  dispatches: readonly Dispatch[];
  /** Decisions that arrived while the list was held. */
  held: number;
  loaded: boolean;
}

const MOST = 60;

export class FleetFeed extends Store<FleetState> {
  private waiting: readonly Dispatch[] = [];
  private holding = false;

  constructor() {
    super({ nodes: [], asked: new Map(), dispatches: [], held: 0, loaded: false });
  }

  /** REST's answer is the truth: it takes the place of what hints had told. */
  load(nodes: readonly FleetNode[], dispatches: readonly Dispatch[]): void {
    this.change({ nodes: sorted(nodes), loaded: true });
    this.merge(dispatches);
  }

  node(node: FleetNode): void {
    const others = this.state.nodes.filter(({ name }) => name !== node.name);
    this.change({ nodes: sorted([...others, node]) });
  }

  /** Somebody here pressed drain or undrain: it shows at once, whatever hints still say of the node. */
  ask(name: string, draining: boolean): void {
    this.change({ asked: new Map(this.state.asked).set(name, draining) });
  }

  /** The server's answer, or null when it refused: then the node is shown as it was. */
  settle(name: string, answer: FleetNode | null): void {
    const asked = new Map(this.state.asked);
    asked.delete(name);
    if (answer !== null) this.node(answer);
    this.change({ asked });
  }

  /** A decision is told when it is made and again when its outcome is known. */
  dispatch(dispatch: Dispatch): void {
    this.merge([dispatch]);
  }

  setHolding(holding: boolean): void {
    this.holding = holding;
    if (!holding) this.release();
  }

  release(): void {
    const all = newest([...this.waiting, ...this.state.dispatches]);
    this.waiting = [];
    this.change({ dispatches: all, held: 0 });
  }

  private merge(dispatches: readonly Dispatch[]): void {
    const known = new Set(this.state.dispatches.map(({ id }) => id));
    const hold = this.holding && known.size > 0;
    const shown = dispatches.filter(({ id }) => !hold || known.has(id));
    this.waiting = hold
      ? newest([...dispatches.filter(({ id }) => !known.has(id)), ...this.waiting])
      : this.waiting;
    this.change({ dispatches: newest([...shown, ...this.state.dispatches]), held: this.waiting.length });
  }
}

/** Newest first, each once; of two with one id the first is the newer knowledge. */
function newest(dispatches: readonly Dispatch[]): Dispatch[] {
  const once = new Map<number, Dispatch>();
  for (const dispatch of dispatches) if (!once.has(dispatch.id)) once.set(dispatch.id, dispatch);
  return [...once.values()].sort((a, b) => b.id - a.id).slice(0, MOST);
}

/** Edge before cloud, then by name: the order of a frame's way. */
function sorted(nodes: readonly FleetNode[]): FleetNode[] {
  return [...nodes].sort((a, b) => b.kind.localeCompare(a.kind) || a.name.localeCompare(b.name));
}
