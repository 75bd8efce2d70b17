/** What the current weights write about a few crops that stay the same. Machine text: shown as it is, as text. */
import type { RunEvent } from "./learningApi";

type Texts = Readonly<Record<string, string | undefined>>;

export function Samples({ run, told }: { run: string; told: readonly RunEvent[] }) {
  const newest = new Map<string, RunEvent>();
  for (const event of told) {
    const { picture, frame } = event.data;
    if (event.type === "sample") newest.set(wordOf(picture) ?? wordOf(frame) ?? String(event.seq), event);
  }
  if (newest.size === 0) return null;
  return (
    <section className="panel padded" aria-labelledby="samples-title">
      <h2 id="samples-title">What its weights answer now</h2>
      <ul className="samples">
        {[...newest].map(([key, { data, seq }]) => (
          <Sample
            key={key}
            source={addressOf(run, data["picture"])}
            answer={partOf(data["answer"])}
            truth={partOf(data["truth"])}
            step={typeof data["step"] === "number" ? data["step"] : seq}
          />
        ))}
      </ul>
    </section>
  );
}

interface SampleProps {
  source: string | null;
  answer: Texts;
  truth: Texts;
  step: number;
}

function Sample({ source, answer, truth, step }: SampleProps) {
  const said = answer["defect_class"] ?? "no answer that fits";
  const right = said === truth["defect_class"];
  return (
    <li data-right={right}>
      {source === null ? <span className="crop" /> : <img className="crop" src={source} alt="" />}
      <div>
        <p>
          <b>{said}</b>{" "}
          <span className={`chip state ${right ? "tone-pass" : "tone-fail"}`}>
            {right ? "as labelled" : `labelled ${truth["defect_class"] ?? "nothing"}`}
          </span>
        </p>
        <p className="machine-text">{answer["appearance"] ?? ""}</p>
        <p className="hint">{[answer["location"], answer["size"]].filter(Boolean).join(", ")}</p>
        <p className="hint">after step {step}</p>
      </div>
    </li>
  );
}

/** "samples/3.png" of the run's folder; any other text has no address. */
function addressOf(run: string, picture: unknown): string | null {
  const found = /^samples\/(\d{1,4})\.png$/.exec(wordOf(picture) ?? "");
  return found?.[1] === undefined ? null : `/api/v1/runs/${run}/samples/${found[1]}`;
}

function wordOf(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

/** What a trainer wrote is not trusted to be of any shape. */
function partOf(value: unknown): Texts {
  if (typeof value !== "object" || value === null) return {};
  const texts: Record<string, string> = {};
  for (const [name, text] of Object.entries(value)) if (typeof text === "string") texts[name] = text;
  return texts;
}
