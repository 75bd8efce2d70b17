/** What another policy would have done in the last minutes: ask, watch, and see both side by side. */
import { useQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useState } from "react";

import { api, sentenceOf } from "../../api/client";
import { queries } from "../../api/queries";
import type { Replay } from "../../api/types";
import { plural } from "../../domain/format";
import { ReplayWatch } from "../../domain/replayWatch";
import { useStore } from "../../ui/hooks";
import { Icon } from "../../ui/icons";
import { Notice } from "../../ui/parts";
import { ReplayResultView } from "./ReplayResultView";

const STRETCHES_MIN = [1, 5, 15, 60, 24 * 60];

export function ReplaySection() {
  const watch = useMemo(
    () => new ReplayWatch({ start: api.startReplay, get: api.replay, cancel: api.cancelReplay }),
    [],
  );
  useEffect(() => () => watch.stop(), [watch]);
  const known = useQuery(queries.replays);
  const last = known.data?.runs[0];
  useEffect(() => {
    if (last !== undefined) watch.adopt(last);
  }, [watch, last]);
  const { run, busy, error } = useStore(watch);
  const trouble = error ?? known.error;
  return (
    <section className="replay" aria-labelledby="replay-title">
      <h2 id="replay-title">What would another policy have done?</h2>
      <div className="panel">
        <Ask
          available={known.data?.available ?? []}
          disabled={busy || run?.active === true}
          onAsk={(policy, minutes) => void watch.start(policy, minutes)}
        />
        {trouble !== null && (
          <Notice level="stopped">
            <p>{sentenceOf(trouble).detail}</p>
            <p>{sentenceOf(trouble).hint}</p>
          </Notice>
        )}
        {run === null ? <WhatItSays /> : <Run run={run} busy={busy} onCancel={() => void watch.cancel()} />}
      </div>
    </section>
  );
}

interface AskProps {
  available: readonly { name: string; about: string }[];
  disabled: boolean;
  onAsk: (policy: string, minutes: number) => void;
}

function Ask({ available, disabled, onAsk }: AskProps) {
  const [minutes, setMinutes] = useState(15);
  const [chosen, setChosen] = useState("round-robin");
  const about = available.find(({ name }) => name === chosen)?.about;
  return (
    <form
      className="replay-ask"
      onSubmit={(event) => {
        event.preventDefault();
        onAsk(chosen, minutes);
      }}
    >
      <div className="field">
        <label htmlFor="replay-stretch">Recorded decisions of</label>
        <select
          id="replay-stretch"
          className="select"
          value={minutes}
          onChange={(event) => setMinutes(Number(event.target.value))}
        >
          {STRETCHES_MIN.map((each) => (
            <option key={each} value={each}>
              {each < 60 ? `the last ${each} min` : `the last ${each / 60} h`}
            </option>
          ))}
        </select>
      </div>
      <div className="field">
        <label htmlFor="replay-policy">decided again by</label>
        <select
          id="replay-policy"
          className="select"
          value={chosen}
          onChange={(event) => setChosen(event.target.value)}
        >
          {available.map(({ name }) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </div>
      <button type="submit" className="button primary" disabled={disabled || available.length === 0}>
        <Icon name="retry" />
        Replay
      </button>
      <p className="hint about">{about}</p>
    </form>
  );
}

interface RunProps {
  run: Replay;
  busy: boolean;
  onCancel: () => void;
}

function Run({ run, busy, onCancel }: RunProps) {
  if (run.active)
    return (
      <div className="replay-progress">
        <p role="status">
          {run.state === "queued"
            ? `Waiting for a worker to replay ${run.policy}.`
            : `${run.policy}: ${run.done} of ${plural(run.total, "recorded look")} decided again.`}
        </p>
        <progress max={Math.max(1, run.total)} value={run.done} aria-label="Progress of the replay" />
        <button type="button" className="button" disabled={busy} onClick={onCancel}>
          <Icon name="stop" />
          Cancel
        </button>
      </div>
    );
  if (run.state === "cancelled")
    return (
      <p className="hint padded">
        Cancelled after {run.done} of {plural(run.total, "look")}. Nothing was kept of it.
      </p>
    );
  if (run.result === null)
    return (
      <Notice level="stopped">
        <p>The replay failed: {run.error}</p>
      </Notice>
    );
  return (
    <>
      <ReplayResultView run={run} result={run.result} />
      <WhatItSays />
    </>
  );
}

/** Said where the figures are: these are no measurements of a world in which the other policy had run. */
function WhatItSays() {
  return (
    <p className="hint padded limits">
      Each recorded look at the queue is decided again from the very state of that moment. The answer times of
      nodes that were not chosen are predictions, never measured; and what other choices would have done to
      the queues afterwards is not followed. A busy worker records a sample of its looks, at most five a
      second.
    </p>
  );
}
