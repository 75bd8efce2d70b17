/** A new run: on which sealed version, by which recipe; what it would train on and cost; then launch it. */
import { useQuery } from "@tanstack/react-query";
import { useState, type SyntheticEvent } from "react";

import type { Boot } from "../../api/boot";
import { Notice } from "../../ui/parts";
import { learning, type Preview, type Run, type RunKind } from "./learningApi";
import { PreviewView } from "./PreviewView";
import { mayTrain } from "./runParts";
import { Trouble } from "./Trouble";
import { useAct } from "./useAct";

type Setting = RunKind["settings"][number];

interface LaunchProps {
  boot: Boot;
  onLaunched: (run: Run) => void;
}

export function LaunchForm({ boot, onLaunched }: LaunchProps) {
  const draft = useDraft(boot);
  const { kind, version, order } = draft;
  const [previewId, setPreviewId] = useState<string | null>(null);
  const preview = useAct(
    () => learning.askPreview(order()),
    ({ id }: Preview) => setPreviewId(id),
  );
  const launch = useAct(
    () => learning.launch({ ...order(), name: draft.name }),
    (run: Run, say) => {
      say("The run is in the queue.");
      onLaunched(run);
    },
  );
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    launch.mutate(undefined);
  };
  const changed = (change: () => void) => {
    setPreviewId(null); // it showed other settings
    change();
  };
  if (draft.error !== null) return <Trouble error={draft.error} />;
  if (kind === undefined) return <p className="hint padded">Asking for the recipes…</p>;
  return (
    <div className="run-view">
      <form className="panel padded launch" aria-labelledby="launch-title" onSubmit={submit}>
        <h2 id="launch-title">New run</h2>
        {draft.loaded && draft.sealed.length === 0 && (
          <Notice>
            <p>No dataset of yours is sealed yet.</p>
            <p>
              Import pictures or add reviewed frames on <a href="/datasets/">Datasets</a>, and seal a version
              there.
            </p>
          </Notice>
        )}
        <Choices draft={draft} changed={changed} />
        <fieldset className="recipe">
          <legend>Recipe</legend>
          {kind.settings.map((setting) => (
            <SettingField
              key={setting.name}
              setting={setting}
              value={draft.settings[setting.name] ?? setting.default}
              onChange={(value) => changed(() => draft.set(setting.name, value))}
            />
          ))}
        </fieldset>
        <div className="acts">
          <button
            type="button"
            className="button"
            disabled={version === null || !kind.previews || preview.isPending}
            onClick={() => preview.mutate(undefined)}
          >
            Preview
          </button>
          <button type="submit" className="button primary" disabled={version === null || launch.isPending}>
            Launch
          </button>
          <p className="hint">
            {kind.previews
              ? "The preview shows what it would train on, how long it takes and what it needs."
              : "This kind has no preview; its log says what it reads."}
          </p>
        </div>
      </form>
      {previewId !== null && <PreviewView id={previewId} />}
    </div>
  );
}

/** What the person has filled in so far. */
function useDraft(boot: Boot) {
  const datasets = useQuery({ queryKey: ["datasets"], queryFn: learning.datasets });
  const kinds = useQuery({ queryKey: ["run-kinds"], queryFn: learning.kinds, staleTime: Infinity });
  const [dataset, setDataset] = useState<number | null>(null);
  const [versionId, setVersion] = useState<number | null>(null);
  const [kindName, setKindName] = useState<RunKind["name"]>("describer-lora");
  const [name, setName] = useState("");
  const [seed, setSeed] = useState(0);
  const [settings, setSettings] = useState<Record<string, unknown>>({});
  const sealed = (datasets.data ?? []).filter(
    ({ versions, line }) => versions > 0 && mayTrain(boot, line.id),
  );
  const from = dataset ?? sealed[0]?.id ?? null;
  const whole = useQuery({
    queryKey: ["datasets", from],
    enabled: from !== null,
    queryFn: () => learning.dataset(from ?? 0),
  });
  const versions = whole.data?.versions ?? [];
  const version = versions.find(({ id }) => id === versionId)?.id ?? versions[0]?.id ?? null;
  return {
    error: datasets.error ?? kinds.error ?? whole.error,
    loaded: datasets.data !== undefined,
    sealed,
    dataset: from,
    versions,
    version,
    kinds: kinds.data ?? [],
    kind: kinds.data?.find((each) => each.name === kindName),
    name,
    seed,
    settings,
    setDataset,
    setVersion,
    setName,
    setSeed,
    setKind: (next: RunKind["name"]) => {
      setKindName(next);
      setSettings({});
    },
    set: (setting: string, value: unknown) => setSettings({ ...settings, [setting]: value }),
    order: () => ({ version: version ?? 0, kind: kindName, seed, settings }),
  };
}

interface ChoicesProps {
  draft: ReturnType<typeof useDraft>;
  changed: (change: () => void) => void;
}

function Choices({ draft, changed }: ChoicesProps) {
  return (
    <div className="fields">
      <label className="field">
        <span className="label">What</span>
        <select
          className="select"
          value={draft.kind?.name ?? ""}
          onChange={(e) => changed(() => draft.setKind(e.target.value as RunKind["name"]))}
        >
          {draft.kinds.map(({ name, title }) => (
            <option key={name} value={name}>
              {title}
            </option>
          ))}
        </select>
        <span className="hint">The model that it makes better</span>
      </label>
      <label className="field">
        <span className="label">Dataset</span>
        <select
          className="select"
          value={draft.dataset ?? ""}
          onChange={(e) => changed(() => draft.setDataset(Number(e.target.value)))}
        >
          {draft.sealed.map(({ id, name, line }) => (
            <option key={id} value={id}>
              {name} ({line.name})
            </option>
          ))}
        </select>
        <span className="hint">Those with a sealed version</span>
      </label>
      <label className="field">
        <span className="label">Sealed version</span>
        <select
          className="select"
          value={draft.version ?? ""}
          onChange={(e) => changed(() => draft.setVersion(Number(e.target.value)))}
        >
          {draft.versions.map(({ id, number }) => (
            <option key={id} value={id}>
              v{number}
            </option>
          ))}
        </select>
        <span className="hint">It never changes, so the run can be done again</span>
      </label>
      <label className="field">
        <span className="label">Name</span>
        <input
          className="input"
          maxLength={100}
          value={draft.name}
          onChange={(e) => draft.setName(e.target.value)}
        />
        <span className="hint">How the list calls it; may be empty</span>
      </label>
      <label className="field">
        <span className="label">Seed</span>
        <input
          className="input"
          type="number"
          min={0}
          max={2147483647}
          value={draft.seed}
          onChange={(e) => changed(() => draft.setSeed(Number(e.target.value)))}
        />
        <span className="hint">The same seed gives the same weights</span>
      </label>
    </div>
  );
}

interface SettingProps {
  setting: Setting;
  value: unknown;
  onChange: (value: unknown) => void;
}

function SettingField({ setting, value, onChange }: SettingProps) {
  return (
    <label className="field">
      <span className="label">{setting.title}</span>
      {setting.choices.length > 0 ? (
        <select className="select" value={String(value)} onChange={(e) => onChange(e.target.value)}>
          {setting.choices.map((name) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      ) : (
        <input
          className="input"
          type="number"
          required
          min={setting.least}
          max={setting.most}
          step={setting.whole ? 1 : "any"}
          value={String(value)}
          onChange={(e) => onChange(e.target.value === "" ? "" : Number(e.target.value))}
        />
      )}
      <span className="hint">{setting.about}</span>
    </label>
  );
}
