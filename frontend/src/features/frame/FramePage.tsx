/** Frame: one picture with a page of its own. Next and previous are its neighbours on the line, in time. */
import { useEffect, useMemo } from "react";

import type { Boot } from "../../api/boot";
import { sentenceOf } from "../../api/client";
import { useStore } from "../../ui/hooks";
import { Empty } from "../../ui/parts";
import { FrameDesk } from "./FrameDesk";
import { FrameStore } from "./frameStore";

export function FramePage({ boot }: { boot: Boot }) {
  const store = useMemo(() => new FrameStore(boot.frame ?? "", boot.line?.id ?? 0), [boot]);
  useEffect(() => store.start(), [store]);
  const { frame, error, newer } = useStore(store);
  if (frame === null) {
    if (error === null) return <div className="frame-page" aria-busy="true" />;
    return <NoFrame error={error} onRetry={() => store.reload()} />;
  }
  const neighbours = {
    next: boot.older,
    previous: boot.newer ?? newer,
    words: { next: "Older frame (J)", previous: "Newer frame (K)" },
    open: (other: string) => location.assign(`/frames/${other}/`),
  };
  return <FrameDesk me={boot.me} frame={frame} store={store} neighbours={neighbours} />;
}

export function NoFrame({ error, onRetry }: { error: unknown; onRetry: () => void }) {
  const { detail, hint } = sentenceOf(error);
  return (
    <Empty icon="warning" title={detail}>
      <p>{hint}</p>
      <button type="button" className="button primary" onClick={onRetry}>
        Try again
      </button>
    </Empty>
  );
}
