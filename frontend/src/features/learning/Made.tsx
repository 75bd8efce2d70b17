/** The version that a run made: whether it may serve, and the acts by which it does, is tried, or no longer does. */
import { useQuery } from "@tanstack/react-query";
import { useState, type SyntheticEvent } from "react";

import type { Boot } from "../../api/boot";
import { plural } from "../../domain/format";
import { hasRole } from "../../domain/roles";
import { learning, type ModelVersion, type Run } from "./learningApi";
import { percent } from "./runParts";
import { useAct } from "./useAct";

export function Made({ boot, run }: { boot: Boot; run: Run }) {
  const models = useQuery({ queryKey: ["model-versions"], queryFn: learning.models });
  const made = (models.data ?? []).find((version) => version.run === run.id);
  if (made === undefined) return null;
  const measured = partOf(run.report, "measured") !== null;
  return (
    <section className="panel padded" aria-labelledby="made-title">
      <header className="run-head">
        <div>
          <h2 id="made-title">
            It made {made.kind} v{made.number}
          </h2>
          <p className="hint">
            <code>{made.digest.slice(0, 12)}</code>
            {made.serves ? ` · serves ${made.line.name}` : ""}
            {made.in_shadow ? " · in the shadow" : ""}
          </p>
        </div>
        {measured && (
          <a className="button" href={`/runs/${run.id}/report/`}>
            Read the report
          </a>
        )}
      </header>
      {!measured && <TestFigures report={run.report} />}
      <Gates made={made} />
      {hasRole(boot.me, made.line.id, "engineer") && (
        <Acts made={made} admin={hasRole(boot.me, made.line.id, "admin")} />
      )}
    </section>
  );
}

/** Of a run without a report of its own: what it reached on the test split. */
function TestFigures({ report }: { report: unknown }) {
  const test = Object.entries(partOf(report, "test") ?? {});
  const shares = test.filter(([name, value]) => name.startsWith("map") && typeof value === "number");
  if (shares.length === 0) return null;
  return (
    <p>On the test split: {shares.map(([name, value]) => `${name} ${percent(Number(value))}`).join(", ")}.</p>
  );
}

function partOf(whole: unknown, name: string): Record<string, unknown> | null {
  const part: unknown = typeof whole === "object" && whole !== null ? Reflect.get(whole, name) : null;
  return typeof part === "object" && part !== null ? (part as Record<string, unknown>) : null;
}

function Gates({ made }: { made: ModelVersion }) {
  if (made.gates.length === 0)
    return <p className="hint">It was not measured against the gates of the line.</p>;
  return (
    <>
      <p>
        <span className={`chip state ${made.passed ? "tone-pass" : "tone-fail"}`}>
          {made.passed ? "All gates passed" : "Gates missed"}
        </span>
      </p>
      <ul className="gates">
        {made.gates.map((gate) => (
          <li key={gate.name} data-gate={gate.name} data-passed={gate.passed}>
            <span className="mark" aria-hidden="true">
              {gate.passed ? "✓" : "✗"}
            </span>
            <span className="visually-hidden">{gate.passed ? "Passed: " : "Missed: "}</span>
            {gate.detail}
          </li>
        ))}
      </ul>
    </>
  );
}

function Acts({ made, admin }: { made: ModelVersion; admin: boolean }) {
  const back = useAct(
    () => learning.rollBack(made.line.id, made.kind),
    (_, say) => say(`${made.line.name} is served as before.`),
  );
  return (
    <>
      {!made.serves && <Promote made={made} admin={admin} />}
      <div className="acts">
        {made.serves && (
          <button
            type="button"
            className="button"
            disabled={back.isPending}
            onClick={() => back.mutate(undefined)}
          >
            Roll back
          </button>
        )}
        {!made.serves && made.kind === "adapter" && <Shadow made={made} />}
      </div>
    </>
  );
}

function Promote({ made, admin }: { made: ModelVersion; admin: boolean }) {
  const [reason, setReason] = useState("");
  const promote = useAct(
    () => learning.promote(made.id, reason),
    (_, say) => say(`${made.kind} v${made.number} serves ${made.line.name}.`),
  );
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    promote.mutate(undefined);
  };
  if (!made.passed && !admin)
    return <p className="hint">Past a missed gate only an admin promotes, with a reason.</p>;
  return (
    <form className="promote" onSubmit={submit}>
      {!made.passed && (
        <label className="field">
          <span className="label">Why promote it all the same</span>
          <input
            className="input"
            required
            maxLength={1000}
            value={reason}
            onChange={(event) => setReason(event.target.value)}
          />
          <span className="hint">Kept with your name</span>
        </label>
      )}
      <button type="submit" className={`button${made.passed ? " primary" : ""}`} disabled={promote.isPending}>
        {made.passed ? `Promote on ${made.line.name}` : "Promote all the same"}
      </button>
    </form>
  );
}

const SHARES = [0.05, 0.1, 0.25, 1];

/** It answers a share of the live frames beside the one that serves; nobody acts on its answers. */
function Shadow({ made }: { made: ModelVersion }) {
  const [share, setShare] = useState(0.1);
  const start = useAct(() => learning.startShadow(made.id, share));
  const end = useAct(() => learning.endShadow(made.id));
  const told = useQuery({
    queryKey: ["shadow", made.id],
    enabled: made.in_shadow,
    queryFn: () => learning.shadow(made.id),
    refetchInterval: 10_000,
  });
  if (made.in_shadow)
    return (
      <>
        <button
          type="button"
          className="button"
          disabled={end.isPending}
          onClick={() => end.mutate(undefined)}
        >
          End the trial
        </button>
        {told.data !== undefined && (
          <span className="hint">
            {plural(told.data.seen, "answer")} beside the one that serves, {told.data.agreed} agree
          </span>
        )}
      </>
    );
  return (
    <>
      <button
        type="button"
        className="button"
        disabled={start.isPending}
        onClick={() => start.mutate(undefined)}
      >
        Try in the shadow
      </button>
      <label className="hint">
        on{" "}
        <select className="select" value={share} onChange={(event) => setShare(Number(event.target.value))}>
          {SHARES.map((each) => (
            <option key={each} value={each}>
              {percent(each)}
            </option>
          ))}
        </select>{" "}
        of the frames
      </label>
    </>
  );
}
