/** The newest frames. Holds still while the person pauses, scrolls down or works inside it. */
import { useEffect, useState, useSyncExternalStore } from "react";

import { plural } from "../../domain/format";
import type { FrameFeed } from "../../domain/frameFeed";
import { useNow, useWindowEvent } from "../../ui/hooks";
import { Icon } from "../../ui/icons";
import { FrameCard } from "./FrameCard";

/** Scrolled further than this, the person is reading. */
const READING_FROM_PX = 120;

interface Props {
  feed: FrameFeed;
  paused: boolean;
  /** Why descriptions wait at present; null when nothing is in their way. */
  waitFor: string | null;
}

export function FrameGrid({ feed, paused, waitFor }: Props) {
  const { shown, held, typing } = useSyncExternalStore(feed.subscribe, feed.snapshot);
  const now = useNow(1000);
  const [scrolled, setScrolled] = useState(false);
  const [focused, setFocused] = useState(false);
  useWindowEvent("scroll", () => setScrolled(window.scrollY > READING_FROM_PX));
  const holding = paused || scrolled || focused;
  useEffect(() => feed.setHolding(holding), [feed, holding]);

  const showNew = () => {
    feed.release();
    if (scrolled) window.scrollTo({ top: 0 });
  };
  return (
    <section className="frames" aria-label="Newest frames">
      {held > 0 && (
        <button type="button" className="button primary new-frames" onClick={showNew}>
          <Icon name="tray" />
          {plural(held, "new frame")}
        </button>
      )}
      <ul
        className="frame-grid"
        onFocus={(event) => setFocused(event.target.matches(":focus-visible"))}
        onBlur={() => setFocused(false)}
      >
        {shown.map((frame) => (
          <FrameCard key={frame.id} frame={frame} typing={typing} waitFor={waitFor} now={now} />
        ))}
      </ul>
    </section>
  );
}
