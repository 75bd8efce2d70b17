/** Fleet: which nodes there are, how they stand, and how the scheduler chooses among them. */
import { useQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useState, type ReactNode } from "react";

import type { Boot } from "../../api/boot";
import { sentenceOf } from "../../api/client";
import { queries } from "../../api/queries";
import type { Dispatch, FleetNode } from "../../api/types";
import { edgeOnly } from "../../domain/fleetMode";
import { fleetSentence } from "../../domain/fleetSentence";
import { plural } from "../../domain/format";
import { useNow, useStore } from "../../ui/hooks";
import { Icon } from "../../ui/icons";
import { Connection, Empty, Notice } from "../../ui/parts";
import { AccuracySection } from "./Accuracy";
import { DispatchList } from "./DispatchList";
import { FleetStore } from "./fleetStore";
import { LinePolicies } from "./LinePolicies";
import { NodeCard } from "./NodeCard";
import { ReplaySection } from "./ReplaySection";
import { SavingsSection } from "./Savings";

export function FleetPage({ boot }: { boot: Boot }) {
  const store = useMemo(() => new FleetStore(), []);
  useEffect(() => store.start(), [store]);
  const status = useStore(store);
  const { nodes, asked, dispatches, held, loaded } = useStore(store.feed);
  const now = useNow(1000);

  return (
    <div className="fleet">
      <header className="strip">
        <h1>Fleet</h1>
        <Standing nodes={nodes} />
        <div className="strip-end">
          <Connection
            state={status.connection}
            lost={status.error !== null}
            onRetry={() => store.retryNow()}
          />
        </div>
      </header>
      <div className="notices">
        {status.error !== null && (
          <Notice level="stopped">
            <p>{sentenceOf(status.error).detail}</p>
            <p>{sentenceOf(status.error).hint}</p>
          </Notice>
        )}
        <EdgeOnly nodes={nodes} />
      </div>
      <Nodes loaded={loaded} failed={status.error !== null} nodes={nodes}>
        {nodes.map((node) => (
          <NodeCard
            key={node.name}
            node={node}
            nodes={nodes}
            asked={asked.get(node.name)}
            now={now}
            mayManage={boot.may_manage_fleet}
            store={store}
          />
        ))}
      </Nodes>
      <Workers />
      <div className="two-columns">
        <AccuracySection />
        <LinePolicies version={status.policiesVersion} now={now} />
      </div>
      <SavingsSection />
      <Decisions store={store} dispatches={dispatches} held={held} loaded={loaded} now={now} />
      {boot.may_replay && <ReplaySection />}
    </div>
  );
}

/** The first thing to read: all well, or what is not. */
function Standing({ nodes }: { nodes: readonly FleetNode[] }) {
  const lateness = useQuery(queries.lateness);
  const standing = fleetSentence(nodes, lateness.data ?? null);
  return (
    <p className="standing" data-level={standing?.level} role="status">
      {standing !== null && (
        <>
          <Icon name={standing.level === "well" ? "pass" : "warning"} />
          {standing.words}
        </>
      )}
    </p>
  );
}

/** Who sends the work, and what these could not tell the screens at once. */
function Workers() {
  const { data } = useQuery(queries.fleet);
  if (data === undefined) return null;
  const { live_workers: workers, dropped_hints: dropped } = data;
  return (
    <p className="workers hint">
      {workers === 0
        ? "No worker sends work to the nodes now"
        : `${plural(workers, "worker")} send${workers === 1 ? "s" : ""} work to the nodes`}
      .
      {dropped > 0 &&
        ` ${plural(dropped, "message")} to screens could not be sent at once; screens read what they missed.`}
    </p>
  );
}

/** The mode that frames are in while no cloud node takes work, and what waits because of it. */
function EdgeOnly({ nodes }: { nodes: readonly FleetNode[] }) {
  const because = edgeOnly(nodes);
  const health = useQuery(queries.health);
  if (because === null) return null;
  const waiting = health.data?.backlog?.waiting_to_describe ?? 0;
  return (
    <Notice>
      <p>
        <b>Edge-only:</b> {because.join(", ")}. Frames are decided; descriptions of {plural(waiting, "frame")}{" "}
        wait and are filled in when a cloud node is back.
      </p>
    </Notice>
  );
}

interface NodesProps {
  loaded: boolean;
  failed: boolean;
  nodes: readonly FleetNode[];
  children: ReactNode;
}

function Nodes({ loaded, failed, nodes, children }: NodesProps) {
  if (!loaded) return failed ? null : <p className="hint padded">Asking for the nodes…</p>;
  if (nodes.length === 0)
    return (
      <Empty icon="node" title="No nodes yet">
        <p>
          A node is a machine that runs Triton. The launcher starts three; an admin can name others with
          AIVD_NODES or in the admin.
        </p>
      </Empty>
    );
  return (
    <section aria-labelledby="nodes-title">
      <h2 id="nodes-title" className="visually-hidden">
        Nodes
      </h2>
      <ul className="nodes">{children}</ul>
    </section>
  );
}

interface DecisionsProps {
  store: FleetStore;
  dispatches: readonly Dispatch[];
  held: number;
  loaded: boolean;
  now: number;
}

function Decisions({ store, dispatches, held, loaded, now }: DecisionsProps) {
  const [paused, setPaused] = useState(false);
  useEffect(() => store.feed.setHolding(paused), [store, paused]);
  return (
    <section className="decisions" aria-labelledby="decisions-title">
      <header>
        <h2 id="decisions-title">Last decisions</h2>
        {held > 0 && (
          <button type="button" className="button primary" onClick={() => store.feed.release()}>
            {plural(held, "new decision")}
          </button>
        )}
        <button type="button" className="button" aria-pressed={paused} onClick={() => setPaused(!paused)}>
          <Icon name={paused ? "play" : "pause"} />
          {paused ? "Resume" : "Pause"}
        </button>
      </header>
      {!loaded && <p className="hint panel padded">Decisions appear here as they are made.</p>}
      {loaded && dispatches.length === 0 && (
        <div className="panel">
          <Empty icon="tray" title="No decisions yet">
            <p>
              Each time a frame is sent to a node, the choice appears here with its reason. Send a frame from
              Live.
            </p>
          </Empty>
        </div>
      )}
      {dispatches.length > 0 && <DispatchList dispatches={dispatches} now={now} />}
    </section>
  );
}
