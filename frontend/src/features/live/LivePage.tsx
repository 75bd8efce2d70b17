/** Live: what a line's cameras see and what the machine makes of it, at this moment. */
import { useQuery, useQueryClient, type UseQueryResult } from "@tanstack/react-query";
import { useEffect, useMemo, useState } from "react";

import { sentenceOf } from "../../api/client";
import type { Boot } from "../../api/boot";
import { queries } from "../../api/queries";
import type { Frame, Line, Me, Station } from "../../api/types";
import { baselineTrouble } from "../../domain/baseline";
import { descriptionsWaitFor, troubles } from "../../domain/degraded";
import { formatMs, plural } from "../../domain/format";
import { hasRole } from "../../domain/roles";
import { median } from "../../domain/throughput";
import { useNow, useStore } from "../../ui/hooks";
import { Icon } from "../../ui/icons";
import { Connection, Empty, Notice } from "../../ui/parts";
import { DemoPanel } from "./DemoPanel";
import { DropZone } from "./DropZone";
import { FrameGrid } from "./FrameGrid";
import { StreamPanel } from "./StreamPanel";
import { LiveStore } from "./liveStore";

export function LivePage({ boot }: { boot: Boot }) {
  if (boot.line === null) {
    return (
      <Empty icon="tray" title="No line to show">
        {boot.may_make_lines ? (
          <>
            <p>A line has stations with cameras; their newest frames appear here.</p>
            <a className="button primary" href="/lines/new/">
              Make the first line
            </a>
          </>
        ) : (
          <p>
            You have no role on any line yet. An admin can give you one; then its newest frames appear here.
          </p>
        )}
      </Empty>
    );
  }
  return <LiveLine line={boot.line} lines={boot.lines} me={boot.me} mayMakeLines={boot.may_make_lines} />;
}

interface LiveLineProps {
  line: Line;
  lines: readonly Line[];
  me: Me | null;
  mayMakeLines: boolean;
}

function LiveLine({ line, lines, me, mayMakeLines }: LiveLineProps) {
  const [paused, setPaused] = useState(false);
  const health = useQuery(queries.health);
  const cache = useQueryClient();
  const store = useMemo(
    () => new LiveStore(line.id, () => void cache.invalidateQueries(queries.health)),
    [line.id, cache],
  );
  useEffect(() => store.start(), [store]);
  const status = useStore(store);
  const { shown } = useStore(store.feed);
  const now = useNow(1000);
  const stations = useQuery(queries.stations(line.id));
  const mayConfigure = hasRole(me, line.id, "engineer");
  // On a narrow screen the frames come first; with none, what makes them appear does.
  const [asked, setAsked] = useState<boolean | null>(null);
  const sourcesOpen = asked ?? (status.loaded && shown.length === 0);

  return (
    <div className="live" data-sources={sourcesOpen ? "open" : "closed"}>
      <a className="skip-link" href="#send" onClick={() => setAsked(true)}>
        Skip to sending frames
      </a>
      <div className="live-main">
        <header className="strip">
          <LinePicker line={line} lines={lines} mayMakeLines={mayMakeLines} />
          <Figures shown={shown} perMinute={decidedLastMinute(shown, store, now)} />
          <div className="strip-end">
            <Connection
              state={status.connection}
              lost={status.error !== null || health.error !== null}
              onRetry={() => store.retryNow()}
            />
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
          {health.data !== undefined &&
            troubles(health.data, now).map(({ level, sentence }) => (
              <Notice key={sentence} level={level}>
                <p>{sentence}</p>
              </Notice>
            ))}
          {(stations.data ?? [])
            .filter(({ product }) => product === "")
            .map((station) => (
              <WithoutProduct key={station.id} station={station} mayConfigure={mayConfigure} />
            ))}
          {(stations.data ?? [])
            .filter(({ product }) => product !== "")
            .map((station) => (
              <AboutBaseline key={station.id} station={station} shown={shown} mayConfigure={mayConfigure} />
            ))}
          {status.error !== null && <ErrorNotice error={status.error} />}
        </div>
        {status.loaded && shown.length === 0 ? (
          <NothingYet isDemo={line.is_demo} />
        ) : (
          <FrameGrid
            feed={store.feed}
            paused={paused}
            waitFor={health.data === undefined ? null : descriptionsWaitFor(health.data)}
          />
        )}
      </div>
      <Sources line={line} me={me} stations={stations} mayConfigure={mayConfigure} />
    </div>
  );
}

/** Nothing says what it looks at, so nothing can say that a part is good. */
function WithoutProduct({ station, mayConfigure }: { station: Station; mayConfigure: boolean }) {
  return (
    <Notice>
      <p>
        <b>{station.name}:</b> this camera has no product yet: every frame is held.{" "}
        {mayConfigure ? (
          <a href={`/stations/${station.id}/`}>Choose what it looks at.</a>
        ) : (
          "An engineer of this line can choose what it looks at."
        )}
      </p>
    </Notice>
  );
}

interface AboutBaselineProps {
  station: Station;
  shown: readonly Frame[];
  mayConfigure: boolean;
}

/** Frames that are unlike anything known may be the right product all the same: a person can say so. */
function AboutBaseline({ station, shown, mayConfigure }: AboutBaselineProps) {
  const { data: baseline } = useQuery(queries.baseline(station.id));
  const trouble = baseline === undefined ? null : baselineTrouble(baseline, station.id, shown);
  if (trouble === null) return null;
  return (
    <Notice>
      <p>
        <b>{station.name}:</b> {trouble}{" "}
        <a href={`/stations/${station.id}/#baseline`}>
          {mayConfigure ? "Look at them, and confirm them if they show the right product." : "Look at them."}
        </a>
      </p>
    </Notice>
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

interface LinePickerProps {
  line: Line;
  lines: readonly Line[];
  mayMakeLines: boolean;
}

function LinePicker({ line, lines, mayMakeLines }: LinePickerProps) {
  const another = mayMakeLines && (
    <a className="button quiet icon-only" href="/lines/new/" aria-label="New line" title="New line">
      <Icon name="plus" />
    </a>
  );
  if (lines.length < 2) {
    return (
      <div className="line-picker">
        <h1>
          {line.name} <span className="hint">{line.site.name}</span>
        </h1>
        {another}
      </div>
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
      {another}
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

function NothingYet({ isDemo }: { isDemo: boolean }) {
  return (
    <Empty icon="board" title="No frames yet">
      <p>
        Frames appear here as they arrive, with the regions the detector found and what the describer says of
        them. Drop a picture on this page’s upload area
        {isDemo ? ", stream a camera, or start the demo." : " or stream a camera."}
      </p>
    </Empty>
  );
}

interface SourcesProps {
  line: Line;
  me: Me | null;
  stations: UseQueryResult<Station[]>;
  mayConfigure: boolean;
}

/** The ways to make something appear, for whoever may; generated boards on the demo line only. */
function Sources({ line, me, stations, mayConfigure }: SourcesProps) {
  const [chosen, setChosen] = useState<number | null>(null);
  const list = stations.data ?? [];
  const station = list.find(({ id }) => id === chosen) ?? list[0];
  const mayUpload = me?.can.upload === true;
  return (
    <aside className="sources panel" id="send" tabIndex={-1} aria-label="Send frames">
      {stations.error !== null && <ErrorNotice error={stations.error} />}
      {station === undefined && stations.error === null && !stations.isPending && (
        <p className="hint">This line has no station yet, so nothing can be sent to it.</p>
      )}
      {station !== undefined && (
        <>
          <StationPicker list={list} station={station} onChoose={setChosen} />
          {mayUpload && <DropZone key={station.id} station={station.id} />}
          {mayUpload && <StreamPanel station={station.id} />}
          {me?.can.run_demo === true && line.is_demo && <DemoPanel station={station.id} />}
          {!mayUpload && (
            <p className="hint">
              Your role lets you watch this line; sending frames takes the role inspector.
            </p>
          )}
        </>
      )}
      {mayConfigure && !stations.isPending && (
        <a
          className={station === undefined ? "button primary" : "small"}
          href={`/lines/${line.id}/stations/new/`}
        >
          Add a station
        </a>
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
      <div className="row">
        <label className="label" htmlFor="station">
          Station
        </label>
        <a className="small" href={`/stations/${station.id}/`}>
          Settings<span className="visually-hidden"> of {station.name}</span>
        </a>
      </div>
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
