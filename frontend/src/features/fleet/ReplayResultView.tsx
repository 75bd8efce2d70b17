/** The result of a replay: figures of both policies side by side, and the decisions that differ most. */
import type { Replay, ReplayExample, ReplayResult, ReplaySide } from "../../api/types";
import { clock, formatError, formatMs, plural } from "../../domain/format";
import { stageWord } from "./words";

const SHOWN = 12;
const INSTEAD: Readonly<Record<string, string>> = {
  wait: "left waiting",
  defer: "deferred",
  skip: "skipped",
  reject: "rejected",
};

interface Props {
  run: Replay;
  result: ReplayResult;
}

export function ReplayResultView({ run, result }: Props) {
  if (result.decisions === 0)
    return <p className="hint padded">No request was sent in the records of this stretch.</p>;
  return (
    <div className="replay-result">
      <p>{inWords(run, result)}</p>
      <Figures run={run} result={result} />
      <Examples run={run} examples={result.examples} />
    </div>
  );
}

function inWords(run: Replay, result: ReplayResult): string {
  const { decisions, same_node, median_change_ms, unreadable, left_out } = result;
  const other = decisions - same_node;
  const words = [
    `Of ${plural(decisions, "request")}, ${run.policy} would have sent ${same_node} to the same node` +
      (other > 0 ? ` and decided ${other} differently.` : "."),
  ];
  if (median_change_ms !== null) {
    words.push(`For those on another node the median prediction is ${sooner(median_change_ms)}.`);
  }
  if (unreadable > 0) words.push(`${plural(unreadable, "record")} could not be read by today's policies.`);
  if (left_out > 0) words.push(`The time limit left out ${plural(left_out, "record")}.`);
  return words.join(" ");
}

function sooner(changeMs: number): string {
  if (Math.abs(changeMs) < 0.05) return "the same";
  return `${formatMs(Math.abs(changeMs))} ${changeMs > 0 ? "longer" : "shorter"}`;
}

function Figures({ run, result: { was, would, recorded_by } }: Props) {
  const nodes = [...new Set([...Object.keys(was.by_node), ...Object.keys(would.by_node)])].sort();
  const most = Math.max(1, ...Object.values(was.by_node), ...Object.values(would.by_node));
  const kept = [...new Set([...Object.keys(was.not_sent), ...Object.keys(would.not_sent)])].sort();
  return (
    <table className="replay-figures">
      <thead>
        <tr>
          <td />
          <th scope="col">
            As it was <span className="hint">{Object.keys(recorded_by).join(", ")}</span>
          </th>
          <th scope="col">
            Would have been <span className="hint">{run.policy}</span>
          </th>
        </tr>
      </thead>
      <tbody>
        <Line name="Predicted in time" of={inTime} was={was} would={would} />
        <Line
          name="Predicted, median"
          of={({ p50_predicted_ms }) => foreseen(p50_predicted_ms)}
          {...{ was, would }}
        />
        <Line
          name="Predicted, 95 %"
          of={({ p95_predicted_ms }) => foreseen(p95_predicted_ms)}
          {...{ was, would }}
        />
        {kept.map((action) => (
          <Line
            key={action}
            name={`Not sent: ${INSTEAD[action] ?? action}`}
            of={({ not_sent }) => String(not_sent[action] ?? 0)}
            was={was}
            would={would}
          />
        ))}
        {nodes.map((node) => (
          <tr key={node}>
            <th scope="row">{node}</th>
            {[was, would].map(({ by_node }, side) => (
              <td key={side}>
                <div className="share">
                  <span>{by_node[node] ?? 0}</span>
                  <meter min={0} max={most} value={by_node[node] ?? 0} aria-label={`Requests on ${node}`} />
                </div>
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

interface LineProps {
  name: string;
  of: (side: ReplaySide) => string;
  was: ReplaySide;
  would: ReplaySide;
}

function Line({ name, of, was, would }: LineProps) {
  return (
    <tr>
      <th scope="row">{name}</th>
      <td>{of(was)}</td>
      <td>{of(would)}</td>
    </tr>
  );
}

function inTime({ in_time_share, sent }: ReplaySide): string {
  return in_time_share === null ? "–" : `${(in_time_share * 100).toFixed(1)} % of ${sent}`;
}

function foreseen(ms: number | null): string {
  return ms === null ? "–" : formatMs(ms);
}

function Examples({ run, examples }: { run: Replay; examples: readonly ReplayExample[] }) {
  if (examples.length === 0) return null;
  return (
    <details className="examples">
      <summary>The {plural(Math.min(SHOWN, examples.length), "decision")} that differ most</summary>
      <div className="dispatch-scroll" tabIndex={0} role="region" aria-label="Decisions that differ most">
        <table className="dispatches">
          <thead>
            <tr>
              <th scope="col">At</th>
              <th scope="col">Step</th>
              <th scope="col">Deadline in</th>
              <th scope="col">As it was</th>
              <th scope="col">{run.policy}</th>
              <th scope="col" className="number">
                Difference
              </th>
            </tr>
          </thead>
          <tbody>
            {examples.slice(0, SHOWN).map((example) => (
              <tr key={`${example.item} ${example.at}`}>
                <td>{clock(new Date(example.at * 1000).toISOString(), Date.parse(run.until))}</td>
                <td>{stageWord(example.model)}</td>
                <td>{example.slack_ms > 0 ? formatMs(example.slack_ms) : "passed"}</td>
                <td>{choiceInWords(example.was)}</td>
                <td>{choiceInWords(example.would)}</td>
                <td className="number">{example.change_ms === null ? "" : formatError(example.change_ms)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}

function choiceInWords({ action, node, predicted_ms }: ReplayExample["was"]): string {
  if (node === null) return INSTEAD[action] ?? action;
  return predicted_ms === null ? node : `${node}, ${formatMs(predicted_ms)}`;
}
