/** Verdicts that the server does not have yet: what they say, how they stand, and what can be done. */
import type { QueuedVerdict } from "../../domain/verdictOutbox";
import { Icon } from "../../ui/icons";

interface Props {
  verdicts: readonly QueuedVerdict[];
  frame: string;
  onRetry: (key: string) => void;
  onTakeBack: (verdict: QueuedVerdict) => void;
}

export function OnTheirWay({ verdicts, frame, onRetry, onTakeBack }: Props) {
  // What goes out at once is told when it has arrived.
  const held = verdicts.filter(({ state, reason }) => state === "refused" || reason !== null);
  return (
    <ul className="on-their-way" role="status" aria-label="Verdicts on their way">
      {held.map((verdict) => (
        <li key={verdict.key} data-state={verdict.state}>
          <Icon name={verdict.state === "refused" ? "warning" : "wait"} />
          <span>
            <b>{verdict.label}</b>
            {verdict.frame !== frame && (
              <>
                {" "}
                for <a href={`/frames/${verdict.frame}/`}>{verdict.frameName}</a>
              </>
            )}
            : {stateInWords(verdict)}
          </span>
          {verdict.state === "refused" && (
            <button type="button" className="link-button" onClick={() => onRetry(verdict.key)}>
              Try again
            </button>
          )}
          {verdict.state !== "sending" && (
            <button type="button" className="link-button" onClick={() => onTakeBack(verdict)}>
              {verdict.frame === frame ? "Take back" : "Discard"}
            </button>
          )}
        </li>
      ))}
    </ul>
  );
}

function stateInWords({ state, reason }: QueuedVerdict): string {
  const why = reason === null ? "" : `${reason.detail} ${reason.hint}`.trim();
  if (state === "refused") return `refused. ${why}`;
  if (state === "sending") return "being sent again.";
  return `waiting to be sent. ${why} It goes out by itself.`;
}
