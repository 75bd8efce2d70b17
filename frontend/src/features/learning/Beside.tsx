/** Two runs beside each other: where their recipes differ, and what each reached on the test split. */
import type { Run } from "./learningApi";

type Shares = Readonly<Record<string, Readonly<Record<string, unknown>> | undefined>>;

export function Beside({ run, beside }: { run: Run; beside: Run }) {
  const differing = [...new Set([...Object.keys(run.settings), ...Object.keys(beside.settings)])].filter(
    (name) => JSON.stringify(run.settings[name]) !== JSON.stringify(beside.settings[name]),
  );
  const [mine, theirs] = [sharesOf(run), sharesOf(beside)];
  const trials = [...new Set([...Object.keys(mine), ...Object.keys(theirs)])].sort();
  const rows: [string, string, string][] = [
    ["Dataset", `${run.dataset} v${run.version}`, `${beside.dataset} v${beside.version}`],
    ...differing.map((name): [string, string, string] => [
      name.replaceAll("_", " "),
      words(run.settings[name]),
      words(beside.settings[name]),
    ]),
    ...trials.map((name): [string, string, string] => [
      `Class right, ${titleOf(name)}`,
      percent(mine[name]?.["class_accuracy"]),
      percent(theirs[name]?.["class_accuracy"]),
    ]),
  ];
  return (
    <section className="panel padded" aria-labelledby="beside-title">
      <h2 id="beside-title">Side by side</h2>
      <div className="scrolls" tabIndex={0}>
        <table>
          <thead>
            <tr>
              <td />
              <th scope="col" className="series-0">
                <span className="key" />
                {run.title}
              </th>
              <th scope="col" className="series-1">
                <span className="key" />
                {beside.title}
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.map(([name, own, other]) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                <td>{own}</td>
                <td>{other}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {trials.length === 0 && <p className="hint">Neither has a report yet.</p>}
    </section>
  );
}

/** What the version of a run reached, by trial; nothing before its report. */
function sharesOf(run: Run): Shares {
  const report = run.report as { measured?: { arms?: Record<string, Shares | undefined> } } | null;
  return report?.measured?.arms?.["version"] ?? {};
}

function titleOf(trial: string): string {
  if (trial === "detector") return "detector's own boxes";
  return trial === "0" ? "boxes as drawn" : `box noise ${trial}`;
}

function words(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? String(value) : "–";
}

function percent(value: unknown): string {
  return typeof value === "number" ? `${(100 * value).toFixed(1)} %` : "–";
}
