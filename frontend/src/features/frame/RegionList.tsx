/** The regions of a frame: class (correctable), score, place, and what the model wrote, labelled as machine text. */
import { useEffect, useRef } from "react";

import type { DefectClass, Region } from "../../api/types";
import { isWriting, type Typing } from "../../domain/frameFeed";
import { formatMs, formatScore, plural } from "../../domain/format";
import { readableSoFar } from "../../domain/partialAnswer";
import { boxInWords, disagrees } from "../../domain/region";
import type { DrawnState, RegionState } from "../../domain/regionState";
import { whyUndescribed } from "../../domain/undescribed";
import { Icon } from "../../ui/icons";
import { className, titleOf } from "../../ui/parts";

export interface RegionListProps {
  /** What counts first, then what lies below its threshold. */
  states: readonly RegionState[];
  drawn: readonly DrawnState[];
  classes: readonly DefectClass[];
  numberOf: (region: Region) => number;
  selected: string | null;
  typing: ReadonlyMap<string, Typing>;
  mayReview: boolean;
  onSelect: (region: string) => void;
  onClass: (region: string, defectClass: number) => void;
  onToggle: (region: string) => void;
}

export function RegionList(props: RegionListProps) {
  const counting = props.states.filter(({ region }) => region.counts);
  const below = props.states.filter(({ region }) => !region.counts);
  return (
    <>
      <Rows {...props} states={counting} label="Regions" />
      {below.length > 0 && (
        <>
          <h3 className="region-group">
            Below the threshold <span className="hint">{below.length}, not part of the decision</span>
          </h3>
          <Rows {...props} states={below} label="Regions below the threshold" />
        </>
      )}
      {props.drawn.length > 0 && <Drawn drawn={props.drawn} />}
    </>
  );
}

function Rows({ label, states, ...rest }: RegionListProps & { label: string }) {
  if (states.length === 0) return null;
  return (
    <ol className="region-list" aria-label={label}>
      {states.map((state) => (
        <RegionRow key={state.region.id} state={state} {...rest} />
      ))}
    </ol>
  );
}

/** What a person marked where no model had found anything. */
function Drawn({ drawn }: { drawn: readonly DrawnState[] }) {
  return (
    <ol className="region-list" aria-label="Regions drawn by a person">
      {drawn.map(({ id, defect_class, by, box_xyxy }) => (
        <li key={id} className={`region ${className(defect_class)}`} data-region={id}>
          <div className="region-head">
            <span className="region-number">+</span>
            <span className="region-class">{titleOf(defect_class)}</span>
            <span className="chip plain small">drawn by {by}</span>
          </div>
          <p className="hint small">{boxInWords(box_xyxy)}</p>
        </li>
      ))}
    </ol>
  );
}

type RowProps = Omit<RegionListProps, "states" | "drawn"> & { state: RegionState };

function RegionRow({ state, selected, onSelect, numberOf, ...rest }: RowProps) {
  const { region, defect } = state;
  const open = region.id === selected;
  const row = useRef<HTMLLIElement>(null);
  useEffect(() => {
    if (open) row.current?.scrollIntoView({ block: "nearest" });
  }, [open]);
  return (
    <li
      ref={row}
      className={`region ${className(region.defect_class)}`}
      data-region={region.id}
      data-selected={open}
      data-dismissed={region.counts && !defect}
      data-below={!region.counts && !defect}
    >
      <button type="button" className="region-head" aria-expanded={open} onClick={() => onSelect(region.id)}>
        <span className="region-number">{numberOf(region)}</span>
        <span className="region-class">{titleOf(region.defect_class)}</span>
        {wordsOn(state).map((words) => (
          <span key={words} className="chip plain small">
            {words}
          </span>
        ))}
        <span className="score">{formatScore(region.score)}</span>
      </button>
      <MachineText region={region} typing={rest.typing.get(region.id)} whole={open} />
      {open && <RegionFacts region={region} />}
      {open && rest.mayReview && <Corrections state={state} {...rest} />}
    </li>
  );
}

/** What makes this region differ from what the machine said, and by whose word. */
function wordsOn({ region, defect, before, changed, said }: RegionState): string[] {
  if (!changed) return said === null ? [] : [`${said.what} by ${said.by}`];
  const words = [];
  if (defect !== region.counts) words.push(defect ? "a defect, you say" : "no defect");
  if (region.defect_class.id !== before.defectClass) words.push("corrected");
  return words.length > 0 ? words : ["as the machine said"];
}

function MachineText({
  region,
  typing,
  whole,
}: {
  region: Region;
  typing: Typing | undefined;
  whole: boolean;
}) {
  const { description } = region;
  if (typing !== undefined && isWriting(region)) {
    return (
      <div className="region-text writing" data-tokens={typing.tokens}>
        <p className="machine-text">
          {readableSoFar(typing.text)}
          <span className="caret" />
        </p>
        <MachineLabel>{plural(typing.tokens, "token")} so far</MachineLabel>
      </div>
    );
  }
  if (description === null) return null;
  const why = whyUndescribed(region);
  if (why !== null) return <p className="region-text hint">{why}</p>;
  if (description.state === "invalid") {
    return (
      <div className="region-text">
        <p className="hint">The model’s answer did not fit the schema and is not used.</p>
        {whole && <p className="machine-text raw">{description.partial}</p>}
      </div>
    );
  }
  const text = description.text ?? {};
  return (
    <div className="region-text">
      <p className="machine-text">{text.appearance}</p>
      {disagrees(region) && (
        <p className="disagrees">
          <Icon name="warning" />
          <span>
            The describer names it <b className="machine-text">{text.defect_class}</b>
          </span>
        </p>
      )}
      {whole && (
        <dl className="facts">
          <Fact label="Probable cause" value={text.probable_cause} />
          <Fact label="Recommended" value={text.recommended_action} />
          <Fact label="Severity" value={text.severity} />
          <Fact label="Location" value={text.location} />
          <Fact label="Size" value={text.size} />
          <Fact
            label="Describer’s own confidence"
            value={typeof text.confidence === "number" ? formatScore(text.confidence) : undefined}
          />
        </dl>
      )}
      <MachineLabel>
        Machine text
        {whole && description.node !== null && `, ${description.node}, ${formatMs(description.latency_ms)}`}
        {whole && description.model !== null && (
          <>
            {`, ${description.model.name} `}
            <code title={description.model.digest}>{description.model.digest.slice(0, 12)}</code>
          </>
        )}
      </MachineLabel>
    </div>
  );
}

function MachineLabel({ children }: { children: React.ReactNode }) {
  return (
    <p className="machine-label">
      <Icon name="machine" />
      <span>{children}</span>
    </p>
  );
}

/** Values come from a model: whatever they are, they become plain text. */
function Fact({ label, value }: { label: string; value: unknown }) {
  if (value === undefined || value === null || value === "") return null;
  return (
    <>
      <dt>{label}</dt>
      <dd className="machine-text">{typeof value === "string" ? value : JSON.stringify(value)}</dd>
    </>
  );
}

function RegionFacts({ region }: { region: Region }) {
  return (
    <p className="hint small">
      {boxInWords(region.box_xyxy)}, found by {region.model.name} {region.model.version} on {region.node}
    </p>
  );
}

type CorrectionProps = Pick<RegionListProps, "classes" | "onClass" | "onToggle"> & { state: RegionState };

function Corrections({ state, classes, onClass, onToggle }: CorrectionProps) {
  const { region, defect } = state;
  const id = `class-of-${region.id}`;
  return (
    <div className="corrections">
      <div className="field">
        <label htmlFor={id}>
          Class <kbd>1</kbd>–<kbd>{Math.min(9, classes.length)}</kbd>
        </label>
        <select
          id={id}
          className="select"
          value={region.defect_class.id}
          onChange={(event) => onClass(region.id, Number(event.target.value))}
        >
          {classes.map((option, index) => (
            <option key={option.id} value={option.id}>
              {index < 9 ? `${index + 1}  ` : ""}
              {titleOf(option)}
            </option>
          ))}
        </select>
      </div>
      <button
        type="button"
        className="button"
        aria-pressed={defect !== region.counts}
        onClick={() => onToggle(region.id)}
      >
        {region.counts ? "No defect" : "A defect"} <kbd>Del</kbd>
      </button>
    </div>
  );
}
