/** Short messages about what just happened. Errors stay until they are closed; the rest leave by themselves. */
import { sentenceOf } from "../api/client";
import { Store } from "../domain/store";
import { useStore } from "./hooks";
import { Icon } from "./icons";

interface Toast {
  id: number;
  kind: "done" | "error";
  text: string;
  hint: string;
  action: Action | null;
}

/** What a message offers, to take back what it tells of. */
export interface Action {
  label: string;
  act: () => void;
}

const STAY_MS = 4000;
/** There must be time to read it and to get there by keyboard. */
const STAY_TO_ACT_MS = 12_000;
class ToastStore extends Store<readonly Toast[]> {
  private nextId = 1;

  constructor() {
    super([]);
  }

  say(text: string, action: Action | null): void {
    const id = this.nextId++;
    this.replace([...this.state, { id, kind: "done", text, hint: "", action }]);
    setTimeout(() => this.dismiss(id), action === null ? STAY_MS : STAY_TO_ACT_MS);
  }

  /** The same complaint once more takes the place of the first. */
  complain(text: string, hint: string): void {
    const others = this.state.filter((toast) => toast.text !== text);
    this.replace([...others, { id: this.nextId++, kind: "error", text, hint, action: null }]);
  }

  dismiss(id: number): void {
    this.replace(this.state.filter((toast) => toast.id !== id));
  }
}

const toasts = new ToastStore();

export function say(text: string, action: Action | null = null): void {
  toasts.say(text, action);
}

export function complain(error: unknown): void {
  const { detail, hint } = sentenceOf(error);
  toasts.complain(detail, hint);
}

export function Toasts() {
  const shown = useStore(toasts);
  return (
    <div className="toasts" role="log" aria-live="polite" aria-label="Messages">
      {shown.map(({ id, kind, text, hint, action }) => (
        <div key={id} className={`toast ${kind}`}>
          <Icon name={kind === "error" ? "warning" : "pass"} />
          <div>
            <p>{text}</p>
            {hint !== "" && <p className="hint">{hint}</p>}
          </div>
          {action !== null && (
            <button
              type="button"
              className="button"
              onClick={() => {
                toasts.dismiss(id);
                action.act();
              }}
            >
              {action.label}
            </button>
          )}
          <button
            type="button"
            className="button quiet icon-only"
            aria-label="Close"
            onClick={() => toasts.dismiss(id)}
          >
            <Icon name="close" />
          </button>
        </div>
      ))}
    </div>
  );
}
