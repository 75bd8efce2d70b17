/** How nodes are chosen for each line, and choosing another way for whoever may. */
import { useEffect, useId, useState } from "react";

import { api, sentenceOf } from "../../api/client";
import type { LinePolicy } from "../../api/types";
import { ago, exactTime } from "../../domain/format";
import { useResource, type Resource } from "../../ui/hooks";
import { Notice } from "../../ui/parts";
import { complain, say } from "../../ui/toasts";

/** `version` grows when a hint said that some line chooses differently now. */
export function LinePolicies({ version, now }: { version: number; now: number }) {
  const lines = useResource(api.linePolicies);
  const { reload } = lines;
  useEffect(() => {
    if (version > 0) reload();
  }, [version, reload]);
  return (
    <section className="policies" aria-labelledby="policies-title">
      <h2 id="policies-title">How nodes are chosen</h2>
      <div className="panel">
        <Rows lines={lines} now={now} />
      </div>
    </section>
  );
}

function Rows({ lines, now }: { lines: Resource<LinePolicy[]>; now: number }) {
  if (lines.error !== null && lines.value === null) {
    const { detail, hint } = sentenceOf(lines.error);
    return (
      <Notice level="stopped">
        <p>{detail}</p>
        <p>{hint}</p>
      </Notice>
    );
  }
  if (lines.value === null) return <p className="hint padded">Asking for the lines…</p>;
  if (lines.value.length === 0) return <p className="hint padded">You have a role on no line.</p>;
  const rows = lines.value;
  const show = (changed: LinePolicy) =>
    lines.set(rows.map((row) => (row.line === changed.line ? changed : row)));
  return (
    <ul>
      {rows.map((row) => (
        <Row key={`${row.line} ${row.policy}`} row={row} now={now} onChanged={show} />
      ))}
    </ul>
  );
}

interface RowProps {
  row: LinePolicy;
  now: number;
  onChanged: (row: LinePolicy) => void;
}

function Row({ row, now, onChanged }: RowProps) {
  const [chosen, setChosen] = useState(row.policy);
  const [busy, setBusy] = useState(false);
  const [all, setAll] = useState(false);
  const field = useId();
  const set = async (policy: string, before: string) => {
    setBusy(true);
    try {
      onChanged(await api.setPolicy(row.line, policy));
      say(`${row.name} chooses by ${policy}.`, { label: "Undo", act: () => void set(before, policy) });
    } catch (error) {
      complain(error);
    }
    setBusy(false);
  };
  return (
    <li className="policy" data-line={row.line}>
      <label htmlFor={field}>
        <b>{row.name}</b> <span className="hint">{row.site}</span>
      </label>
      {row.may_change ? (
        <div className="policy-choice">
          <select
            id={field}
            className="select"
            value={chosen}
            disabled={busy}
            onChange={(event) => setChosen(event.target.value)}
          >
            {offered(row, all).map(({ name, recommended }) => (
              <option key={name} value={name}>
                {recommended ? `${name} (recommended)` : name}
              </option>
            ))}
          </select>
          {!all && (
            <button type="button" className="button quiet" onClick={() => setAll(true)}>
              All<span className="visually-hidden"> policies, for comparison</span>
            </button>
          )}
          {chosen !== row.policy && (
            <button
              type="button"
              className="button primary"
              disabled={busy}
              onClick={() => void set(chosen, row.policy)}
            >
              Use it
            </button>
          )}
        </div>
      ) : (
        <output id={field}>{row.policy}</output>
      )}
      <p className="hint">{row.available.find(({ name }) => name === chosen)?.about}</p>
      <LastChange row={row} now={now} />
    </li>
  );
}

/** The recommended one and the one in use; those of the benchmark when they are asked for. */
function offered({ available, policy }: LinePolicy, all: boolean): LinePolicy["available"] {
  return all ? available : available.filter(({ name, recommended }) => recommended || name === policy);
}

function LastChange({ row: { changes }, now }: { row: LinePolicy; now: number }) {
  const [last, ...earlier] = changes;
  if (last === undefined) return null;
  return (
    <details className="hint changes">
      <summary>
        {last.by} changed it from {last.before}{" "}
        <time dateTime={last.at} title={exactTime(last.at)}>
          {ago(last.at, now)}
        </time>
      </summary>
      <ol>
        {[last, ...earlier].map(({ at, by, before, after }) => (
          <li key={at}>
            {exactTime(at)}: {before} → {after}, {by}
          </li>
        ))}
      </ol>
    </details>
  );
}
