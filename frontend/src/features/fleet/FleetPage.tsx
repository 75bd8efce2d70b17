/** Fleet: which nodes there are, how they stand, and how the scheduler chooses among them. */
import { useEffect, useMemo, useState, useSyncExternalStore } from "react";

import type { Boot } from "../../api/boot";
import { sentenceOf } from "../../api/client";
import { plural } from "../../domain/format";
import { useNow } from "../../ui/hooks";
import { Icon } from "../../ui/icons";
import { Connection, Empty, Notice } from "../../ui/parts";
import { DispatchList } from "./DispatchList";
import { FleetStore } from "./fleetStore";
import { NodeCard } from "./NodeCard";

export function FleetPage({ boot }: { boot: Boot }) {
  const store = useMemo(() => new FleetStore(), []);
  useEffect(() => store.start(), [store]);
  const status = useSyncExternalStore(store.subscribe, store.snapshot);
  const { nodes, dispatches, held, loaded } = useSyncExternalStore(store.feed.subscribe, store.feed.snapshot);
  const [paused, setPaused] = useState(false);
  useEffect(() => store.feed.setHolding(paused), [store, paused]);
  const now = useNow(1000);

  return (
    <div className="fleet">
      <header className="strip">
        <h1>Fleet</h1>
        <div className="strip-end">
          <Connection state={status.connection} onRetry={() => store.retryNow()} />
        </div>
      </header>
      {status.error !== null && (
        <Notice level="stopped">
          <p>{sentenceOf(status.error).detail}</p>
          <p>{sentenceOf(status.error).hint}</p>
        </Notice>
      )}
      {loaded && nodes.length === 0 ? (
        <Empty icon="node" title="No nodes yet">
          <p>
            A node is a machine that runs Triton. The launcher starts three; an admin can name others with
            AIVD_NODES or in the admin.
          </p>
        </Empty>
      ) : (
        <ul className="nodes" aria-label="Nodes">
          {nodes.map((node) => (
            <NodeCard
              key={node.name}
              node={node}
              now={now}
              mayManage={boot.may_manage_fleet}
              onChanged={(changed) => store.feed.node(changed)}
            />
          ))}
        </ul>
      )}
      <section className="decisions">
        <header>
          <h2>Last decisions</h2>
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
        {loaded && dispatches.length === 0 ? (
          <div className="panel">
            <Empty icon="tray" title="No decisions yet">
              <p>
                Each time a frame is sent to a node, the choice appears here with its reason. Send a frame
                from Live.
              </p>
            </Empty>
          </div>
        ) : (
          <DispatchList dispatches={dispatches} now={now} />
        )}
      </section>
    </div>
  );
}
