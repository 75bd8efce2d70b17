/** Which frame this is, the way to its neighbours, and the connection. */
import type { Frame } from "../../api/types";
import { ago, exactTime, formatBytes } from "../../domain/format";
import type { ConnectionState } from "../../live/socket";
import { Icon, type IconName } from "../../ui/icons";
import { Connection } from "../../ui/parts";

/** Where the neighbours of a frame are. `open` goes there, by another page or in place. */
export interface Neighbours {
  /** What J leads to. */
  next: string | null;
  previous: string | null;
  words: { next: string; previous: string };
  open: (frame: string) => void;
}

interface Props {
  frame: Frame;
  neighbours: Neighbours;
  now: number;
  connection: ConnectionState;
  onRetry: () => void;
  onHelp: () => void;
}

export function FrameHeader({ frame, neighbours, now, connection, onRetry, onHelp }: Props) {
  const name = nameOf(frame);
  const { words, open } = neighbours;
  return (
    <header className="frame-header">
      <nav aria-label="Frames" className="neighbours">
        <Neighbour frame={neighbours.previous} icon="left" label={words.previous} open={open} />
        <Neighbour frame={neighbours.next} icon="right" label={words.next} open={open} />
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

interface NeighbourProps {
  frame: string | null;
  icon: IconName;
  label: string;
  open: Neighbours["open"];
}

function Neighbour({ frame, icon, label, open }: NeighbourProps) {
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
    <a
      className="button quiet icon-only"
      href={`/frames/${frame}/`}
      aria-label={label}
      title={label}
      onClick={(event) => {
        // With a modifier the browser opens it elsewhere.
        if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
        event.preventDefault();
        open(frame);
      }}
    >
      <Icon name={icon} />
    </a>
  );
}
