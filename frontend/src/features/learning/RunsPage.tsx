/** Runs: who trains what, in which order, with which result. Launch one, follow it live, set two side by side. */
import { useQuery } from "@tanstack/react-query";

import type { Boot } from "../../api/boot";
import { plural } from "../../domain/format";
import { Icon } from "../../ui/icons";
import { Connection, Empty } from "../../ui/parts";
import { leftInWords } from "./curve";
import { LaunchForm } from "./LaunchForm";
import { learning, type Run, isOpen } from "./learningApi";
import { mayTrain, StateChip, useAddress } from "./runParts";
import { RunView } from "./RunView";
import { Trouble } from "./Trouble";
import { useLineHints } from "./useLineHints";

const NEW = "new";

const ASK_AGAIN_MS = 5000;

export function RunsPage({ boot }: { boot: Boot }) {
  const hints = useLineHints(boot.lines);
  const runs = useQuery({
    queryKey: ["runs"],
    queryFn: learning.runs,
    // A hint may be lost: what is at work is asked for now and then all the same.
    refetchInterval: ({ state }) => (state.data?.some((run) => isOpen(run.state)) ? ASK_AGAIN_MS : false),
  });
  const [chosen, choose] = useAddress("run");
  const all = runs.data ?? [];
  const shown = all.find(({ id }) => id === chosen) ?? (chosen === NEW ? undefined : all[0]);
  const trains = boot.lines.some(({ id }) => mayTrain(boot, id));
  const launching = trains && (chosen === NEW || (runs.data !== undefined && all.length === 0));
  return (
    <div className="learning">
      <header className="strip">
        <h1>Runs</h1>
        <Corrections />
        <div className="strip-end">
          <Connection state={hints.connection} lost={runs.error !== null} onRetry={hints.retryNow} />
          {trains && (
            <button type="button" className="button primary" onClick={() => choose(NEW)}>
              <Icon name="plus" />
              New run
            </button>
          )}
        </div>
      </header>
      {runs.error !== null && <Trouble error={runs.error} />}
      <div className="learning-columns">
        <RunList runs={all} shown={launching ? undefined : shown?.id} onChoose={choose} />
        {launching && <LaunchForm boot={boot} onLaunched={(run) => choose(run.id)} />}
        {!launching && shown !== undefined && <RunView key={shown.id} boot={boot} run={shown} runs={all} />}
        {!launching && runs.data !== undefined && all.length === 0 && (
          <div className="panel">
            <Empty icon="machine" title="No runs yet">
              <p>
                A run makes a better model from a sealed dataset. An admin of the line can launch one here.
              </p>
            </Empty>
          </div>
        )}
      </div>
    </div>
  );
}

/** When the next run is worth it. */
function Corrections() {
  const found = useQuery({ queryKey: ["corrections"], queryFn: learning.corrections });
  const told = (found.data ?? []).filter(({ corrections }) => corrections > 0);
  if (told.length === 0) return null;
  return (
    <ul className="corrections">
      {told.map(({ line, corrections, version }) => (
        <li key={line.id}>
          <b>{plural(corrections, "new correction")}</b>{" "}
          {version === null ? "and no adapter yet" : `since adapter v${version}`} on {line.name}
        </li>
      ))}
    </ul>
  );
}

interface ListProps {
  runs: readonly Run[];
  shown: string | undefined;
  onChoose: (id: string) => void;
}

const GROUPS: readonly (readonly [string, (run: Run) => boolean])[] = [
  ["At work", ({ state }) => state === "running"],
  ["Waiting", ({ state }) => state === "queued" || state === "paused"],
  ["Ended", ({ state }) => !["running", "queued", "paused"].includes(state)],
];

function RunList({ runs, shown, onChoose }: ListProps) {
  return (
    <nav className="panel run-list" aria-label="Runs">
      {GROUPS.map(([title, belongs]) => {
        const group = runs.filter(belongs).sort((one, other) => (one.place ?? 0) - (other.place ?? 0));
        if (group.length === 0) return null;
        return (
          <section key={title}>
            <h2>{title}</h2>
            <ul>
              {group.map((run) => (
                <li key={run.id} data-run={run.id} data-state={run.state}>
                  <button type="button" aria-current={run.id === shown} onClick={() => onChoose(run.id)}>
                    <span className="run-name">{run.title}</span>
                    <StateChip run={run} />
                    <span className="hint">
                      {run.line.name} · {run.dataset} v{run.version}
                      {run.state === "running" && ` · ${leftInWords(run.eta_s) || "begins"}`}
                    </span>
                    {run.state === "running" && run.steps > 0 && (
                      <progress max={run.steps} value={run.step} aria-label={`Steps of ${run.title}`} />
                    )}
                  </button>
                </li>
              ))}
            </ul>
          </section>
        );
      })}
      {runs.length === 0 && <p className="hint padded">Nothing here yet.</p>}
    </nav>
  );
}
