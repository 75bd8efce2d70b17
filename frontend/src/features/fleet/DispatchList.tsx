/** The scheduler's decisions as they are made: which node, why, what else was possible, and how it came out. */
import type { Dispatch } from "../../api/types";
import { ago, exactTime, formatError, formatMs } from "../../domain/format";
import { Icon, type IconName } from "../../ui/icons";
import { reasonInWords, stageWord } from "./words";

const OUTCOMES: Readonly<Record<Dispatch["outcome"], { words: string; icon: IconName; tone: string }>> = {
  running: { words: "Under way", icon: "wait", tone: "" },
  ok: { words: "Done", icon: "pass", tone: "tone-pass" },
  failed: { words: "Failed", icon: "fail", tone: "tone-fail" },
  late: { words: "Too late", icon: "hold", tone: "tone-hold" },
};

export function DispatchList({ dispatches, now }: { dispatches: readonly Dispatch[]; now: number }) {
  return (
    <div className="dispatch-scroll panel" tabIndex={0} role="region" aria-label="Table of decisions">
      <table className="dispatches">
        <thead>
          <tr>
            <th scope="col">When</th>
            <th scope="col">Step</th>
            <th scope="col">Node</th>
            <th scope="col">Why</th>
            <th scope="col" className="number">
              Predicted
            </th>
            <th scope="col" className="number" title="Time left to the deadline when it was sent">
              Deadline in
            </th>
            <th scope="col" className="number">
              Measured
            </th>
            <th scope="col">Outcome</th>
          </tr>
        </thead>
        <tbody>
          {dispatches.map((dispatch) => (
            <Row key={dispatch.id} dispatch={dispatch} now={now} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Row({ dispatch, now }: { dispatch: Dispatch; now: number }) {
  const { words, icon, tone } = OUTCOMES[dispatch.outcome];
  return (
    <tr data-dispatch={dispatch.id}>
      <td>
        <time dateTime={dispatch.sent_at} title={exactTime(dispatch.sent_at)}>
          {ago(dispatch.sent_at, now)}
        </time>
      </td>
      <td>
        <a href={`/frames/${dispatch.subject}/`}>{stageWord(dispatch.model)}</a>
        {dispatch.attempt > 1 && <span className="hint"> attempt {dispatch.attempt}</span>}
      </td>
      <td>
        <b>{dispatch.node}</b>
      </td>
      <td className="why">
        <span title={dispatch.reason}>{reasonInWords(choiceIn(dispatch))}</span>
        <Alternatives dispatch={dispatch} />
      </td>
      <td className="number">{formatMs(dispatch.predicted_ms)}</td>
      <Slack dispatch={dispatch} />
      <Measured dispatch={dispatch} />
      <td>
        <span className={`chip plain small ${tone}`} title={dispatch.error_detail}>
          <Icon name={icon} />
          {words}
        </span>
      </td>
    </tr>
  );
}

function Slack({ dispatch: { slack_ms, predicted_ms } }: { dispatch: Dispatch }) {
  if (slack_ms === null) return <td className="number hint">not known</td>;
  const missed = slack_ms < (predicted_ms ?? 0);
  return (
    <td className={`number${missed ? " too-late" : ""}`}>
      {slack_ms > 0 ? formatMs(slack_ms) : "passed"}
      {missed && <small>not in time</small>}
    </td>
  );
}

function Measured({ dispatch: { measured_ms, predicted_ms } }: { dispatch: Dispatch }) {
  if (measured_ms === null) return <td className="number" />;
  return (
    <td className="number">
      {formatMs(measured_ms)}
      {predicted_ms !== null && <small>{formatError(measured_ms - predicted_ms)}</small>}
    </td>
  );
}

/** The reason names the choice first and then, after "; ", the alternatives, which have their own line here. */
function choiceIn({ reason, alternatives }: Dispatch): string {
  return alternatives.length === 0 ? reason : (reason.split("; ")[0] ?? reason);
}

function Alternatives({ dispatch: { alternatives, node } }: { dispatch: Dispatch }) {
  const others = alternatives.filter((other) => other.node !== node);
  if (others.length === 0) return null;
  return (
    <ul className="alternatives">
      {others.map((other) => (
        <li key={other.node}>
          not {other.node}
          {other.predicted_ms !== null && ` (${formatMs(other.predicted_ms)})`}
          {other.why_not !== null && other.why_not !== "" && `: ${reasonInWords(other.why_not)}`}
        </li>
      ))}
    </ul>
  );
}
