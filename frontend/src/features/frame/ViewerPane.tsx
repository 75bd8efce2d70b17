/** The picture and its tools. Holds the viewers; says nothing of regions but what it is given. */
import { useCallback, useEffect, useImperativeHandle, useRef, useState, type Ref } from "react";

import type { Frame, Region } from "../../api/types";
import type { Alignment } from "../../domain/alignment";
import { areaPx, rectOf, surroundings } from "../../domain/region";
import type { DrawnState, RegionState } from "../../domain/regionState";
import { prefersReducedMotion } from "../../ui/hooks";
import { Icon, type IconName } from "../../ui/icons";
import { titleOf } from "../../ui/parts";
import type { FrameViewer, View, ViewerRegion } from "./frameViewer";
import { alignment, fetchPicture } from "./pixels";
import { AlignmentWords } from "./TemplateDialog";

const ZOOM_STEP = 1.4;
const BLINK_MS = 700;
export type TemplateMode = "off" | "beside" | "blink" | "difference";
export const NEXT_MODE: Readonly<Record<TemplateMode, TemplateMode>> = {
  off: "beside",
  beside: "blink",
  blink: "difference",
  difference: "off",
};
const MODE_WORDS: Readonly<Record<TemplateMode, string>> = {
  off: "Template",
  beside: "Template beside",
  blink: "Template blinks",
  difference: "Difference",
};

export interface ViewerHandle {
  fitRegion: (region: Region | null) => void;
  fitAll: () => void;
  zoom: (direction: 1 | -1) => void;
}

interface Props {
  frame: Frame;
  /** Those confident enough to be shown, as they stand now. */
  states: readonly RegionState[];
  drawn: readonly DrawnState[];
  numberOf: (region: Region) => number;
  selected: string | null;
  onSelect: (region: string | null) => void;
  overlaysHidden: boolean;
  mode: TemplateMode;
  onTemplate: () => void;
  /** Null for whom may not set one. */
  onTemplateDialog: (() => void) | null;
  handle: Ref<ViewerHandle>;
}

export function ViewerPane(props: Props) {
  const { frame, states, drawn, numberOf, selected, onSelect, overlaysHidden, mode, handle } = props;
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
    viewer?.setRegions(drawnOn(states, drawn, numberOf, selected));
    viewer?.select(selected);
  }, [viewer, states, drawn, numberOf, selected]);
  const chosen = states.find(({ region }) => region.id === selected)?.region.box_xyxy;
  useEffect(() => {
    if (chosen !== undefined) viewer?.bringIntoView(rectOf(chosen));
  }, [viewer, chosen]);
  useEffect(() => viewer?.showOverlays(!overlaysHidden), [viewer, overlaysHidden]);
  useEffect(() => {
    if (viewer !== null && beside !== null) beside.setView(viewer.view());
  }, [viewer, beside]);
  useTemplateOver(viewer, mode === "blink" || mode === "difference" ? template : null, mode === "difference");
  const lies = useAlignment(frame, mode === "off" ? null : template);

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
        aria-label={`Frame with ${states.length} regions; they are listed beside it`}
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
        <button
          type="button"
          className="button quiet"
          aria-pressed={mode !== "off"}
          aria-keyshortcuts="T"
          onClick={props.onTemplate}
        >
          <Icon name="template" />
          {template === null ? "No template" : MODE_WORDS[mode]}
        </button>
        {props.onTemplateDialog !== null && (
          <button type="button" className="button quiet" onClick={props.onTemplateDialog}>
            {template === null ? "Set template" : "Change"}
          </button>
        )}
      </div>
      {mode !== "off" && template !== null && (
        <p className="viewer-note" role="status">
          {mode === "difference" && "What is not black differs from the template. "}
          {lies === null ? "Comparing" : <AlignmentWords of={lies} />}
        </p>
      )}
    </div>
  );
}

/** Large ones first, so that small ones lie on top of them. */
function drawnOn(
  states: readonly RegionState[],
  drawn: readonly DrawnState[],
  numberOf: (region: Region) => number,
  selected: string | null,
): ViewerRegion[] {
  const ofModels = [...states]
    .sort((a, b) => areaPx(b.region.box_xyxy) - areaPx(a.region.box_xyxy))
    .map(({ region, defect }): ViewerRegion => {
      const number = String(numberOf(region));
      return {
        id: region.id,
        rect: rectOf(region.box_xyxy),
        colourIndex: region.defect_class.colour_index,
        label: region.id === selected ? `${number} ${titleOf(region.defect_class)}` : number,
        look: defect ? "counts" : region.counts ? "dismissed" : "below",
      };
    });
  const ofPeople = drawn.map(({ id, box_xyxy, defect_class, by }): ViewerRegion => ({
    id,
    rect: rectOf(box_xyxy),
    colourIndex: defect_class.colour_index,
    label: by,
    look: "counts",
  }));
  return [...ofModels, ...ofPeople];
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
      let made: FrameViewer | null = null;
      let gone = false;
      // The viewer is most of the page's code: what it says in words is there before it.
      import("./openSeadragonViewer").then(({ createViewer }) => {
        if (gone) return;
        const onReady = () => onViewer(made);
        made = createViewer(host, { url, width, height }, { onReady, onError, onSelect, onView });
      }, onError);
      return () => {
        gone = true;
        onViewer(null);
        made?.destroy();
      };
    },
    [url, width, height, onViewer, onError, onSelect, onView],
  );
}

/** Template over the frame at the same place: in turn, or as their difference. With reduced motion it stays on top. */
function useTemplateOver(viewer: FrameViewer | null, template: string | null, difference: boolean): void {
  useEffect(() => {
    if (viewer === null) return;
    viewer.setSecond(template, difference);
    viewer.showSecond(template !== null);
    if (template === null || difference || prefersReducedMotion()) return;
    let visible = true;
    const timer = setInterval(() => viewer.showSecond((visible = !visible)), BLINK_MS);
    return () => clearInterval(timer);
  }, [viewer, template, difference]);
}

/** How the frame lies on its template; null until it is known. */
function useAlignment(frame: Frame, template: string | null): Alignment | null {
  const { width, height } = frame;
  const { rendition: picture } = frame.urls;
  const [found, setFound] = useState<{ of: string; lies: Alignment } | null>(null);
  const of = `${picture} ${template ?? ""}`;
  useEffect(() => {
    if (template === null) return;
    const abort = new AbortController();
    Promise.all([fetchPicture(picture, abort.signal), fetchPicture(template, abort.signal)])
      .then(([one, other]) => alignment(one, other, { width, height }))
      .then(
        (lies) => setFound({ of, lies }),
        () => undefined,
      );
    return () => abort.abort();
  }, [picture, template, width, height, of]);
  return found?.of === of ? found.lies : null;
}

function useLatest<T>(value: T) {
  const latest = useRef(value);
  useEffect(() => {
    latest.current = value;
  });
  return latest;
}
