/** Small parts of the Runs page: how a run stands, who may train, a choice that lives in the address. */
import { useState } from "react";

import type { Boot } from "../../api/boot";
import { hasRole } from "../../domain/roles";
import type { Run } from "./learningApi";

const STATE_WORDS: Readonly<Record<Run["state"], string>> = {
  queued: "Waiting",
  running: "Running",
  paused: "Paused",
  succeeded: "Done",
  failed: "Failed",
  cancelled: "Cancelled",
};
const STATE_TONES: Readonly<Record<Run["state"], string>> = {
  queued: "plain",
  running: "tone-running",
  paused: "tone-hold",
  succeeded: "tone-pass",
  failed: "tone-fail",
  cancelled: "plain",
};
/** Whether the person may train on a line; each request is checked by the server all the same. */
export function mayTrain({ me }: Boot, line: number): boolean {
  return hasRole(me, line, "admin");
}

export function StateChip({ run }: { run: Run }) {
  const wished = run.wish === "" ? "" : `, ${run.wish === "pause" ? "about to pause" : "about to end"}`;
  return (
    <span className={`chip state ${STATE_TONES[run.state]}`}>
      {STATE_WORDS[run.state]}
      {run.place === null ? wished : `, place ${run.place}`}
    </span>
  );
}

/** A value that lives in the page's address, so that it can be sent to somebody and comes back on reload. */
export function useAddress(name: string): [string | null, (value: string | null) => void] {
  const [value, setValue] = useState(() => new URLSearchParams(location.search).get(name));
  const change = (next: string | null) => {
    const query = new URLSearchParams(location.search);
    if (next === null) query.delete(name);
    else query.set(name, next);
    history.replaceState(null, "", query.size > 0 ? `?${query}` : location.pathname);
    setValue(next);
  };
  return [value, change];
}

export function percent(value: number): string {
  return `${Math.round(value * 1000) / 10} %`;
}
