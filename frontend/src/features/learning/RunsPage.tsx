/** Runs: launch one by a recipe, follow its curves and its log, pause, cancel, have it go on. */
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import type { Boot } from "../../api/boot";
import { curveOf, leftInWords, polylineOf } from "./curve";
import { learning, type Run, type RunEvent, type RunKind } from "./learningApi";
import { Trouble } from "./Trouble";
import { useAct } from "./useAct";

const POLL_MS = 2000;
const OPEN = new Set(["queued", "running"]);
const CURVES: readonly (readonly [string, string])[] = [
  ["loss", "Loss"],
  ["field_f1", "Field F1"],
  ["learning_rate", "Learning rate"],
];
const LEVELS = ["all", "warning", "error"] as const;
const [WIDTH, HEIGHT] = [320, 90];

export function RunsPage({ boot }: { boot: Boot }) {
  const runs = useQuery({ queryKey: ["runs"], queryFn: learning.runs, refetchInterval: POLL_MS });
  const [chosen, setChosen] = useState<string | null>(null);
  const shown = runs.data?.find(({ id }) => id === chosen) ?? runs.data?.[0];
  return (
    <div className="learning">
      <h1>Runs</h1>
      {runs.error !== null && <Trouble error={runs.error} />}
      {boot.lines.length === 0 && <p className="hint">You have a role on no line.</p>}
      <div className="learning-columns">
        <div className="panel">
          <ul aria-label="Runs">
            {(runs.data ?? []).map((run) => (
              <li key={run.id} data-run={run.id} data-state={run.state}>
                <button
                  type="button"
                  className="link-button"
                  aria-current={run.id === shown?.id}
                  onClick={() => setChosen(run.id)}
                >
                  {run.title}
                </button>{" "}
                <span className="chip plain">{run.state}</span>
              </li>
            ))}
          </ul>
          <Launch onLaunched={setChosen} />
        </div>
        {shown !== undefined && <OneRun key={shown.id} run={shown} />}
      </div>
    </div>
  );
}

function Launch({ onLaunched }: { onLaunched: (id: string) => void }) {
  const datasets = useQuery({ queryKey: ["datasets"], queryFn: learning.datasets });
  const kinds = useQuery({ queryKey: ["run-kinds"], queryFn: learning.kinds, staleTime: Infinity });
  const [dataset, setDataset] = useState<number | null>(null);
  const [kindName, setKindName] = useState<RunKind["name"]>("describer-lora");
  const [settings, setSettings] = useState<Record<string, unknown>>({});
  const sealed = (datasets.data ?? []).filter(({ versions }) => versions > 0);
  const from = dataset ?? sealed[0]?.id ?? null;
  const kind = kinds.data?.find(({ name }) => name === kindName);
  const launch = useAct(
    async () => {
      if (from === null) throw new Error("no dataset");
      const [version] = (await learning.dataset(from)).versions;
      if (version === undefined) throw new Error("no version");
      return learning.launch({ version: version.id, kind: kindName, name: "", seed: 0, settings });
    },
    (run) => onLaunched(run.id),
  );
  if (kind === undefined) return null;
  return (
    <form
      className="stacked"
      onSubmit={(event) => {
        event.preventDefault();
        launch.mutate(undefined);
      }}
    >
      <h2>New run</h2>
      <label>
        On the newest version of{" "}
        <select className="select" value={from ?? ""} onChange={(e) => setDataset(Number(e.target.value))}>
          {sealed.map(({ id, name }) => (
            <option key={id} value={id}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <label>
        What{" "}
        <select
          className="select"
          value={kindName}
          onChange={(e) => {
            setKindName(e.target.value as RunKind["name"]);
            setSettings({});
          }}
        >
          {(kinds.data ?? []).map(({ name, title }) => (
            <option key={name} value={name}>
              {title}
            </option>
          ))}
        </select>
      </label>
      <details>
        <summary>Recipe</summary>
        {kind.settings.map((each) => (
          <SettingField
            key={each.name}
            setting={each}
            value={settings[each.name] ?? each.default}
            onChange={(value) => setSettings({ ...settings, [each.name]: value })}
          />
        ))}
      </details>
      <button type="submit" className="button" disabled={from === null || launch.isPending}>
        Launch
      </button>
      {sealed.length === 0 && <p className="hint">Seal a dataset first.</p>}
    </form>
  );
}

interface SettingProps {
  setting: RunKind["settings"][number];
  value: unknown;
  onChange: (value: unknown) => void;
}

function SettingField({ setting, value, onChange }: SettingProps) {
  return (
    <label>
      {setting.title}{" "}
      {setting.choices.length > 0 ? (
        <select className="select" value={String(value)} onChange={(e) => onChange(e.target.value)}>
          {setting.choices.map((name) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      ) : (
        <input
          className="input"
          type="number"
          min={setting.least}
          max={setting.most}
          step={setting.whole ? 1 : "any"}
          value={String(value)}
          onChange={(e) => onChange(Number(e.target.value))}
        />
      )}{" "}
      <span className="hint">{setting.about}</span>
    </label>
  );
}

function OneRun({ run }: { run: Run }) {
  const act = useAct((what: "pause" | "cancel" | "resume") => learning.act(run.id, what));
  const events = useQuery({
    queryKey: ["runs", run.id, "events", run.events_seq],
    queryFn: () => learning.events(run.id, Math.max(0, run.events_seq - 2000)),
    placeholderData: (before: RunEvent[] | undefined) => before,
  });
  const told = events.data ?? [];
  return (
    <section className="panel padded" aria-labelledby="run-title" data-run-shown={run.id}>
      <h2 id="run-title">{run.title}</h2>
      <p role="status">
        <span className="chip plain">{run.wish === "" ? run.state : `${run.state}, to ${run.wish}`}</span>{" "}
        step {run.step} of {run.steps} {run.state === "running" ? leftInWords(run.eta_s) : ""}
      </p>
      {run.steps > 0 && <progress max={run.steps} value={run.step} aria-label="Steps" />}
      {run.error_detail !== "" && (
        <p>
          {run.error_detail} {run.error_hint}
        </p>
      )}
      <p>
        {OPEN.has(run.state) && <Act name="Pause" onClick={() => act.mutate("pause")} />}
        {(OPEN.has(run.state) || run.state === "paused") && (
          <Act name="Cancel" onClick={() => act.mutate("cancel")} />
        )}
        {(run.state === "paused" || run.state === "failed") && (
          <Act name="Go on" onClick={() => act.mutate("resume")} />
        )}
      </p>
      <div className="curves">
        {CURVES.map(([name, title]) => (
          <Curve key={name} title={title} points={curveOf(told, name)} />
        ))}
      </div>
      <Made run={run.id} />
      <Samples told={told} />
      <Log told={told} />
    </section>
  );
}

function Act({ name, onClick }: { name: string; onClick: () => void }) {
  return (
    <button type="button" className="button" onClick={onClick}>
      {name}
    </button>
  );
}

function Curve({ title, points }: { title: string; points: ReturnType<typeof curveOf> }) {
  const last = points.at(-1);
  if (last === undefined) return null;
  return (
    <figure>
      <figcaption>
        {title}: {Number(last.value.toPrecision(4))}
      </figcaption>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={`${title} up to step ${last.step}`}>
        <polyline points={polylineOf(points, WIDTH, HEIGHT)} />
      </svg>
    </figure>
  );
}

function Made({ run }: { run: string }) {
  const models = useQuery({ queryKey: ["model-versions"], queryFn: learning.models });
  const made = (models.data ?? []).filter((version) => version.run === run);
  return made.map((version) => (
    <p key={version.id}>
      It made version {version.number} <code>{version.digest.slice(0, 12)}</code>
      {version.serves ? ", which serves the line" : ""}.
    </p>
  ));
}

/** What the current weights write. Machine text: shown as it is, as text. */
function Samples({ told }: { told: readonly RunEvent[] }) {
  const samples = told.filter(({ type }) => type === "sample").slice(-4);
  if (samples.length === 0) return null;
  return (
    <>
      <h3>Sample answers</h3>
      <ul className="samples">
        {samples.map(({ seq, data }) => (
          <li key={seq}>
            <SampleAnswer answer={partOf(data["answer"])} truth={partOf(data["truth"])} />
            <span className="hint">after step {String(data["step"])}</span>
          </li>
        ))}
      </ul>
    </>
  );
}

function SampleAnswer({ answer, truth }: { answer: Texts; truth: Texts }) {
  const said = answer["defect_class"] ?? "nothing";
  const right = said === truth["defect_class"];
  return (
    <p>
      <span className="chip plain">{said}</span>{" "}
      {right ? "as labelled" : `labelled ${truth["defect_class"] ?? "nothing"}`}: {answer["appearance"] ?? ""}{" "}
      <span className="hint">
        {answer["location"] ?? ""}, {answer["size"] ?? ""}
      </span>
    </p>
  );
}

type Texts = Readonly<Record<string, string | undefined>>;

/** What a trainer wrote is not trusted to be of any shape. */
function partOf(value: unknown): Texts {
  if (typeof value !== "object" || value === null) return {};
  const texts: Record<string, string> = {};
  for (const [name, text] of Object.entries(value)) if (typeof text === "string") texts[name] = text;
  return texts;
}

const NOT_LOGGED = new Set(["step", "sample"]);

function Log({ told }: { told: readonly RunEvent[] }) {
  const [level, setLevel] = useState<(typeof LEVELS)[number]>("all");
  const lines = told.filter(
    (event) => !NOT_LOGGED.has(event.type) && (level === "all" || event.level === level),
  );
  return (
    <>
      <h3>Log</h3>
      <label>
        Level{" "}
        <select className="select" value={level} onChange={(e) => setLevel(e.target.value as typeof level)}>
          {LEVELS.map((name) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </label>
      <ul className="log">
        {lines.slice(-200).map(({ seq, type, data }) => (
          <li key={seq} data-event={type}>
            <b>{type}</b> {wordsOf(data)}
          </li>
        ))}
      </ul>
    </>
  );
}

function wordsOf(data: Record<string, unknown>): string {
  const said = data["text"] ?? data["sentence"];
  if (typeof said === "string") return said;
  return JSON.stringify(Object.fromEntries(Object.entries(data).filter(([name]) => name !== "at")));
}
