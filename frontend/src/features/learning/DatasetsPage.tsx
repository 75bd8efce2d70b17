/** Datasets: what they hold, imports with their progress, sealing. */
import { useQuery } from "@tanstack/react-query";
import { useId, useState, type SyntheticEvent } from "react";

import type { Boot } from "../../api/boot";
import { learning, type ImportJob, type WholeDataset, isOpen } from "./learningApi";
import { Trouble } from "./Trouble";
import { useAct } from "./useAct";

const FORMATS: readonly (readonly [string, string])[] = [
  ["coco", "COCO"],
  ["yolo", "YOLO"],
  ["voc", "Pascal VOC"],
  ["deeppcb", "DeepPCB"],
  ["labelme", "labelme"],
  ["swift", "ms-swift JSONL"],
];
const POLL_MS = 2000;

export function DatasetsPage({ boot }: { boot: Boot }) {
  const list = useQuery({ queryKey: ["datasets"], queryFn: learning.datasets });
  const [chosen, setChosen] = useState<number | null>(null);
  const shown = chosen ?? list.data?.[0]?.id ?? null;
  return (
    <div className="learning">
      <header className="strip">
        <h1>Datasets</h1>
      </header>
      {list.error !== null && <Trouble error={list.error} />}
      <div className="learning-columns">
        <nav aria-label="Datasets" className="panel">
          <ul>
            {(list.data ?? []).map((row) => (
              <li key={row.id}>
                <button
                  type="button"
                  className="link-button"
                  aria-current={row.id === shown}
                  onClick={() => setChosen(row.id)}
                >
                  {row.name}
                </button>{" "}
                <span className="hint">
                  {row.line.name} · {row.frames} frames
                </span>
              </li>
            ))}
          </ul>
          <NewDataset boot={boot} onMade={setChosen} />
        </nav>
        {shown !== null && <OneDataset key={shown} id={shown} />}
      </div>
    </div>
  );
}

function NewDataset({ boot, onMade }: { boot: Boot; onMade: (id: number) => void }) {
  const [name, setName] = useState("");
  const [line, setLine] = useState(boot.lines[0]?.id ?? 0);
  const make = useAct(
    () => learning.make(line, name, ""),
    (made) => {
      setName("");
      onMade(made.id);
    },
  );
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    make.mutate(undefined);
  };
  return (
    <form onSubmit={submit} className="stacked">
      <label>
        New dataset{" "}
        <input
          className="input"
          required
          maxLength={100}
          value={name}
          onChange={(e) => setName(e.target.value)}
        />
      </label>
      <label>
        Line{" "}
        <select className="select" value={line} onChange={(e) => setLine(Number(e.target.value))}>
          {boot.lines.map((each) => (
            <option key={each.id} value={each.id}>
              {each.name}
            </option>
          ))}
        </select>
      </label>
      <button type="submit" className="button" disabled={make.isPending}>
        Make
      </button>
    </form>
  );
}

function OneDataset({ id }: { id: number }) {
  const whole = useQuery({
    queryKey: ["datasets", id],
    queryFn: () => learning.dataset(id),
    refetchInterval: ({ state }) =>
      state.data?.imports.some((job) => isOpen(job.state)) === true ? POLL_MS : false,
  });
  const reviewed = useAct(learning.addReviewed, ({ changed }, say) =>
    say(`${changed} reviewed frames are new or changed.`),
  );
  if (whole.error !== null) return <Trouble error={whole.error} />;
  if (whole.data === undefined) return <p className="hint padded">Asking for the dataset…</p>;
  const { data } = whole;
  return (
    <section className="panel padded" aria-labelledby="dataset-name">
      <h2 id="dataset-name">{data.name}</h2>
      <p className="hint">
        {data.line.name} · {data.frames} frames, {data.without_defects} of them without a defect ·{" "}
        {data.corrections} corrections since it was last sealed
      </p>
      <Classes data={data} />
      <h3>Bring in</h3>
      <ImportForm dataset={id} />
      <button
        type="button"
        className="button"
        disabled={reviewed.isPending}
        onClick={() => reviewed.mutate(id)}
      >
        Add reviewed frames of the line
      </button>
      <ul className="imports">
        {data.imports.map((job) => (
          <ImportRow key={job.id} job={job} />
        ))}
      </ul>
      <Versions data={data} />
    </section>
  );
}

function Classes({ data }: { data: WholeDataset }) {
  return (
    <table>
      <thead>
        <tr>
          <th scope="col">Class</th>
          <th scope="col">Regions</th>
          <th scope="col">Frames</th>
        </tr>
      </thead>
      <tbody>
        {data.classes.map((row) => (
          <tr key={row.name}>
            <th scope="row">{row.title === "" ? row.name : row.title}</th>
            <td>{row.regions}</td>
            <td>{row.frames}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function ImportForm({ dataset }: { dataset: number }) {
  const [format, setFormat] = useState("coco");
  const [unlabelled, setUnlabelled] = useState("");
  const [addClasses, setAddClasses] = useState(false);
  const field = useId();
  const send = useAct(
    (file: File) => learning.send(dataset, file, { format, add_classes: addClasses, unlabelled }),
    (_, say) => say("The zip has arrived and is being read."),
  );
  return (
    <div className="stacked">
      <label>
        Format{" "}
        <select className="select" value={format} onChange={(e) => setFormat(e.target.value)}>
          {FORMATS.map(([name, title]) => (
            <option key={name} value={name}>
              {title}
            </option>
          ))}
        </select>
      </label>
      <label>
        Pictures without labels{" "}
        <select className="select" value={unlabelled} onChange={(e) => setUnlabelled(e.target.value)}>
          <option value="">as the format has it</option>
          <option value="good">show no defect</option>
          <option value="skip">are left out</option>
        </select>
      </label>
      <label>
        <input type="checkbox" checked={addClasses} onChange={(e) => setAddClasses(e.target.checked)} /> Names
        that the line does not know become classes
      </label>
      <label htmlFor={field}>A zip of pictures and labels</label>
      <input
        id={field}
        type="file"
        accept=".zip"
        disabled={send.isPending}
        onChange={(event) => {
          const file = event.target.files?.[0];
          if (file !== undefined) send.mutate(file);
          event.target.value = "";
        }}
      />
      {send.isPending && <p className="hint">Sending…</p>}
    </div>
  );
}

function ImportRow({ job }: { job: ImportJob }) {
  const [open, setOpen] = useState(false);
  const cancel = useAct(learning.cancelImport);
  const resume = useAct(learning.resumeImport);
  return (
    <li data-import={job.id} data-state={job.state}>
      <b>{job.source}</b> <span className="chip plain">{job.state}</span> {job.taken} taken of {job.total},{" "}
      {job.troubles_count} not
      {isOpen(job.state) && <progress max={job.total || 1} value={job.done} aria-label="Pictures read" />}
      {isOpen(job.state) && (
        <button type="button" className="button quiet" onClick={() => cancel.mutate(job.id)}>
          Cancel
        </button>
      )}
      {job.state === "failed" && (
        <button type="button" className="button quiet" onClick={() => resume.mutate(job.id)}>
          Go on
        </button>
      )}
      {job.error_detail !== "" && (
        <p>
          {job.error_detail} {job.error_hint}
        </p>
      )}
      {job.troubles_count > 0 && (
        <button type="button" className="link-button" aria-expanded={open} onClick={() => setOpen(!open)}>
          What was not taken
        </button>
      )}
      {open && <Troubles id={job.id} />}
    </li>
  );
}

function Troubles({ id }: { id: number }) {
  const whole = useQuery({ queryKey: ["imports", id], queryFn: () => learning.import(id) });
  return (
    <ul className="log">
      {(whole.data?.troubles ?? []).map((one, index) => (
        <li key={index}>
          <code>
            {one.file}
            {one.line === null ? "" : `:${one.line}`}
          </code>{" "}
          {one.detail} {one.hint}
        </li>
      ))}
    </ul>
  );
}

function Versions({ data }: { data: WholeDataset }) {
  const [gaps, setGaps] = useState(false);
  const seal = useAct(
    () => learning.seal(data.id, gaps),
    (version, say) => say(`Sealed as version ${version.number}.`),
  );
  return (
    <>
      <h3>Sealed versions</h3>
      <label>
        <input type="checkbox" checked={gaps} onChange={(e) => setGaps(e.target.checked)} /> Also where a
        class lacks samples in a split
      </label>{" "}
      <button
        type="button"
        className="button"
        disabled={seal.isPending}
        onClick={() => seal.mutate(undefined)}
      >
        Seal
      </button>
      <ul>
        {data.versions.map((version) => (
          <li key={version.id}>
            <b>Version {version.number}</b> <code>{version.digest.slice(0, 12)}</code>{" "}
            <span className="hint">{splitWords(version.counts)}</span> {version.notes.join(" ")}
          </li>
        ))}
      </ul>
    </>
  );
}

/** "42 train, 9 val, 9 test". */
function splitWords(counts: unknown): string {
  const splits = (counts ?? {}) as Record<string, { frames?: number } | undefined>;
  return ["train", "val", "test"].map((name) => `${splits[name]?.frames ?? 0} ${name}`).join(", ");
}
