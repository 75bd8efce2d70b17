/** Triton's names of models, as people read them on the fleet page. */
export const MODEL_TITLES: Readonly<Record<string, string>> = {
  edge_detector: "Detector",
  describer: "Describer",
};

/** A reason as the scheduler writes it, with models by the names that people read. */
export function reasonInWords(reason: string): string {
  const names = Object.entries(MODEL_TITLES);
  return names.reduce((text, [name, title]) => text.replaceAll(name, title.toLowerCase()), reason);
}

export const MODEL_STEPS: Readonly<Record<string, string>> = {
  edge_detector: "detect",
  describer: "describe",
};
