/**
 * Short messages about what just happened. Errors stay until they are closed; the rest leave by themselves.
 * The page's root makes one `Messages`; what is drawn below it finds it with `useMessages`.
 */
import { createContext, useContext } from "react";

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

export class Messages extends Store<readonly Toast[]> {
  private nextId = 1;

  constructor() {
    super([]);
  }

  readonly say = (text: string, action: Action | null = null): void => {
    const id = this.nextId++;
    this.replace([...this.state, { id, kind: "done", text, hint: "", action }]);
    setTimeout(() => this.dismiss(id), action === null ? STAY_MS : STAY_TO_ACT_MS);
  };

  /** In the server's words. The same complaint once more takes the place of the first. */
  readonly complain = (error: unknown): void => {
    const { detail: text, hint } = sentenceOf(error);
    const others = this.state.filter((toast) => toast.text !== text);
    this.replace([...others, { id: this.nextId++, kind: "error", text, hint, action: null }]);
  };

  dismiss(id: number): void {
    this.replace(this.state.filter((toast) => toast.id !== id));
  }
}

const Root = createContext<Messages | null>(null);
export const MessagesOf = Root.Provider;

/** The messages of this page. `say` and `complain` can be passed on as they are. */
export function useMessages(): Messages {
  const messages = useContext(Root);
  if (messages === null) throw new Error("Nothing above this makes messages; see entries/island.tsx.");
  return messages;
}

export function Toasts() {
  const messages = useMessages();
  const shown = useStore(messages);
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
                messages.dismiss(id);
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
            onClick={() => messages.dismiss(id)}
          >
            <Icon name="close" />
          </button>
        </div>
      ))}
    </div>
  );
}
