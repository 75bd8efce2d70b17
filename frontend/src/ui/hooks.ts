/** React's side of the cores: the clock, a resource from REST, whether a media query holds. */
import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from "react";

/** The present in ms, renewed every `everyMs`; keeps relative times honest. */
export function useNow(everyMs = 1000): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

export interface Resource<T> {
  value: T | null;
  error: unknown;
  loading: boolean;
  reload: () => void;
  /** Show a value that we know already, for instance the answer to a POST. */
  set: (value: T) => void;
}

/** Fetch on mount, when `fetcher` changes and on `reload`; an answer that was overtaken is dropped. */
export function useResource<T>(
  fetcher: (signal: AbortSignal) => Promise<T>,
  everyMs: number | null = null,
): Resource<T> {
  const [state, setState] = useState<{ value: T | null; error: unknown; loading: boolean }>({
    value: null,
    error: null,
    loading: true,
  });
  const [round, setRound] = useState(0);
  const last = useRef(fetcher);
  useEffect(() => {
    const abort = new AbortController();
    const isNew = last.current !== fetcher;
    last.current = fetcher;
    if (isNew) setState({ value: null, error: null, loading: true });
    fetcher(abort.signal).then(
      (value) => {
        if (!abort.signal.aborted) setState({ value, error: null, loading: false });
      },
      (error: unknown) => {
        if (!abort.signal.aborted) setState((before) => ({ ...before, error, loading: false }));
      },
    );
    return () => abort.abort();
  }, [fetcher, round]);
  const reload = useCallback(() => setRound((n) => n + 1), []);
  useEffect(() => {
    if (everyMs === null) return;
    const timer = setInterval(reload, everyMs);
    return () => clearInterval(timer);
  }, [everyMs, reload]);
  const set = useCallback((value: T) => setState({ value, error: null, loading: false }), []);
  return { ...state, reload, set };
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
