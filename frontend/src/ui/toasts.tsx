/** Short messages about what just happened. Errors stay until they are closed; the rest leave by themselves. */
import { useSyncExternalStore } from "react";

import { sentenceOf } from "../api/client";
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
let toasts: readonly Toast[] = [];
let nextId = 1;
const listeners = new Set<() => void>();

function change(next: readonly Toast[]): void {
  toasts = next;
  for (const listener of listeners) listener();
}

function dismiss(id: number): void {
  change(toasts.filter((toast) => toast.id !== id));
}

export function say(text: string, action: Action | null = null): void {
  const id = nextId++;
  change([...toasts, { id, kind: "done", text, hint: "", action }]);
  setTimeout(() => dismiss(id), action === null ? STAY_MS : STAY_TO_ACT_MS);
}

export function complain(error: unknown): void {
  const { detail, hint } = sentenceOf(error);
  const others = toasts.filter((toast) => toast.text !== detail);
  change([...others, { id: nextId++, kind: "error", text: detail, hint, action: null }]);
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function Toasts() {
  const shown = useSyncExternalStore(subscribe, () => toasts);
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
                dismiss(id);
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
            onClick={() => dismiss(id)}
          >
            <Icon name="close" />
          </button>
        </div>
      ))}
    </div>
  );
}
