import { STAGES, stageOfModel } from "../../domain/stages";

/** Triton's names of models, as people read them on the fleet page. */
export const MODEL_TITLES: Readonly<Record<string, string>> = Object.fromEntries(
  STAGES.map(({ model, modelTitle }) => [model, modelTitle]),
);

/** A reason as the scheduler writes it, with models by the names that people read. */
export function reasonInWords(reason: string): string {
  const names = Object.entries(MODEL_TITLES);
  return names.reduce((text, [name, title]) => text.replaceAll(name, title.toLowerCase()), reason);
}

/** What a model is asked to do, as a word in a row; a model of no stage that this page knows keeps its name. */
export function stageWord(model: string): string {
  return stageOfModel(model)?.word ?? model;
}
