/** What the machine decided of the frame and why, where it was worked on, and how well that was foreseen. */
import { useMutation } from "@tanstack/react-query";

import { api } from "../../api/client";
import type { DispatchFact, Frame, FrameStep } from "../../api/types";
import { howFarInWords } from "../../domain/appearance";
import { formatMs, plural } from "../../domain/format";
import { Icon } from "../../ui/icons";
import { DecisionChip, Notice } from "../../ui/parts";
import { useMessages } from "../../ui/toasts";

const STATE_WORDS: Readonly<Record<FrameStep["state"], string>> = {
  waiting: "waiting for a node",
  running: "under way",
  done: "done",
  failed: "failed",
  skipped: "left out: no node would have been in time",
};

export function MachineSide({
  frame,
  mayConfigure,
  mayRetry,
  onRetried,
}: {
  frame: Frame;
  mayConfigure: boolean;
  mayRetry: boolean;
  onRetried: () => void;
}) {
  const { decision } = frame;
  const failed = frame.steps.filter(({ state }) => state === "failed");
  return (
    <section className="machine-side">
      <div className="decision">
        <DecisionChip outcome={decision?.outcome ?? null} large />
        {decision !== null && <span className="hint">decided in {formatMs(decision.latency_ms)}</span>}
      </div>
      {decision !== null && <p>{decision.reason}</p>}
      {frame.appearance !== null && <p className="hint">{howFarInWords(frame.appearance)}</p>}
      {decision?.code === "unlike" && <AboutBaseline station={frame.station} mayConfigure={mayConfigure} />}
      <table className="steps">
        <thead>
          <tr>
            <th scope="col">Step</th>
            <th scope="col">Node</th>
            <th scope="col" className="number">
              Predicted
            </th>
            <th scope="col" className="number">
              Measured
            </th>
          </tr>
        </thead>
        <tbody>
          {frame.steps.map((step) => (
            <StepRow key={step.kind} step={step} fact={frame.dispatches[step.kind]} />
          ))}
        </tbody>
      </table>
      {failed.length > 0 && (
        <Failed steps={failed} frame={frame.id} mayRetry={mayRetry} onRetried={onRetried} />
      )}
    </section>
  );
}

/** A frame unlike anything known is often the first of a new product: a person can say that it is the right one. */
function AboutBaseline({ station, mayConfigure }: { station: Frame["station"]; mayConfigure: boolean }) {
  return (
    <p>
      <a href={`/stations/${station.id}/#baseline`}>
        {mayConfigure
          ? `Look at ${station.name}’s first frames`
          : `What ${station.name}’s first frames look like`}
      </a>
      <span className="hint">
        {mayConfigure
          ? " and confirm them, if they show the right product."
          : ". An engineer can confirm them."}
      </span>
    </p>
  );
}

function StepRow({ step, fact }: { step: FrameStep; fact: DispatchFact | undefined }) {
  const node = fact?.node ?? step.node;
  return (
    <>
      <tr>
        <th scope="row">{step.title}</th>
        {step.state === "done" || fact?.measured_ms != null ? (
          <>
            <td>
              {node}
              {step.attempts > 1 && <span className="hint"> ({plural(step.attempts, "attempt")})</span>}
              {fact?.quality !== undefined && fact.quality !== "" && (
                <span className="hint"> in {fact.quality}</span>
              )}
            </td>
            <td className="number">{formatMs(fact?.predicted_ms)}</td>
            <td className="number">{formatMs(fact?.measured_ms)}</td>
          </>
        ) : (
          <td colSpan={3} className="hint">
            {STATE_WORDS[step.state]}
            {node !== null && step.state === "running" && ` on ${node}`}
          </td>
        )}
      </tr>
      {Object.entries(step.result).map(([name, text]) => (
        <tr key={name}>
          <td colSpan={4}>
            {name}: {text}
          </td>
        </tr>
      ))}
    </>
  );
}

interface FailedProps {
  steps: readonly FrameStep[];
  frame: string;
  mayRetry: boolean;
  onRetried: () => void;
}

function Failed({ steps, frame, mayRetry, onRetried }: FailedProps) {
  const { say, complain } = useMessages();
  const retry = useMutation({
    mutationFn: () => api.retry(frame),
    onSuccess: () => {
      say("It goes back into the queue.");
      onRetried();
    },
    onError: complain,
  });
  return (
    <Notice level="stopped">
      {steps.map((step) => (
        <p key={step.kind}>
          {step.title} failed after {plural(step.attempts, "attempt")}: {step.error ?? "no reason was given"}
        </p>
      ))}
      {mayRetry && (
        <button type="button" className="button" disabled={retry.isPending} onClick={() => retry.mutate()}>
          <Icon name="retry" />
          Try again
        </button>
      )}
    </Notice>
  );
}
