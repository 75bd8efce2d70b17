/** The picture and its tools. Holds the viewers; says nothing of regions but what it is given. */
import { useCallback, useEffect, useImperativeHandle, useRef, useState, type Ref } from "react";

import type { Frame, Region } from "../../api/types";
import { rectOf, surroundings } from "../../domain/region";
import { prefersReducedMotion } from "../../ui/hooks";
import { Icon, type IconName } from "../../ui/icons";
import { titleOf } from "../../ui/parts";
import type { FrameViewer, View } from "./frameViewer";
import { createViewer } from "./openSeadragonViewer";

const ZOOM_STEP = 1.4;
const BLINK_MS = 700;
export type TemplateMode = "off" | "beside" | "blink";
export const NEXT_MODE: Readonly<Record<TemplateMode, TemplateMode>> = {
  off: "beside",
  beside: "blink",
  blink: "off",
};
const MODE_WORDS: Readonly<Record<TemplateMode, string>> = {
  off: "Template",
  beside: "Template beside",
  blink: "Template blinks",
};

export interface ViewerHandle {
  fitRegion: (region: Region | null) => void;
  fitAll: () => void;
  zoom: (direction: 1 | -1) => void;
}

interface Props {
  frame: Frame;
  /** As they are drawn: confident enough, in drawing order, with the classes as I corrected them. */
  regions: readonly Region[];
  numberOf: (region: Region) => number;
  dismissed: readonly string[];
  selected: string | null;
  onSelect: (region: string | null) => void;
  overlaysHidden: boolean;
  mode: TemplateMode;
  onMode: (mode: TemplateMode) => void;
  handle: Ref<ViewerHandle>;
}

export function ViewerPane(props: Props) {
  const { frame, regions, numberOf, dismissed, selected, onSelect, overlaysHidden, mode, onMode, handle } =
    props;
  const template = frame.urls.template;
  const [failed, setFailed] = useState(false);
  const [viewer, setViewer] = useState<FrameViewer | null>(null);
  const [beside, setBeside] = useState<FrameViewer | null>(null);
  const select = useLatest(onSelect);
  const follow = useRef<FrameViewer | null>(null);
  useEffect(() => {
    follow.current = beside;
  }, [beside]);

  const mount = useViewer(frame, frame.urls.rendition, setViewer, {
    onError: useCallback(() => setFailed(true), []),
    onSelect: useCallback((region: string | null) => select.current(region), [select]),
    onView: useCallback((view: View) => follow.current?.setView(view), []),
  });
  const mountBeside = useViewer(frame, template ?? "", setBeside, QUIET);

  useEffect(() => {
    viewer?.setRegions(
      regions.map((region) => ({
        id: region.id,
        rect: rectOf(region.box_xyxy),
        colourIndex: region.defect_class.colour_index,
        label:
          region.id === selected
            ? `${numberOf(region)} ${titleOf(region.defect_class)}`
            : String(numberOf(region)),
        dismissed: dismissed.includes(region.id),
      })),
    );
    viewer?.select(selected);
  }, [viewer, regions, numberOf, dismissed, selected]);
  useEffect(() => viewer?.showOverlays(!overlaysHidden), [viewer, overlaysHidden]);
  useEffect(() => {
    if (viewer !== null && beside !== null) beside.setView(viewer.view());
  }, [viewer, beside]);
  useBlink(viewer, mode === "blink" ? template : null);

  useImperativeHandle(handle, () => ({
    fitRegion: (region) => {
      if (region === null) viewer?.fitAll();
      else viewer?.fitTo(surroundings(region.box_xyxy, [frame.width, frame.height]));
    },
    fitAll: () => viewer?.fitAll(),
    zoom: (direction) => viewer?.zoomBy(direction === 1 ? ZOOM_STEP : 1 / ZOOM_STEP),
  }));

  return (
    <div className="viewer-pane" data-mode={mode}>
      <div
        className="viewer"
        ref={mount}
        role="img"
        aria-label={`Frame with ${regions.length} regions; they are listed beside it`}
      />
      {mode === "beside" && template !== null && (
        <div className="viewer" ref={mountBeside} role="img" aria-label="Golden template of this station" />
      )}
      {failed && (
        <p className="viewer-failed" role="alert">
          The picture could not be loaded. Reload the page; if it stays, tell an admin.
        </p>
      )}
      <div className="viewer-tools" role="toolbar" aria-label="View">
        <Tool icon="plus" label="Zoom in (+)" onClick={() => viewer?.zoomBy(ZOOM_STEP)} />
        <Tool icon="minus" label="Zoom out (-)" onClick={() => viewer?.zoomBy(1 / ZOOM_STEP)} />
        <Tool icon="whole" label="Whole frame (R)" onClick={() => viewer?.fitAll()} />
        {template !== null && (
          <button
            type="button"
            className="button quiet"
            aria-pressed={mode !== "off"}
            onClick={() => onMode(NEXT_MODE[mode])}
          >
            <Icon name="template" />
            {MODE_WORDS[mode]}
          </button>
        )}
      </div>
    </div>
  );
}

function Tool({ icon, label, onClick }: { icon: IconName; label: string; onClick: () => void }) {
  return (
    <button
      type="button"
      className="button quiet icon-only"
      aria-label={label}
      title={label}
      onClick={onClick}
    >
      <Icon name={icon} />
    </button>
  );
}

const nothing = () => undefined;
const QUIET = { onError: nothing, onSelect: nothing, onView: nothing };

interface Events {
  onError: () => void;
  onSelect: (region: string | null) => void;
  onView: (view: View) => void;
}

/** A ref callback that makes a viewer for its element and takes it down with it. */
function useViewer(
  frame: Frame,
  url: string,
  onViewer: (viewer: FrameViewer | null) => void,
  events: Events,
) {
  const { width, height } = frame;
  const { onError, onSelect, onView } = events;
  return useCallback(
    (host: HTMLDivElement | null) => {
      if (host === null || url === "") return;
      const made = createViewer(
        host,
        { url, width, height },
        { onReady: () => onViewer(made), onError, onSelect, onView },
      );
      return () => {
        onViewer(null);
        made.destroy();
      };
    },
    [url, width, height, onViewer, onError, onSelect, onView],
  );
}

/** Frame and template in turn at the same place. With reduced motion the template just stays on top. */
function useBlink(viewer: FrameViewer | null, template: string | null): void {
  useEffect(() => {
    if (viewer === null) return;
    viewer.setSecond(template);
    viewer.showSecond(template !== null);
    if (template === null || prefersReducedMotion()) return;
    let visible = true;
    const timer = setInterval(() => viewer.showSecond((visible = !visible)), BLINK_MS);
    return () => clearInterval(timer);
  }, [viewer, template]);
}

function useLatest<T>(value: T) {
  const latest = useRef(value);
  useEffect(() => {
    latest.current = value;
  });
  return latest;
}
