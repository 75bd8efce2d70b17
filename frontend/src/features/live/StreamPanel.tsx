/** Stream a camera or a video file to the station: preview, rate, and plain counts of what became of the pictures. */
import { useEffect, useRef, useState } from "react";

import { plural } from "../../domain/format";
import { Icon } from "../../ui/icons";
import { Connection } from "../../ui/parts";
import { useMessages } from "../../ui/toasts";
import { PictureStream, type PictureStreamState } from "./pictureStream";

const RATES_PER_S = [1, 2, 5, 10];

export function StreamPanel({ station }: { station: number }) {
  const { complain } = useMessages();
  const video = useRef<HTMLVideoElement>(null);
  const file = useRef<HTMLInputElement>(null);
  const running = useRef<PictureStream | null>(null);
  const [state, setState] = useState<PictureStreamState | null>(null);
  const [rate, setRate] = useState(2);

  const stop = () => {
    running.current?.stop();
    running.current = null;
    setState(null);
  };
  useEffect(() => stop, [station]);

  const start = async (source: "camera" | File) => {
    if (video.current === null) return;
    stop();
    const stream = new PictureStream({ station, video: video.current, ratePerS: rate, onState: setState });
    running.current = stream;
    try {
      await stream.start(source);
    } catch (error) {
      complain(error);
      stop();
    }
  };

  return (
    <section className="source">
      <h2>Stream</h2>
      <video
        ref={video}
        className="preview"
        muted
        playsInline
        hidden={state === null}
        aria-label="What is being streamed"
      />
      {state === null ? (
        <>
          <div className="row">
            <label className="visually-hidden" htmlFor="stream-rate">
              Pictures a second
            </label>
            <select
              id="stream-rate"
              className="select"
              value={rate}
              onChange={(event) => setRate(Number(event.target.value))}
            >
              {RATES_PER_S.map((value) => (
                <option key={value} value={value}>
                  {plural(value, "picture")}/s
                </option>
              ))}
            </select>
          </div>
          <div className="row halves">
            <button type="button" className="button" onClick={() => void start("camera")}>
              <Icon name="camera" />
              Camera
            </button>
            <button type="button" className="button" onClick={() => file.current?.click()}>
              <Icon name="video" />
              Video file
            </button>
          </div>
          <input
            ref={file}
            type="file"
            accept="video/*"
            hidden
            aria-label="Video file to stream"
            onChange={(event) => {
              const chosen = event.currentTarget.files?.[0];
              event.currentTarget.value = "";
              if (chosen !== undefined) void start(chosen);
            }}
          />
        </>
      ) : (
        <Running state={state} onStop={stop} onRetry={() => running.current?.retryNow()} />
      )}
    </section>
  );
}

interface RunningProps {
  state: PictureStreamState;
  onStop: () => void;
  onRetry: () => void;
}

function Running({ state, onStop, onRetry }: RunningProps) {
  const { counts, connection, ended, lastRefusal } = state;
  return (
    <>
      <div className="row">
        {ended ? (
          <span role="status">End of the video</span>
        ) : (
          <Connection state={connection} onRetry={onRetry} />
        )}
        <button type="button" className="button" onClick={onStop}>
          <Icon name={ended ? "close" : "stop"} />
          {ended ? "Close" : "Stop"}
        </button>
      </div>
      <p className="hint" role="status">
        {plural(counts.stored, "frame")} stored, {counts.unanswered} on the way
        {counts.skipped > 0 && `, ${counts.skipped} skipped`}
        {counts.refused > 0 && `, ${counts.refused} refused`}
      </p>
      {lastRefusal !== null && (
        <div className="upload-error" role="alert">
          <Icon name="warning" />
          <p>
            {lastRefusal.detail} <span className="hint">{lastRefusal.hint}</span>
          </p>
        </div>
      )}
    </>
  );
}
