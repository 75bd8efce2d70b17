/** Set or take away the station's golden template: from this frame or from a file, with how they lie on each other. */
import { useMutation } from "@tanstack/react-query";
import { useCallback, useEffect, useState } from "react";

import { api } from "../../api/client";
import type { Frame } from "../../api/types";
import { shiftInWords, type Alignment } from "../../domain/alignment";
import { standingOf } from "../../domain/regionState";
import { Icon } from "../../ui/icons";
import { Dialog, Notice } from "../../ui/parts";
import { useMessages } from "../../ui/toasts";
import { alignment, fetchPicture, sizeOf } from "./pixels";

interface Props {
  frame: Frame;
  onClose: () => void;
  onChanged: () => void;
}

export function TemplateDialog({ frame, onClose, onChanged }: Props) {
  const { say, complain } = useMessages();
  const [file, setFile] = useState<File | null>(null);
  const { mutate, isPending: busy } = useMutation({
    mutationFn: ({ work }: { work: () => Promise<unknown>; done: string }) => work(),
    onSuccess: (_, { done }) => {
      say(done);
      onChanged();
      onClose();
    },
    onError: complain,
  });
  const act = (work: () => Promise<unknown>, done: string) => mutate({ work, done });
  const station = frame.station.id;
  const set = (from: Blob | { frame: string }) =>
    act(
      () => api.setTemplate(station, from),
      "The golden template is set. The next frame is compared with it.",
    );
  const notGolden = whyNotGolden(frame);
  return (
    <Dialog title={`Golden template of ${frame.station.name}`} onClose={onClose}>
      <div className="template-dialog">
        <p>
          A picture of a part without any defect, from this camera. Nodes compare each frame with it, so what
          belongs to the part is not taken for a defect, and what is missing is found.
        </p>
        {frame.urls.template !== null && <Current url={frame.urls.template} frame={frame} />}
        <section>
          <h2>Use this frame</h2>
          {notGolden !== null && <p className="hint">{notGolden}</p>}
          <button
            type="button"
            className="button"
            disabled={busy || notGolden !== null}
            onClick={() => set({ frame: frame.id })}
          >
            <Icon name="template" />
            Use this frame as golden template
          </button>
        </section>
        <section>
          <h2>Use a file</h2>
          <label className="field">
            <span className="label">
              JPEG or PNG of {frame.width} × {frame.height} pixels, as this camera sends them
            </span>
            <input
              type="file"
              accept="image/jpeg,image/png"
              disabled={busy}
              onChange={(event) => setFile(event.target.files?.[0] ?? null)}
            />
          </label>
          {file !== null && <Chosen file={file} frame={frame} busy={busy} onUse={() => set(file)} />}
        </section>
        {frame.urls.template !== null && (
          <section>
            <button
              type="button"
              className="button"
              disabled={busy}
              onClick={() =>
                act(
                  () => api.clearTemplate(station),
                  "The golden template is removed. Frames are inspected without one.",
                )
              }
            >
              Remove the template
            </button>
          </section>
        )}
      </div>
    </Dialog>
  );
}

/** The same rule as the server's: a person's word goes before the machine's. */
function whyNotGolden(frame: Frame): string | null {
  const standing = standingOf(frame.reviews);
  if (standing !== null) {
    return standing.part === "good" ? null : "The verdict that stands does not say that this part is good.";
  }
  if (frame.decision?.outcome === "pass") return null;
  return "This frame did not pass, and nobody has judged it good. Judge it first, or open a good one.";
}

function Current({ url, frame }: { url: string; frame: Frame }) {
  const [seen, setSeen] = useState<Alignment | null>(null);
  const show = useCallback((found: Alignment) => setSeen(found), []);
  useEffect(() => {
    const abort = new AbortController();
    Promise.all([fetchPicture(frame.urls.rendition, abort.signal), fetchPicture(url, abort.signal)])
      .then(([picture, template]) => alignment(picture, template, frame))
      .then(show, () => undefined);
    return () => abort.abort();
  }, [url, frame, show]);
  return (
    <figure>
      <img src={url} alt="The golden template that is set now" />
      <figcaption className="hint">Set now. {seen !== null && <AlignmentWords of={seen} />}</figcaption>
    </figure>
  );
}

interface ChosenProps {
  file: File;
  frame: Frame;
  busy: boolean;
  onUse: () => void;
}

function Chosen({ file, frame, busy, onUse }: ChosenProps) {
  const [found, setFound] = useState<{ file: File; trouble: string | null; seen: Alignment | null } | null>(
    null,
  );
  useEffect(() => {
    const abort = new AbortController();
    const tell = (trouble: string | null, seen: Alignment | null = null) => {
      if (!abort.signal.aborted) setFound({ file, trouble, seen });
    };
    const look = async () => {
      const { width, height } = await sizeOf(file);
      if (width !== frame.width || height !== frame.height) {
        tell(
          `It has ${width} × ${height} pixels, and this station’s frames have ${frame.width} × ${frame.height}.`,
        );
        return;
      }
      tell(null, await alignment(await fetchPicture(frame.urls.rendition, abort.signal), file, frame));
    };
    look().catch(() => tell("This file is not a supported picture."));
    return () => abort.abort();
  }, [file, frame]);
  if (found?.file !== file) return <p className="hint">Looking at the file</p>;
  if (found.trouble !== null) return <Notice>{found.trouble}</Notice>;
  return (
    <div className="template-chosen">
      {found.seen !== null && (
        <p className="hint">
          <AlignmentWords of={found.seen} />
        </p>
      )}
      <button type="button" className="button primary" disabled={busy} onClick={onUse}>
        Set as golden template
      </button>
    </div>
  );
}

/** "Shift: within half a pixel; 0.8 % of this frame differs from it." */
export function AlignmentWords({ of }: { of: Alignment }) {
  return (
    <>
      Shift {shiftInWords(of)}; {(of.changed * 100).toFixed(1)} % of this frame differs from it.
    </>
  );
}
