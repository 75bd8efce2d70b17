/** How nodes are chosen for each line, and choosing another way for whoever may. */
import { useMutation, useQuery, useQueryClient, type UseQueryResult } from "@tanstack/react-query";
import { useEffect, useId, useState } from "react";

import { api, sentenceOf } from "../../api/client";
import { queries } from "../../api/queries";
import type { LinePolicy } from "../../api/types";
import { ago, exactTime } from "../../domain/format";
import { Notice } from "../../ui/parts";
import { useMessages } from "../../ui/toasts";

/** `version` grows when a hint said that some line chooses differently now. */
export function LinePolicies({ version, now }: { version: number; now: number }) {
  const lines = useQuery(queries.linePolicies);
  const cache = useQueryClient();
  useEffect(() => {
    if (version > 0) void cache.invalidateQueries(queries.linePolicies);
  }, [version, cache]);
  return (
    <section className="policies" aria-labelledby="policies-title">
      <h2 id="policies-title">How nodes are chosen</h2>
      <div className="panel">
        <Rows lines={lines} now={now} />
      </div>
    </section>
  );
}

function Rows({ lines, now }: { lines: UseQueryResult<LinePolicy[]>; now: number }) {
  if (lines.error !== null && lines.data === undefined) {
    const { detail, hint } = sentenceOf(lines.error);
    return (
      <Notice level="stopped">
        <p>{detail}</p>
        <p>{hint}</p>
      </Notice>
    );
  }
  if (lines.data === undefined) return <p className="hint padded">Asking for the lines…</p>;
  if (lines.data.length === 0) return <p className="hint padded">You have a role on no line.</p>;
  return (
    <ul>
      {lines.data.map((row) => (
        <Row key={`${row.line} ${row.policy}`} row={row} now={now} />
      ))}
    </ul>
  );
}

interface RowProps {
  row: LinePolicy;
  now: number;
}

function Row({ row, now }: RowProps) {
  const [chosen, setChosen] = useState(row.policy);
  const [all, setAll] = useState(false);
  const field = useId();
  const { choose, busy } = useChoosing(row);
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
              onClick={() => choose(chosen, row.policy)}
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

/** Say how a line chooses from now on; what it chose by before can be put back. */
function useChoosing({ line, name }: LinePolicy) {
  const cache = useQueryClient();
  const { say, complain } = useMessages();
  const { mutateAsync, isPending } = useMutation({
    mutationFn: (policy: string) => api.setPolicy(line, policy),
    onSuccess: (changed) =>
      cache.setQueryData(queries.linePolicies.queryKey, (rows) =>
        rows?.map((row) => (row.line === line ? changed : row)),
      ),
    onError: complain,
  });
  // The row is drawn anew with its new policy, so what comes after is said here and not by the old row.
  const choose = (policy: string, before: string): void =>
    void mutateAsync(policy).then(
      () => say(`${name} chooses by ${policy}.`, { label: "Undo", act: () => choose(before, policy) }),
      () => undefined,
    );
  return { choose, busy: isPending };
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
