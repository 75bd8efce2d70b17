/** Pictures, folders and zips from the person's machine; each file with its progress and its errors in words. */
import { useMemo, useRef, useState } from "react";

import { sentenceOf, upload } from "../../api/client";
import { formatBytes, plural } from "../../domain/format";
import { newKey } from "../../domain/keys";
import {
  UploadQueue,
  isOpen,
  refusedFiles,
  type RefusedFile,
  type UploadItem,
} from "../../domain/uploadQueue";
import { useStore } from "../../ui/hooks";
import { Icon } from "../../ui/icons";
import { filesFromDrop, withoutHidden } from "./dropped";

export function DropZone({ station }: { station: number }) {
  const queue = useMemo(
    () =>
      new UploadQueue<File>({
        send: (file, options) => upload(file, { station, ...options }),
        describe: sentenceOf,
        newKey,
      }),
    [station],
  );
  const items = useStore(queue);
  const [over, setOver] = useState(false);
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);

  return (
    <section className="source">
      <h2>Upload</h2>
      <div
        className="drop"
        data-over={over}
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={(event) => {
          event.preventDefault();
          setOver(false);
          void filesFromDrop(event.dataTransfer).then((found) => queue.add(found));
        }}
      >
        <Icon name="upload" />
        <p>Drop pictures, a folder or a zip here</p>
        <div className="buttons">
          <button type="button" className="button" onClick={() => files.current?.click()}>
            Choose files
          </button>
          <button type="button" className="button" onClick={() => folder.current?.click()}>
            Choose a folder
          </button>
        </div>
        <p className="hint small">JPEG, PNG, WebP, TIFF or BMP</p>
      </div>
      <input
        ref={files}
        type="file"
        multiple
        hidden
        aria-label="Files to upload"
        onChange={(event) => take(event.currentTarget, queue)}
      />
      <input
        ref={folder}
        type="file"
        multiple
        hidden
        aria-label="Folder to upload"
        {...{ webkitdirectory: "" }}
        onChange={(event) => take(event.currentTarget, queue)}
      />
      {items.length > 0 && <Uploads items={items} queue={queue} />}
    </section>
  );
}

function take(input: HTMLInputElement, queue: UploadQueue<File>): void {
  queue.add(withoutHidden([...(input.files ?? [])]));
  input.value = "";
}

function Uploads({ items, queue }: { items: readonly UploadItem<File>[]; queue: UploadQueue<File> }) {
  const open = items.filter(isOpen).length;
  const stored = items.reduce((sum, item) => sum + item.stored, 0);
  const refused = refusedFiles(items);
  return (
    <div className="uploads">
      <div className="uploads-head">
        <span role="status">
          {open > 0 ? `${plural(open, "file")} to go, ` : ""}
          {plural(stored, "frame")} stored
          {refused.length > 0 && `, ${plural(refused.length, "file")} refused`}
        </span>
        <button
          type="button"
          className="link-button"
          onClick={() => (open > 0 ? queue.cancelAll() : queue.clear())}
        >
          {open > 0 ? "Cancel all" : "Clear"}
        </button>
      </div>
      {refused.length > 0 && <Refused files={refused} />}
      <ul className="upload-list">
        {items.map((item) => (
          <UploadRow key={item.id} item={item} queue={queue} />
        ))}
      </ul>
    </div>
  );
}

const STATE_WORDS = {
  waiting: "Waiting",
  sending: "",
  done: "Stored",
  failed: "Refused",
  cancelled: "Cancelled",
} as const;

function UploadRow({ item, queue }: { item: UploadItem<File>; queue: UploadQueue<File> }) {
  const percent = item.bytes === 0 ? 100 : Math.round((item.sentBytes / item.bytes) * 100);
  return (
    <li className="upload" data-state={item.state}>
      <div className="line">
        <span className="name" title={item.name}>
          {item.name}
        </span>
        <span className="hint">
          {item.state === "sending" ? `${percent} % of ${formatBytes(item.bytes)}` : STATE_WORDS[item.state]}
          {item.state === "done" && item.stored > 1 && ` (${item.stored})`}
        </span>
        {isOpen(item) && (
          <button type="button" className="link-button" onClick={() => queue.cancel(item.id)}>
            Cancel<span className="visually-hidden"> {item.name}</span>
          </button>
        )}
        {item.state === "failed" && item.retryable && (
          <button type="button" className="link-button" onClick={() => queue.again(item.id)}>
            Try again<span className="visually-hidden"> {item.name}</span>
          </button>
        )}
      </div>
      {item.state === "sending" && <progress max={100} value={percent} aria-label={`Sending ${item.name}`} />}
    </li>
  );
}

const NAMED = 20;

/** Which files were not taken in, and why, said once and kept until the list is cleared. */
function Refused({ files }: { files: readonly RefusedFile[] }) {
  return (
    <ul className="refused" role="alert" aria-label="Refused files">
      {files.slice(0, NAMED).map(({ name, detail, hint }, index) => (
        <li key={index} className="upload-error">
          <Icon name="warning" />
          <div>
            <b>{name}</b>
            <p>{detail}</p>
            {hint !== "" && <p className="hint">{hint}</p>}
          </div>
        </li>
      ))}
      {files.length > NAMED && <li className="hint">and {plural(files.length - NAMED, "more file")}</li>}
    </ul>
  );
}
