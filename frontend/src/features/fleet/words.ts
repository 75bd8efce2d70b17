/** Triton's names of models, as people read them on the fleet page. */
export const MODEL_TITLES: Readonly<Record<string, string>> = {
  edge_detector: "Detector",
  describer: "Describer",
};
export const MODEL_STEPS: Readonly<Record<string, string>> = {
  edge_detector: "detect",
  describer: "describe",
};
