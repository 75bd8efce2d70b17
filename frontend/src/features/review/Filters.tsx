/** What the queue is narrowed by. Beside each choice stands how many frames it would show. */
import { useEffect, useId, useState, type ReactNode } from "react";

import type { FrameCounts, Line } from "../../api/types";
import {
  ANY,
  UNJUDGED,
  chosen,
  chosenCount,
  type FilterName,
  type QueueFilter,
} from "../../domain/frameFilter";

interface Props {
  filter: QueueFilter;
  counts: FrameCounts | null;
  lines: readonly Line[];
  onChange: (filter: QueueFilter) => void;
}

const DECISIONS = [
  ["", "Any"],
  ["fail", "Fail"],
  ["hold", "Hold"],
  ["pass", "Pass"],
  ["none", "Undecided"],
] as const;

const VERDICTS = [
  [UNJUDGED, "Not judged"],
  ["unsure", "Unsure"],
  ["reject", "Disagreed"],
  ["accept", "Agreed"],
  ["settle", "Settled"],
  [ANY, "All"],
] as const;

export function Filters({ filter, counts, lines, onChange }: Props) {
  const set = (name: FilterName) => (value: string) => onChange(chosen(filter, name, value));
  const narrowedBy = chosenCount(filter);
  return (
    <div className="filters">
      <Choice
        label="Judged"
        value={filter.verdict ?? UNJUDGED}
        onChange={(value) => set("verdict")(value === UNJUDGED ? "" : value)}
      >
        {VERDICTS.map(([value, word]) => (
          <option key={value} value={value}>
            {word}
            {counted(value === ANY ? sum(counts?.verdicts) : counts?.verdicts[value])}
          </option>
        ))}
      </Choice>
      <Choice label="Decision" value={filter.decision ?? ""} onChange={set("decision")}>
        {DECISIONS.map(([value, word]) => (
          <option key={value} value={value}>
            {word}
            {counted(value === "" ? sum(counts?.decisions) : counts?.decisions[value])}
          </option>
        ))}
      </Choice>
      <label className="only-disputed">
        <input
          type="checkbox"
          checked={filter.disagreement === "yes"}
          onChange={(event) => set("disagreement")(event.target.checked ? "yes" : "")}
        />
        Disputed only{counted(counts?.disagreements)}
      </label>
      <details className="more-filters">
        <summary>More filters{narrowedBy > 0 && ` (${narrowedBy} set)`}</summary>
        <div className="filter-grid">
          {lines.length > 1 && (
            <Choice label="Line" value={filter.line ?? ""} onChange={set("line")}>
              <option value="">Every line</option>
              {lines.map(({ id, name }) => (
                <option key={id} value={id}>
                  {name}
                </option>
              ))}
            </Choice>
          )}
          <Choice label="Station" value={filter.station ?? ""} onChange={set("station")}>
            <option value="">Every station</option>
            {withChosen(counts?.stations ?? [], filter.station).map(({ id, name, count }) => (
              <option key={id} value={id}>
                {name}
                {counted(count)}
              </option>
            ))}
          </Choice>
          <Choice label="Class" value={filter.defect_class ?? ""} onChange={set("defect_class")}>
            <option value="">Every class</option>
            {withChosen(counts?.classes ?? [], filter.defect_class).map(({ id, name, title, count }) => (
              <option key={id} value={id}>
                {title === undefined || title === "" ? name : title}
                {counted(count)}
              </option>
            ))}
          </Choice>
          <Choice label="Model" value={filter.model ?? ""} onChange={set("model")}>
            <option value="">Every model</option>
            {withChosen(counts?.models ?? [], filter.model).map(({ id, name, version, count }) => (
              <option key={id} value={id}>
                {name} {version}
                {counted(count)}
              </option>
            ))}
          </Choice>
          <Written label="Score from, %" type="number" value={filter.min_score} onChange={set("min_score")} />
          <Written label="Score to, %" type="number" value={filter.max_score} onChange={set("max_score")} />
          <Written label="From day" type="date" value={filter.since} onChange={set("since")} />
          <Written label="To day" type="date" value={filter.until} onChange={set("until")} />
          <Written label="Part or file" type="search" value={filter.part} onChange={set("part")} />
        </div>
      </details>
      {narrowedBy > 0 && (
        <button type="button" className="link-button" onClick={() => onChange({})}>
          Clear all filters
        </button>
      )}
    </div>
  );
}

interface ChoiceProps {
  label: string;
  value: string;
  onChange: (value: string) => void;
  children: ReactNode;
}

function Choice({ label, value, onChange, children }: ChoiceProps) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <select id={id} className="select" value={value} onChange={(event) => onChange(event.target.value)}>
        {children}
      </select>
    </div>
  );
}

interface WrittenProps {
  label: string;
  type: "number" | "date" | "search";
  value: string | undefined;
  onChange: (value: string) => void;
}

/** Taken when the person is done with the field: with Enter or by leaving it, not with each letter. */
function Written({ label, type, value = "", onChange }: WrittenProps) {
  const id = useId();
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  const take = () => {
    if (text !== value) onChange(text);
  };
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        className="input"
        type={type}
        {...(type === "number" ? { min: 0, max: 100 } : {})}
        value={text}
        onChange={(event) => setText(event.target.value)}
        onBlur={take}
        onKeyDown={(event) => {
          if (event.key === "Enter") take();
        }}
      />
    </div>
  );
}

function counted(count: number | undefined): string {
  return count === undefined ? "" : ` (${count})`;
}

function sum(counts: Readonly<Record<string, number>> | undefined): number | undefined {
  return counts === undefined ? undefined : Object.values(counts).reduce((all, count) => all + count, 0);
}

interface Counted {
  id: number;
  name: string;
  count: number;
  title?: string;
  version?: string;
}

/** What is chosen stays in its list, also where it would show nothing: a list that forgets it would show another. */
function withChosen(rows: readonly Counted[], value: string | undefined): readonly Counted[] {
  const id = Number(value);
  if (value === undefined || rows.some((row) => row.id === id)) return rows;
  return [...rows, { id, name: `number ${value}`, count: 0, version: "" }];
}
