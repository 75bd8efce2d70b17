/** How a frame looks as a whole, in words: its distances from what is known, each with what is usual. */
export interface Distances {
  readonly model_distance: number | null;
  readonly model_limit: number | null;
  readonly station_distance: number | null;
  readonly station_limit: number | null;
}

export function howFarInWords(look: Distances): string {
  const parts = [
    inWords("the training pictures", look.model_distance, look.model_limit),
    inWords("this station’s first frames", look.station_distance, look.station_limit),
  ].filter((part) => part !== "");
  return parts.length > 0
    ? `Distance from ${parts.join("; from ")}`
    : "There was nothing to compare this frame with";
}

function inWords(what: string, distance: number | null, limit: number | null): string {
  return distance === null || limit === null
    ? ""
    : `${what} ${distance.toFixed(1)} (usual: up to ${limit.toFixed(1)})`;
}
