import { expect, test } from "vitest";
import { howFarInWords } from "./appearance";

const NOTHING = { model_distance: null, model_limit: null, station_distance: null, station_limit: null };

test.each([
  [NOTHING, "There was nothing to compare this frame with"],
  [
    { ...NOTHING, model_distance: 5.04, model_limit: 2.6 },
    "Distance from the training pictures 5.0 (usual: up to 2.6)",
  ],
  [
    { model_distance: 3, model_limit: 2, station_distance: 0, station_limit: 4 },
    "Distance from the training pictures 3.0 (usual: up to 2.0); from this station’s first frames 0.0 (usual: up to 4.0)",
  ],
])("says each distance with what is usual", (look, words) => {
  expect(howFarInWords(look)).toBe(words);
});
