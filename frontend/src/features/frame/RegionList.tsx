/** The regions of a frame: class (correctable), score, place, and what the model wrote, labelled as machine text. */
import { useEffect, useRef } from "react";

import type { DefectClass, Region } from "../../api/types";
import { isWriting, type Typing } from "../../domain/frameFeed";
import { formatMs, formatScore, plural } from "../../domain/format";
import { readableSoFar } from "../../domain/partialAnswer";
import { boxInWords } from "../../domain/region";
import { Icon } from "../../ui/icons";
import { className, titleOf } from "../../ui/parts";

export interface RegionListProps {
  /** With the classes as I corrected them. */
  regions: readonly Region[];
  classes: readonly DefectClass[];
  numberOf: (region: Region) => number;
  corrected: Readonly<Record<string, number>>;
  dismissed: readonly string[];
  selected: string | null;
  typing: ReadonlyMap<string, Typing>;
  mayReview: boolean;
  onSelect: (region: string) => void;
  onClass: (region: string, defectClass: number) => void;
  onDismiss: (region: string) => void;
}

export function RegionList(props: RegionListProps) {
  return (
    <ol className="region-list" aria-label="Regions">
      {props.regions.map((region) => (
        <RegionRow key={region.id} region={region} {...props} />
      ))}
    </ol>
  );
}

function RegionRow({
  region,
  selected,
  onSelect,
  dismissed,
  numberOf,
  corrected,
  ...rest
}: RegionListProps & { region: Region }) {
  const open = region.id === selected;
  const gone = dismissed.includes(region.id);
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
      data-dismissed={gone}
    >
      <button type="button" className="region-head" aria-expanded={open} onClick={() => onSelect(region.id)}>
        <span className="region-number">{numberOf(region)}</span>
        <span className="region-class">{titleOf(region.defect_class)}</span>
        {corrected[region.id] !== undefined && <span className="chip plain small">corrected</span>}
        {gone && <span className="chip plain small">no defect</span>}
        {!region.counts && !gone && (
          <span className="chip plain small" title="Its score did not reach the station's threshold">
            below threshold
          </span>
        )}
        <span className="score">{formatScore(region.score)}</span>
      </button>
      <MachineText region={region} typing={rest.typing.get(region.id)} whole={open} />
      {open && <RegionFacts region={region} />}
      {open && rest.mayReview && <Corrections region={region} gone={gone} {...rest} />}
    </li>
  );
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
  if (description.state === "pending") return <p className="region-text hint">Description pending</p>;
  if (description.state === "streaming")
    return <p className="region-text hint">Being described on {description.node ?? "a node"}</p>;
  if (description.state === "invalid") {
    return (
      <div className="region-text">
        <p className="hint">The model’s answer did not fit the schema and is not used.</p>
        {whole && <p className="machine-text raw">{description.partial}</p>}
      </div>
    );
  }
  const text = description.text ?? {};
  const disagrees = text.defect_class !== undefined && text.defect_class !== region.defect_class.name;
  return (
    <div className="region-text">
      <p className="machine-text">{text.appearance}</p>
      {disagrees && (
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
            label="Its confidence"
            value={typeof text.confidence === "number" ? formatScore(text.confidence) : undefined}
          />
        </dl>
      )}
      <MachineLabel>
        Machine text
        {whole && description.node !== null && `, ${description.node}, ${formatMs(description.latency_ms)}`}
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

type CorrectionProps = Pick<RegionListProps, "classes" | "onClass" | "onDismiss"> & {
  region: Region;
  gone: boolean;
};

function Corrections({ region, gone, classes, onClass, onDismiss }: CorrectionProps) {
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
          disabled={gone}
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
      <button type="button" className="button" aria-pressed={gone} onClick={() => onDismiss(region.id)}>
        No defect <kbd>Del</kbd>
      </button>
    </div>
  );
}
