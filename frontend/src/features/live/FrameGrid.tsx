/**
 * The newest frames, in places that never move: a frame that arrives takes the first place and the others hand
 * their contents on. While the person pauses, scrolls down, points or works here, nothing is handed on at all.
 */
import { useEffect, useRef, useState } from "react";

import { plural } from "../../domain/format";
import type { FrameFeed } from "../../domain/frameFeed";
import { useNow, useStore, useWindowEvent } from "../../ui/hooks";
import { Icon } from "../../ui/icons";
import { FrameCard } from "./FrameCard";

/** Scrolled further than this, the person is reading. */
const READING_FROM_PX = 120;
/** So long after the pointer left, it may be on its way back. */
const AFTER_POINTER_MS = 800;

interface Props {
  feed: FrameFeed;
  paused: boolean;
  /** Why descriptions wait at present; null when nothing is in their way. */
  waitFor: string | null;
}

export function FrameGrid({ feed, paused, waitFor }: Props) {
  const { shown, held, heldMore, typing } = useStore(feed);
  const now = useNow(1000);
  const [scrolled, setScrolled] = useState(false);
  const [focused, setFocused] = useState(false);
  const { pointing, ...pointer } = usePointing();
  useWindowEvent("scroll", () => setScrolled(window.scrollY > READING_FROM_PX));
  const holding = paused || scrolled || focused || pointing;
  useEffect(() => feed.setHolding(holding), [feed, holding]);

  const showNew = () => {
    feed.release();
    if (scrolled) window.scrollTo({ top: 0 });
  };
  return (
    <section className="frames" aria-labelledby="frames-title" {...pointer}>
      <header className="frames-head">
        <h2 id="frames-title">Newest frames</h2>
        {held > 0 ? (
          <button type="button" className="button primary new-frames" onClick={showNew}>
            <Icon name="tray" />
            {heldMore ? `more than ${held} new frames` : plural(held, "new frame")}
          </button>
        ) : (
          <span className="hint">{holding && !paused ? "Held still while you look" : ""}</span>
        )}
      </header>
      <ul
        className="frame-grid"
        onFocus={(event) => setFocused(event.target.matches(":focus-visible"))}
        onBlur={() => setFocused(false)}
      >
        {shown.map((frame, place) => (
          <FrameCard key={place} frame={frame} typing={typing} waitFor={waitFor} now={now} />
        ))}
      </ul>
    </section>
  );
}

/** Whether a mouse or a pen is over the element; a finger points at nothing once it is lifted. */
function usePointing() {
  const [pointing, setPointing] = useState(false);
  const leaving = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => () => clearTimeout(leaving.current), []);
  const over = (event: { pointerType: string }) => {
    clearTimeout(leaving.current);
    if (event.pointerType !== "touch") setPointing(true);
  };
  const leave = () => {
    clearTimeout(leaving.current);
    leaving.current = setTimeout(() => setPointing(false), AFTER_POINTER_MS);
  };
  return {
    pointing,
    onPointerEnter: over,
    onPointerMove: pointing ? undefined : over,
    onPointerLeave: leave,
  };
}
