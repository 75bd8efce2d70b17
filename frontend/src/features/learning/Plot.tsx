/** A curve of a run with its axes, or the curves of two runs in one picture. */
import { useId } from "react";

import { ticksOf, type CurvePoint } from "./curve";

const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP] = [360, 168, 46, 22, 8];

export interface Series {
  name: string;
  points: readonly CurvePoint[];
}

interface PlotProps {
  title: string;
  /** How a value is written. */
  words: (value: number) => string;
  series: readonly Series[];
}

export function Plot({ title, words, series }: PlotProps) {
  const label = useId();
  const points = series.flatMap(({ points: own }) => own);
  const last = series.map(({ points: own }) => own.at(-1)?.value);
  return (
    <figure className="plot">
      <figcaption id={label}>
        <span>{title}</span>
        {series.map(({ name }, number) => (
          <b key={name} className={`series-${number}`}>
            {last[number] === undefined ? "–" : words(last[number])}
          </b>
        ))}
      </figcaption>
      {points.length === 0 ? (
        <p className="plot-empty hint">Nothing measured yet.</p>
      ) : (
        <Drawn label={label} words={words} series={series} points={points} />
      )}
    </figure>
  );
}

interface DrawnProps extends Omit<PlotProps, "title"> {
  label: string;
  points: readonly CurvePoint[];
}

function Drawn({ label, words, series, points }: DrawnProps) {
  const values = points.map(({ value }) => value);
  const down = ticksOf(Math.min(...values), Math.max(...values));
  const steps = points.map(({ step }) => step);
  const [first, end] = [Math.min(0, ...steps), Math.max(1, ...steps)];
  const [low, high] = [down[0] ?? 0, down.at(-1) ?? 1];
  const x = (step: number) => LEFT + ((step - first) / (end - first)) * (WIDTH - LEFT - 8);
  const y = (value: number) => TOP + (1 - (value - low) / (high - low || 1)) * (HEIGHT - TOP - BOTTOM);
  return (
    <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-labelledby={label}>
      {down.map((value) => (
        <g key={value}>
          <line className="grid" x1={LEFT} x2={WIDTH} y1={y(value)} y2={y(value)} />
          <text className="tick" x={LEFT - 6} y={y(value)} textAnchor="end" dominantBaseline="middle">
            {words(value)}
          </text>
        </g>
      ))}
      {[first, (first + end) / 2, end].map((step, number) => (
        <text
          key={number}
          className="tick"
          x={x(step)}
          y={HEIGHT - 6}
          textAnchor={number === 2 ? "end" : number === 1 ? "middle" : "start"}
        >
          {Math.round(step)}
        </text>
      ))}
      {series.map(({ name, points: own }, number) => (
        <g key={name} className={`series-${number}`}>
          <polyline
            points={own.map(({ step, value }) => `${x(step).toFixed(1)},${y(value).toFixed(1)}`).join(" ")}
          />
          {own.length <= 24 &&
            own.map(({ step, value }) => <circle key={step} cx={x(step)} cy={y(value)} r="2.5" />)}
        </g>
      ))}
    </svg>
  );
}
