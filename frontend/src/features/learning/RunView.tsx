/** One run: how it stands, its curves, what the current weights answer, what it made, its log; another beside it. */
import { useState } from "react";

import type { Boot } from "../../api/boot";
import { clock, exactTime } from "../../domain/format";
import { Notice } from "../../ui/parts";
import { Beside } from "./Beside";
import { curveOf, leftInWords } from "./curve";
import { learning, type Run, type RunEvent, isOpen } from "./learningApi";
import { LEVELS, logLine, type Level } from "./logWords";
import { Made } from "./Made";
import { Plot, type Series } from "./Plot";
import { useRunEvents } from "./runEvents";
import { mayTrain, percent, StateChip, useAddress } from "./runParts";
import { Samples } from "./Samples";
import { useAct } from "./useAct";

type CurveKind = readonly [name: string, title: string, words: (value: number) => string];
const MEASURED: Readonly<Record<Run["kind"], CurveKind>> = {
  "describer-lora": ["field_f1", "Field F1 on the validation split", percent],
  detector: ["map50", "mAP50 on the validation split", percent],
};
const curvesOf = (kind: Run["kind"]): readonly CurveKind[] => [
  ["loss", "Loss", (value) => String(Number(value.toPrecision(3)))],
  MEASURED[kind],
  ["learning_rate", "Learning rate", (value) => (value === 0 ? "0" : value.toExponential(1))],
];

interface RunViewProps {
  boot: Boot;
  run: Run;
  runs: readonly Run[];
}

export function RunView({ boot, run, runs }: RunViewProps) {
  const [besideId, setBeside] = useAddress("beside");
  const beside = runs.find(({ id }) => id === besideId && id !== run.id);
  const told = useRunEvents(run);
  const others = useRunEvents(beside);
  return (
    <div className="run-view" data-run-shown={run.id}>
      <section className="panel padded" aria-labelledby="run-title">
        <Head run={run} may={mayTrain(boot, run.line.id)} />
        <label className="beside-choice">
          Beside{" "}
          <select
            className="select"
            value={beside?.id ?? ""}
            onChange={(event) => setBeside(event.target.value === "" ? null : event.target.value)}
          >
            <option value="">no other run</option>
            {runs
              .filter(({ id }) => id !== run.id)
              .map(({ id, title, created_at }) => (
                <option key={id} value={id}>
                  {title}, {clock(created_at, Date.now())}
                </option>
              ))}
          </select>
        </label>
        {beside !== undefined && <Keys run={run} beside={beside} />}
        <div className="curves">
          {curvesOf(run.kind).map(([name, title, words]) => (
            <Plot key={name} title={title} words={words} series={seriesOf(name, told, beside && others)} />
          ))}
        </div>
      </section>
      {beside !== undefined && <Beside run={run} beside={beside} />}
      <Made boot={boot} run={run} />
      <Samples run={run.id} told={told} />
      <Log told={told} />
    </div>
  );
}

function seriesOf(
  name: string,
  told: readonly RunEvent[],
  others: readonly RunEvent[] | undefined,
): Series[] {
  const own = { name: "this run", points: curveOf(told, name) };
  return others === undefined ? [own] : [own, { name: "beside", points: curveOf(others, name) }];
}

function Keys({ run, beside }: { run: Run; beside: Run }) {
  return (
    <p className="keys">
      <span className="series-0">
        <span className="key" />
        {run.title}
      </span>
      <span className="series-1">
        <span className="key" />
        {beside.title}
      </span>
    </p>
  );
}

function Head({ run, may }: { run: Run; may: boolean }) {
  return (
    <>
      <header className="run-head">
        <div>
          <h2 id="run-title">{run.title}</h2>
          <p className="hint">
            {run.line.name} · {run.dataset} v{run.version} · over {run.base} · launched by {run.created_by},{" "}
            <time dateTime={run.created_at} title={exactTime(run.created_at)}>
              {clock(run.created_at, Date.now())}
            </time>
          </p>
        </div>
        {may && <Acts run={run} />}
      </header>
      <p className="standing" role="status">
        <StateChip run={run} />
        {run.steps > 0 && (
          <span>
            step {run.step} of {run.steps}
          </span>
        )}
        {run.state === "running" && <span>{leftInWords(run.eta_s)}</span>}
        {run.attempts > 1 && (
          <span className="hint">begun {run.attempts} times, each from its checkpoint</span>
        )}
      </p>
      {run.steps > 0 && <progress max={run.steps} value={run.step} aria-label="Steps" />}
      {run.error_detail !== "" && (
        <Notice level="stopped">
          <p>{run.error_detail}</p>
          <p>{run.error_hint}</p>
        </Notice>
      )}
    </>
  );
}

function Acts({ run }: { run: Run }) {
  const act = useAct((what: "pause" | "cancel" | "resume") => learning.act(run.id, what));
  const open = isOpen(run.state) && run.wish === "";
  const asleep = run.state === "paused" || run.state === "failed";
  const button = (what: "pause" | "cancel" | "resume", name: string) => (
    <button type="button" className="button" disabled={act.isPending} onClick={() => act.mutate(what)}>
      {name}
    </button>
  );
  return (
    <div className="acts">
      {open && button("pause", "Pause")}
      {asleep && button("resume", "Resume")}
      {(open || run.state === "paused") && button("cancel", "Cancel")}
    </div>
  );
}

const LEVEL_WORDS: Readonly<Record<Level, string>> = {
  debug: "Everything",
  info: "What matters",
  warning: "Warnings and errors",
  error: "Errors",
};
const LINES_SHOWN = 300;
const newestFirst = <Line,>(lines: readonly Line[]): Line[] => lines.slice(-LINES_SHOWN).reverse();

function Log({ told }: { told: readonly RunEvent[] }) {
  const [least, setLeast] = useState<Level>("info");
  const lines = told.flatMap((event) => {
    const line = logLine(event);
    const kept = line !== null && LEVELS.indexOf(line.level) >= LEVELS.indexOf(least);
    return kept ? [{ ...line, seq: event.seq, at: event.at, type: event.type }] : [];
  });
  return (
    <section className="panel padded" aria-labelledby="log-title">
      <header className="run-head">
        <h2 id="log-title">Log</h2>
        <label>
          Show{" "}
          <select
            className="select"
            value={least}
            onChange={(event) => setLeast(event.target.value as Level)}
          >
            {LEVELS.map((level) => (
              <option key={level} value={level}>
                {LEVEL_WORDS[level]}
              </option>
            ))}
          </select>
        </label>
      </header>
      {lines.length === 0 && <p className="hint">Nothing was told yet.</p>}
      <ol className="log" tabIndex={0} aria-labelledby="log-title">
        {newestFirst(lines).map(({ seq, at, type, level, words }) => (
          <li key={seq} data-event={type} data-level={level}>
            <time dateTime={at}>{new Date(at).toLocaleTimeString("en-GB")}</time>
            <span>{words}</span>
          </li>
        ))}
      </ol>
    </section>
  );
}
