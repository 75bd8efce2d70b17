/** Live: what a line's cameras see and what the machine makes of it, at this moment. */
import { useCallback, useEffect, useMemo, useState, useSyncExternalStore } from "react";

import { api, sentenceOf } from "../../api/client";
import type { Boot } from "../../api/boot";
import type { Frame, Line, Me, Station } from "../../api/types";
import { descriptionsWaitFor, troubles } from "../../domain/degraded";
import { formatMs, plural } from "../../domain/format";
import { median } from "../../domain/throughput";
import { useNow, useResource } from "../../ui/hooks";
import { Icon } from "../../ui/icons";
import { Connection, Empty, Notice } from "../../ui/parts";
import { DemoPanel } from "./DemoPanel";
import { DropZone } from "./DropZone";
import { FrameGrid } from "./FrameGrid";
import { StreamPanel } from "./StreamPanel";
import { LiveStore } from "./liveStore";

const HEALTH_EVERY_MS = 5000;

export function LivePage({ boot }: { boot: Boot }) {
  if (boot.line === null) {
    return (
      <Empty icon="tray" title="No line to show">
        <p>
          You have no role on any line yet. An admin can give you one; then its newest frames appear here.
        </p>
      </Empty>
    );
  }
  return <LiveLine line={boot.line} lines={boot.lines} me={boot.me} />;
}

function LiveLine({ line, lines, me }: { line: Line; lines: readonly Line[]; me: Me | null }) {
  const [paused, setPaused] = useState(false);
  const health = useResource(api.health, HEALTH_EVERY_MS);
  const { reload } = health;
  const store = useMemo(() => new LiveStore(line.id, reload), [line.id, reload]);
  useEffect(() => store.start(), [store]);
  const status = useSyncExternalStore(store.subscribe, store.snapshot);
  const { shown } = useSyncExternalStore(store.feed.subscribe, store.feed.snapshot);
  const now = useNow(1000);
  // On a narrow screen the frames come first; with none, what makes them appear does.
  const [asked, setAsked] = useState<boolean | null>(null);
  const sourcesOpen = asked ?? (status.loaded && shown.length === 0);

  return (
    <div className="live" data-sources={sourcesOpen ? "open" : "closed"}>
      <div className="live-main">
        <header className="strip">
          <LinePicker line={line} lines={lines} />
          <Figures shown={shown} perMinute={decidedLastMinute(shown, store, now)} />
          <div className="strip-end">
            <Connection state={status.connection} onRetry={() => store.retryNow()} />
            <button
              type="button"
              className="button sources-switch"
              aria-expanded={sourcesOpen}
              onClick={() => setAsked(!sourcesOpen)}
            >
              <Icon name="upload" />
              Send frames
            </button>
            <button type="button" className="button" aria-pressed={paused} onClick={() => setPaused(!paused)}>
              <Icon name={paused ? "play" : "pause"} />
              {paused ? "Resume" : "Pause"}
            </button>
          </div>
        </header>
        <div className="notices">
          {health.value !== null &&
            troubles(health.value, now).map(({ level, sentence }) => (
              <Notice key={sentence} level={level}>
                <p>{sentence}</p>
              </Notice>
            ))}
          {status.error !== null && <ErrorNotice error={status.error} />}
        </div>
        {status.loaded && shown.length === 0 ? (
          <NothingYet />
        ) : (
          <FrameGrid
            feed={store.feed}
            paused={paused}
            waitFor={health.value === null ? null : descriptionsWaitFor(health.value)}
          />
        )}
      </div>
      <Sources line={line} me={me} />
    </div>
  );
}

/** The events heard since the page was opened, or what the list shows, whichever knows more. */
function decidedLastMinute(shown: readonly Frame[], store: LiveStore, now: number): number {
  const listed = shown.filter(
    ({ decision }) => decision !== null && Date.parse(decision.decided_at) > now - 60_000,
  );
  return Math.max(listed.length, store.decided.lastMinute(now));
}

function ErrorNotice({ error }: { error: unknown }) {
  const { detail, hint } = sentenceOf(error);
  return (
    <Notice level="stopped">
      <p>{detail}</p>
      <p>{hint}</p>
    </Notice>
  );
}

function LinePicker({ line, lines }: { line: Line; lines: readonly Line[] }) {
  if (lines.length < 2) {
    return (
      <h1>
        {line.name} <span className="hint">{line.site.name}</span>
      </h1>
    );
  }
  return (
    <div className="line-picker">
      <h1 className="visually-hidden">{line.name}</h1>
      <label className="visually-hidden" htmlFor="line">
        Line
      </label>
      <select
        id="line"
        className="select"
        value={line.id}
        onChange={(event) => location.assign(`/live/${event.target.value}/`)}
      >
        {lines.map(({ id, name, site }) => (
          <option key={id} value={id}>
            {site.name} / {name}
          </option>
        ))}
      </select>
    </div>
  );
}

function Figures({ shown, perMinute }: { shown: readonly Frame[]; perMinute: number }) {
  const decided = shown.flatMap(({ decision }) => (decision === null ? [] : [decision]));
  const open = shown.length - decided.length;
  return (
    <dl className="figures">
      <div>
        <dt>Decided in the last minute</dt>
        <dd>{plural(perMinute, "frame")}</dd>
      </div>
      <div>
        <dt>Time to decision, median</dt>
        <dd>{formatMs(median(decided.map(({ latency_ms }) => latency_ms)))}</dd>
      </div>
      {open > 0 && (
        <div>
          <dt>Not decided yet</dt>
          <dd>{plural(open, "frame")}</dd>
        </div>
      )}
    </dl>
  );
}

function NothingYet() {
  return (
    <Empty icon="board" title="No frames yet">
      <p>
        Frames appear here as they arrive, with the regions the detector found and what the describer says of
        them. Drop a picture on this page’s upload area, stream a camera, or start the demo line.
      </p>
    </Empty>
  );
}

/** The three ways to make something appear, for whoever may. */
function Sources({ line, me }: { line: Line; me: Me | null }) {
  const stations = useResource(
    useCallback((signal: AbortSignal) => api.stations(line.id, signal), [line.id]),
  );
  const [chosen, setChosen] = useState<number | null>(null);
  const list = stations.value ?? [];
  const station = list.find(({ id }) => id === chosen) ?? list[0];
  if (stations.error !== null)
    return (
      <aside className="sources panel">
        <ErrorNotice error={stations.error} />
      </aside>
    );
  if (station === undefined) {
    return (
      <aside className="sources panel">
        {!stations.loading && <p className="hint">This line has no station yet.</p>}
      </aside>
    );
  }
  return (
    <aside className="sources panel" aria-label="Send frames">
      <StationPicker list={list} station={station} onChoose={setChosen} />
      {me?.can.upload === true && <DropZone key={station.id} station={station.id} />}
      {me?.can.upload === true && <StreamPanel station={station.id} />}
      {me?.can.run_demo === true && <DemoPanel station={station.id} />}
      {me?.can.upload !== true && (
        <p className="hint">Your role lets you watch this line; sending frames takes the role inspector.</p>
      )}
    </aside>
  );
}

interface StationPickerProps {
  list: readonly Station[];
  station: Station;
  onChoose: (id: number) => void;
}

function StationPicker({ list, station, onChoose }: StationPickerProps) {
  return (
    <div className="field">
      <label htmlFor="station">Station</label>
      <select
        id="station"
        className="select"
        value={station.id}
        disabled={list.length < 2}
        onChange={(event) => onChoose(Number(event.target.value))}
      >
        {list.map(({ id, name }) => (
          <option key={id} value={id}>
            {name}
          </option>
        ))}
      </select>
    </div>
  );
}
