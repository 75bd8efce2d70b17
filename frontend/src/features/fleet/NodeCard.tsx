/** One node: whether it works, how busy it is, how far away, what it serves; drain for whoever may. */
import { useState } from "react";

import { api } from "../../api/client";
import type { FleetNode } from "../../api/types";
import { ago, exactTime, formatMs } from "../../domain/format";
import { Icon, type IconName } from "../../ui/icons";
import { complain } from "../../ui/toasts";

interface Look {
  words: string;
  icon: IconName;
  tone: string;
}

const MODEL_WORDS: Readonly<Record<string, string>> = { edge_detector: "Detector", describer: "Describer" };

/** What a person set comes before what the heartbeat saw; a breaker before a probe that went well. */
function lookOf({ health, draining, breaker }: FleetNode): Look {
  if (health === "unreachable") return { words: "Unreachable", icon: "fail", tone: "tone-fail" };
  if (health === "wrong_contract") return { words: "Wrong contract", icon: "fail", tone: "tone-fail" };
  if (draining) return { words: "Drained", icon: "pause", tone: "tone-hold" };
  if (breaker === "open") return { words: "Held back", icon: "hold", tone: "tone-hold" };
  if (health === "unknown") return { words: "Not seen yet", icon: "wait", tone: "" };
  return { words: "Ready", icon: "pass", tone: "tone-pass" };
}

const BREAKER_WORDS = {
  closed: "closed: it gets work",
  "half-open": "half-open: on trial",
  open: "open: rests after failures",
} as const;

export function NodeCard({
  node,
  mayManage,
  now,
  onChanged,
}: {
  node: FleetNode;
  mayManage: boolean;
  now: number;
  onChanged: (node: FleetNode) => void;
}) {
  const look = lookOf(node);
  return (
    <li className="node panel" data-node={node.name}>
      <header>
        <Icon name={node.kind === "cloud" ? "cloud" : "node"} />
        <h3>{node.name}</h3>
        <span className="hint">{node.kind}</span>
        <span className={`chip ${look.tone}`}>
          <Icon name={look.icon} />
          {look.words}
        </span>
      </header>
      {node.health_detail !== "" && <p className="hint detail">{node.health_detail}</p>}
      <Load node={node} />
      <dl className="facts">
        <dt>Link</dt>
        <dd>{node.link.rtt_ms === null ? "not measured" : `${formatMs(node.link.rtt_ms)} round trip`}</dd>
        <dt>Breaker</dt>
        <dd>{node.breaker === null ? "no worker has used it" : BREAKER_WORDS[node.breaker]}</dd>
        <Models node={node} />
        <dt>Last ready</dt>
        <dd>
          {node.last_ready_at === null ? (
            "never"
          ) : (
            <time dateTime={node.last_ready_at} title={exactTime(node.last_ready_at)}>
              {ago(node.last_ready_at, now)}
            </time>
          )}
        </dd>
      </dl>
      {mayManage && <Drain node={node} onChanged={onChanged} />}
    </li>
  );
}

function Load({ node: { load, capacity } }: { node: FleetNode }) {
  return (
    <div className="load">
      <div className="load-line">
        <span>
          <b>{load.outstanding}</b> of {capacity} under way
        </span>
        <span className="hint">
          {load.waiting_ms !== null && load.waiting_ms > 0 && `queue ${formatMs(load.waiting_ms)}`}
        </span>
      </div>
      <meter
        min={0}
        max={Math.max(1, capacity)}
        value={Math.min(load.outstanding, capacity)}
        aria-label="Requests under way"
      />
    </div>
  );
}

function Models({ node }: { node: FleetNode }) {
  return node.models.map(({ model, served_model }) => (
    <div key={model} className="contents">
      <dt>{MODEL_WORDS[model] ?? model}</dt>
      <dd>
        {served_model ?? "has not answered yet"}
        {served_model !== null && node.load.service_ms[model] !== undefined && (
          <span className="hint">, {formatMs(node.load.service_ms[model])} each</span>
        )}
      </dd>
    </div>
  ));
}

function Drain({ node, onChanged }: { node: FleetNode; onChanged: (node: FleetNode) => void }) {
  const [busy, setBusy] = useState(false);
  const toggle = async () => {
    setBusy(true);
    try {
      onChanged(await api.drain(node.name, node.draining ? "undrain" : "drain"));
    } catch (error) {
      complain(error);
    }
    setBusy(false);
  };
  return (
    <button
      type="button"
      className="button"
      disabled={busy}
      title={node.draining ? "Give it work again" : "Give it no new work; what runs there finishes"}
      onClick={() => void toggle()}
    >
      <Icon name={node.draining ? "play" : "pause"} />
      {node.draining ? "Undrain" : "Drain"}
      <span className="visually-hidden"> {node.name}</span>
    </button>
  );
}
