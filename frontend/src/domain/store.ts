/**
 * The one pattern for what changes over time: a value that is replaced, never edited, and who hears of it.
 * React follows it with `useStore` (ui/hooks.ts); tests read `snapshot()`. Knows no DOM and no React.
 */
export class Store<State> {
  private readonly listeners = new Set<() => void>();

  constructor(protected state: State) {}

  readonly snapshot = (): State => this.state;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** Everything anew; who listens is told, also when nothing differs. */
  protected replace(state: State): void {
    this.state = state;
    for (const listener of [...this.listeners]) listener();
  }

  /** Some of it anew. */
  protected change(part: Partial<State>): void {
    this.replace({ ...this.state, ...part });
  }
}
