/** One node: whether it works, how busy it is, how far away, what it serves; drain for whoever may. */
import type { ReactNode } from "react";

import type { FleetNode } from "../../api/types";
import { ago, exactTime, formatMs, formatRate } from "../../domain/format";
import { troublesInWords } from "../../domain/nodeTroubles";
import { Icon, type IconName } from "../../ui/icons";
import { DrainButton } from "./DrainButton";
import type { FleetStore } from "./fleetStore";
import { MODEL_TITLES } from "./words";

interface Look {
  words: string;
  icon: IconName;
  tone: string;
}

/** What a person set comes before what the heartbeat saw; a breaker before a probe that went well. */
function lookOf({ health, breaker }: FleetNode, draining: boolean): Look {
  if (health === "unreachable") return { words: "Unreachable", icon: "fail", tone: "tone-fail" };
  if (health === "wrong_contract") return { words: "Other version", icon: "fail", tone: "tone-fail" };
  if (draining) return { words: "Drained", icon: "pause", tone: "tone-hold" };
  if (breaker === "open") return { words: "Resting after failures", icon: "hold", tone: "tone-hold" };
  if (health === "unknown") return { words: "Not seen yet", icon: "wait", tone: "" };
  return { words: "Ready", icon: "pass", tone: "tone-pass" };
}

const BREAKER_WORDS = {
  closed: "Accepting work",
  "half-open": "On trial after failures",
  open: "Resting after failures",
} as const;

interface Props {
  node: FleetNode;
  nodes: readonly FleetNode[];
  /** What somebody here asked for and the server has not answered yet: drain, undrain, or nothing. */
  asked: boolean | undefined;
  mayManage: boolean;
  now: number;
  store: FleetStore;
}

export function NodeCard({ node, nodes, asked, mayManage, now, store }: Props) {
  const draining = asked ?? node.draining;
  const look = lookOf(node, draining);
  return (
    <li className="node panel" data-node={node.name} data-draining={draining}>
      <header>
        <Icon name={node.kind === "cloud" ? "cloud" : "node"} />
        <h3>{node.name}</h3>
        <span className="hint">{node.kind}</span>
        <span className={`chip ${look.tone}`} aria-busy={asked !== undefined}>
          <Icon name={look.icon} />
          {look.words}
        </span>
      </header>
      {node.health_detail !== "" && <p className="hint detail">{node.health_detail}</p>}
      <Load node={node} />
      <dl className="facts">
        <Fact name="Link">
          {node.link.rtt_ms === null ? "not measured" : `${formatMs(node.link.rtt_ms)} round trip`}
          {node.link.bandwidth_bytes_s !== null && `, ${formatRate(node.link.bandwidth_bytes_s)}`}
        </Fact>
        <Fact name="Work">
          {node.breaker === null ? "Nothing was sent to it yet" : BREAKER_WORDS[node.breaker]}
        </Fact>
        <Models node={node} />
        <Troubles counts={node.counts} />
        <Fact name="Last ready">
          <Moment iso={node.last_ready_at} now={now} otherwise="never" />
        </Fact>
        {node.last_act !== null && (
          <Fact name={node.last_act.act === "drain" ? "Drained" : "Put back to work"}>
            by {node.last_act.by}, <Moment iso={node.last_act.at} now={now} otherwise="" />
          </Fact>
        )}
      </dl>
      {mayManage && <DrainButton node={node} nodes={nodes} asked={asked} store={store} />}
    </li>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className="contents">
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** Shown where there were any. They count from when each worker began. */
function Troubles({ counts }: { counts: FleetNode["counts"] }) {
  const troubles = troublesInWords(counts);
  if (troubles.length === 0) return null;
  return (
    <Fact name="Troubles">
      <ul className="troubles" title="Since the workers began">
        {troubles.map((words) => (
          <li key={words}>{words}</li>
        ))}
      </ul>
    </Fact>
  );
}

interface MomentProps {
  iso: string | null;
  now: number;
  otherwise: string;
}

function Moment({ iso, now, otherwise }: MomentProps) {
  if (iso === null) return otherwise;
  return (
    <time dateTime={iso} title={exactTime(iso)}>
      {ago(iso, now)}
    </time>
  );
}

function Load({ node: { load, credits, capacity } }: { node: FleetNode }) {
  return (
    <div className="load">
      <dl className="load-figures">
        <Figure name="Under way" title="Requests sent and not answered, out of those it works on at once">
          {load.outstanding} <small>of {capacity}</small>
        </Figure>
        <Figure name="Queue" title="Until it would begin one more request">
          {load.waiting_ms === null ? "–" : formatMs(load.waiting_ms)}
        </Figure>
        <Figure name="Room left" title="Requests that may still be sent there, out of those it may hold">
          {credits.left ?? "–"} {credits.limit !== null && <small>of {credits.limit}</small>}
        </Figure>
        <Figure name="Placed" title="Requests sent there in the last 60 s">
          {load.placed_last_minute} <small>/ min</small>
        </Figure>
      </dl>
      <meter
        min={0}
        max={Math.max(1, capacity)}
        value={Math.min(load.outstanding, capacity)}
        aria-label="Requests under way"
      />
    </div>
  );
}

function Figure({ name, title, children }: { name: string; title: string; children: ReactNode }) {
  return (
    <div title={title}>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Models({ node }: { node: FleetNode }) {
  return node.models.map(({ model, served_model }) => (
    <Fact key={model} name={MODEL_TITLES[model] ?? model}>
      {served_model ?? "has not answered yet"}
      {served_model !== null && node.load.service_ms[model] !== undefined && (
        <span className="hint">, {formatMs(node.load.service_ms[model])} each</span>
      )}
    </Fact>
  ));
}
