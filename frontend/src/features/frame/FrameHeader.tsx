/** Which frame this is, the way to its neighbours, and the connection. */
import type { Frame } from "../../api/types";
import { ago, exactTime, formatBytes } from "../../domain/format";
import type { ConnectionState } from "../../live/socket";
import { Icon, type IconName } from "../../ui/icons";
import { Connection } from "../../ui/parts";

interface Props {
  frame: Frame;
  newer: string | null;
  older: string | null;
  now: number;
  connection: ConnectionState;
  onRetry: () => void;
  onHelp: () => void;
}

export function FrameHeader({ frame, newer, older, now, connection, onRetry, onHelp }: Props) {
  const name = nameOf(frame);
  return (
    <header className="frame-header">
      <nav aria-label="Frames" className="neighbours">
        <Neighbour frame={newer} icon="left" label="Newer frame (K)" />
        <Neighbour frame={older} icon="right" label="Older frame (J)" />
      </nav>
      <h1>{name}</h1>
      <p className="hint">
        <a href={`/live/${frame.line.id}/`}>{frame.line.name}</a> / {frame.station.name}
      </p>
      <p className="hint facts-line">
        <time dateTime={frame.received_at} title={exactTime(frame.received_at)}>
          received {ago(frame.received_at, now)}
        </time>
        <span>
          {frame.width} × {frame.height} px, {formatBytes(frame.bytes)}
        </span>
      </p>
      <div className="frame-header-end">
        <Connection state={connection} onRetry={onRetry} />
        <button type="button" className="button quiet" onClick={onHelp}>
          <Icon name="help" />
          Keys <kbd>?</kbd>
        </button>
      </div>
    </header>
  );
}

/** As people call it: the part, else the file, else the id. */
export function nameOf(frame: Frame): string {
  return [frame.part_id, frame.name].find((text) => text !== null && text !== "") ?? frame.id;
}

function Neighbour({ frame, icon, label }: { frame: string | null; icon: IconName; label: string }) {
  if (frame === null) {
    return (
      <button
        type="button"
        className="button quiet icon-only"
        disabled
        aria-label={`${label}: there is none`}
      >
        <Icon name={icon} />
      </button>
    );
  }
  return (
    <a className="button quiet icon-only" href={`/frames/${frame}/`} aria-label={label} title={label}>
      <Icon name={icon} />
    </a>
  );
}
