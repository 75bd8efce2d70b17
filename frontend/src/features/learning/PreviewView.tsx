/** What a run would train on and cost: sixteen crops as they are augmented, each with its question and its answer. */
import { useQuery } from "@tanstack/react-query";

import { Notice } from "../../ui/parts";
import { learning, type PreviewCrop, type PreviewShown, isOpen } from "./learningApi";
import { durationInWords } from "./logWords";
import { Trouble } from "./Trouble";

/** Should every hint be lost. */
const ASK_AGAIN_MS = 10_000;

export function PreviewView({ id }: { id: string }) {
  const { data, error } = useQuery({
    queryKey: ["previews", id],
    queryFn: () => learning.preview(id),
    refetchInterval: ({ state }) => (isOpen(state.data?.state ?? "queued") ? ASK_AGAIN_MS : false),
  });
  if (error !== null) return <Trouble error={error} />;
  return (
    <section
      className="panel padded"
      aria-labelledby="preview-title"
      aria-busy={isOpen(data?.state ?? "queued")}
    >
      <h2 id="preview-title">Preview</h2>
      {isOpen(data?.state ?? "queued") && (
        <div role="status">
          <p>{data?.progress || "Waits for a worker…"}</p>
          <progress aria-label="Preview" />
        </div>
      )}
      {data?.state === "failed" && (
        <Notice level="stopped">
          <p>{data.error_detail}</p>
          <p>{data.error_hint}</p>
        </Notice>
      )}
      {data?.shown != null && <Shown id={id} shown={data.shown} />}
    </section>
  );
}

function Shown({ id, shown }: { id: string; shown: PreviewShown }) {
  const { estimate, places, crops } = shown;
  const count = (name: string) => (estimate[name] ?? 0).toLocaleString("en-GB");
  return (
    <>
      <dl className="figures" aria-label="Estimate">
        <div>
          <dt>Time</dt>
          <dd>{durationInWords(estimate["seconds"] ?? null)}</dd>
        </div>
        <div>
          <dt>of it the report</dt>
          <dd>{durationInWords(estimate["report_seconds"] ?? null)}</dd>
        </div>
        <div>
          <dt>Memory</dt>
          <dd>{count("memory_mib")} MiB</dd>
        </div>
        <div>
          <dt>Free memory</dt>
          <dd>{count("free_memory_mib")} MiB</dd>
        </div>
        <div>
          <dt>Steps</dt>
          <dd>{count("steps")}</dd>
        </div>
        <div>
          <dt>Places to learn from</dt>
          <dd>{places.train.toLocaleString("en-GB")}</dd>
        </div>
      </dl>
      <p className="hint">Crops as a step would see them, drawn over all classes in turn.</p>
      <ol className="preview-crops">
        {crops.map((crop, number) => (
          <Crop key={crop.picture} crop={crop} source={`/api/v1/run-previews/${id}/crops/${number}`} />
        ))}
      </ol>
    </>
  );
}

function Crop({ crop, source }: { crop: PreviewCrop; source: string }) {
  const texts = Object.entries(crop.answer).filter(([name]) => name !== "defect_class");
  return (
    <li>
      <img src={source} alt={`A crop that shows ${crop.defect_class}`} />
      <p>
        <b>{crop.defect_class}</b>
        {crop.template && <span className="hint"> with template</span>}
      </p>
      <p className="hint">
        {crop.hint === null ? "No hint" : `Hint: ${crop.hint[0]}, ${Math.round(100 * crop.hint[1])} %`}
      </p>
      <details>
        <summary>Question and answer</summary>
        <p className="machine-text">{crop.question}</p>
        <dl className="facts">
          {texts.map(([name, text]) => (
            <div key={name}>
              <dt>{name.replaceAll("_", " ")}</dt>
              <dd>{text}</dd>
            </div>
          ))}
        </dl>
      </details>
    </li>
  );
}
