/** The regions of a frame under their heading, with how sure they must be to be shown. */
import type { DefectClass, Frame } from "../../api/types";
import type { Typing } from "../../domain/frameFeed";
import { SCORE_STEP } from "../../domain/regionChoice";
import { RegionList } from "./RegionList";
import type { Regions } from "./useRegions";

interface Props {
  frame: Frame;
  regions: Regions;
  classes: readonly DefectClass[];
  typing: ReadonlyMap<string, Typing>;
  mayReview: boolean;
}

export function RegionsSection({ frame, regions, classes, typing, mayReview }: Props) {
  const { shown, selected, minScore } = regions;
  const all = frame.regions.length;
  return (
    <section>
      <div className="side-head">
        <h2>
          Regions <span className="hint">{shown.length < all ? `${shown.length} of ${all}` : all}</span>
        </h2>
        <label className="confidence">
          <span className="label">Score from {Math.round(minScore * 100)} %</span>
          <input
            type="range"
            min={0}
            max={0.95}
            step={SCORE_STEP}
            value={minScore}
            onChange={(event) => regions.setMinScore(Number(event.target.value))}
          />
        </label>
      </div>
      {all === 0 && (
        <p className="hint">
          {frame.state === "queued" || frame.state === "running"
            ? "Regions appear here once a node has looked."
            : "No model proposed a region."}
        </p>
      )}
      <RegionList
        states={shown}
        drawn={regions.drawn}
        classes={classes}
        numberOf={regions.numberOf}
        selected={selected}
        typing={typing}
        mayReview={mayReview}
        onSelect={(region) => regions.select(region === selected ? null : region)}
        onClass={regions.setClass}
        onToggle={regions.toggleDefect}
      />
    </section>
  );
}
