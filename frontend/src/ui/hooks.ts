/** React's side of the cores: a store, the clock, window events, whether a media query holds. */
import { useEffect, useRef, useState, useSyncExternalStore } from "react";

import type { Store } from "../domain/store";

/** The value of a store (domain/store.ts), drawn anew with each change. */
export function useStore<State>(store: Pick<Store<State>, "snapshot" | "subscribe">): State {
  return useSyncExternalStore(store.subscribe, store.snapshot);
}

/** The present in ms, renewed every `everyMs`; keeps relative times honest. */
export function useNow(everyMs = 1000): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

/** Run `handler` for a window event, always the newest one, without adding and removing listeners. */
export function useWindowEvent<K extends keyof WindowEventMap>(
  type: K,
  handler: (event: WindowEventMap[K]) => void,
): void {
  const newest = useRef(handler);
  useEffect(() => {
    newest.current = handler;
  });
  useEffect(() => {
    const listener = (event: WindowEventMap[K]) => newest.current(event);
    window.addEventListener(type, listener);
    return () => window.removeEventListener(type, listener);
  }, [type]);
}

export function prefersReducedMotion(): boolean {
  return window.matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/** Whether the browser has a network at all; it knows that sooner than a silent socket does. */
export function useOnline(): boolean {
  return useSyncExternalStore(followNetwork, () => navigator.onLine);
}

function followNetwork(listener: () => void): () => void {
  window.addEventListener("online", listener);
  window.addEventListener("offline", listener);
  return () => {
    window.removeEventListener("online", listener);
    window.removeEventListener("offline", listener);
  };
}
