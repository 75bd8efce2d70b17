/** Predicted against measured: a picture of the last answers, and in figures by how much they were missed. */
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { sentenceOf } from "../../api/client";
import { queries } from "../../api/queries";
import type { Accuracy, PredictionPoint } from "../../api/types";
import { formatError, formatMs, plural } from "../../domain/format";
import { logAxis } from "../../domain/logScale";
import { Notice } from "../../ui/parts";
import { stageWord } from "./words";

const STRETCHES_MIN = [5, 15, 60, 24 * 60];

export function AccuracySection() {
  const [minutes, setMinutes] = useState(15);
  const answer = useQuery(queries.accuracy(minutes));
  return (
    <section className="accuracy" aria-labelledby="accuracy-title">
      <header>
        <h2 id="accuracy-title">Predicted against measured</h2>
        <label className="visually-hidden" htmlFor="accuracy-stretch">
          Stretch
        </label>
        <select
          id="accuracy-stretch"
          className="select"
          value={minutes}
          onChange={(event) => setMinutes(Number(event.target.value))}
        >
          {STRETCHES_MIN.map((each) => (
            <option key={each} value={each}>
              {each < 60 ? `Last ${each} min` : `Last ${each / 60} h`}
            </option>
          ))}
        </select>
      </header>
      <div className="panel">
        <Body accuracy={answer.data ?? null} error={answer.error} />
      </div>
    </section>
  );
}

function Body({ accuracy, error }: { accuracy: Accuracy | null; error: unknown }) {
  if (accuracy === null) {
    if (error === null) return <p className="hint padded">Asking for the last answers…</p>;
    return (
      <Notice level="stopped">
        <p>{sentenceOf(error).detail}</p>
      </Notice>
    );
  }
  if (accuracy.all.count === 0)
    return (
      <p className="hint padded">
        No answers in this stretch. Each answered request appears here as a point: across what was predicted,
        upward what was measured.
      </p>
    );
  return (
    <div className="accuracy-body">
      <Scatter points={accuracy.points} summary={inWords(accuracy)} />
      <Figures accuracy={accuracy} />
    </div>
  );
}

function inWords({ all }: Accuracy): string {
  const side = (all.median_error_ms ?? 0) > 0 ? "slower" : "faster";
  return `${plural(all.count, "answer")}: half of them within ${formatMs(all.median_off_ms)} of the prediction, \
95 % within ${formatMs(all.p95_off_ms)}; the middle one ${formatMs(Math.abs(all.median_error_ms ?? 0))} ${side} than predicted.`;
}

function Figures({ accuracy: { all, by_node } }: { accuracy: Accuracy }) {
  const rows = [...by_node, { node: "All", model: "", ...all }];
  return (
    <div className="figures-scroll" tabIndex={0} role="region" aria-label="Errors by node">
      <table className="figures-table">
        <thead>
          <tr>
            <th scope="col">Node</th>
            <th scope="col" className="number">
              Answers
            </th>
            <th
              scope="col"
              className="number"
              title="Half of the answers were nearer to their prediction than this"
            >
              Median error
            </th>
            <th
              scope="col"
              className="number"
              title="19 of 20 answers were nearer to their prediction than this"
            >
              95th percentile
            </th>
            <th scope="col" className="number" title="Negative: faster than predicted">
              Average error
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={`${row.node} ${row.model}`}>
              <th scope="row">
                {row.node} <span className="hint">{stageWord(row.model)}</span>
              </th>
              <td className="number">{row.count}</td>
              <td className="number">{formatMs(row.median_off_ms)}</td>
              <td className="number">{formatMs(row.p95_off_ms)}</td>
              <td className="number">{formatError(row.mean_error_ms ?? 0)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

const SIZE = { width: 440, height: 300, left: 76, right: 12, top: 12, bottom: 44 };

function Scatter({ points, summary }: { points: readonly PredictionPoint[]; summary: string }) {
  const axis = logAxis(points.flatMap(({ predicted_ms, measured_ms }) => [predicted_ms, measured_ms]));
  const x = (ms: number) => SIZE.left + axis.at(ms) * (SIZE.width - SIZE.left - SIZE.right);
  const y = (ms: number) => SIZE.height - SIZE.bottom - axis.at(ms) * (SIZE.height - SIZE.top - SIZE.bottom);
  const [floor, end] = [SIZE.height - SIZE.bottom, SIZE.width - SIZE.right];
  return (
    <figure className="scatter">
      <svg
        viewBox={`0 0 ${SIZE.width} ${SIZE.height}`}
        role="img"
        aria-label={`Predicted against measured. ${summary}`}
      >
        {axis.ticks.map((tick) => (
          <g key={tick} className="grid">
            <line x1={SIZE.left} x2={end} y1={y(tick)} y2={y(tick)} />
            <line x1={x(tick)} x2={x(tick)} y1={SIZE.top} y2={floor} />
            <text x={SIZE.left - 8} y={y(tick)} dy="0.35em" textAnchor="end">
              {axisLabel(tick)}
            </text>
            <text x={x(tick)} y={floor + 16} textAnchor="middle">
              {axisLabel(tick)}
            </text>
          </g>
        ))}
        <line className="exact" x1={SIZE.left} y1={floor} x2={end} y2={SIZE.top} />
        {[...points].reverse().map((point) => (
          <Dot key={point.id} point={point} x={x(point.predicted_ms)} y={y(point.measured_ms)} />
        ))}
        <text className="axis" x={(SIZE.left + end) / 2} y={SIZE.height - 6} textAnchor="middle">
          predicted
        </text>
        <text
          className="axis"
          transform={`translate(10 ${(SIZE.top + floor) / 2}) rotate(-90)`}
          textAnchor="middle"
        >
          measured
        </text>
      </svg>
      <figcaption className="hint">
        <Key model="edge_detector" />
        <Key model="describer" />
        <span>On the line: just as predicted. Above it: slower.</span>
      </figcaption>
    </figure>
  );
}

function axisLabel(ms: number): string {
  return ms < 1000 ? `${ms} ms` : `${ms / 1000} s`;
}

interface DotProps {
  point: PredictionPoint;
  x: number;
  y: number;
}

/** Round for a detection, square for a description: the shape says it as well as the colour. */
function Dot({ point, x, y }: DotProps) {
  const words = `${point.node}: ${formatMs(point.predicted_ms)} predicted, ${formatMs(point.measured_ms)} measured`;
  if (point.model === "describer")
    return (
      <rect className="dot describer" x={x - 3} y={y - 3} width={6} height={6}>
        <title>{words}</title>
      </rect>
    );
  return (
    <circle className="dot" cx={x} cy={y} r={3.2}>
      <title>{words}</title>
    </circle>
  );
}

function Key({ model }: { model: string }) {
  return (
    <span className="key">
      <svg viewBox="0 0 10 10" width="10" height="10" aria-hidden="true">
        {model === "describer" ? (
          <rect className="dot describer" x="1.5" y="1.5" width="7" height="7" />
        ) : (
          <circle className="dot" cx="5" cy="5" r="4" />
        )}
      </svg>
      {stageWord(model)}
    </span>
  );
}
