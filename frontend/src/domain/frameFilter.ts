/** What a person narrows the review queue by, as it stands in the page's address. Knows no screen and no network. */
import type { FrameFilter } from "../api/client";

/** Names as in the address; values as they were chosen. A filter that is not there narrows nothing. */
export interface QueueFilter {
  line?: string;
  station?: string;
  decision?: string;
  verdict?: string;
  defect_class?: string;
  model?: string;
  /** In percent, as people read scores. */
  min_score?: string;
  max_score?: string;
  /** "yes" or "no"; without it disagreements come first. */
  disagreement?: string;
  part?: string;
  /** Days of this machine's calendar, 2026-03-02; `until` is the last day that is taken in. */
  since?: string;
  until?: string;
}

export type FilterName = keyof QueueFilter;
const NAMES: readonly FilterName[] = [
  "line",
  "station",
  "decision",
  "verdict",
  "defect_class",
  "model",
  "min_score",
  "max_score",
  "disagreement",
  "part",
  "since",
  "until",
];

/** The queue is for what nobody has judged: so it begins, and "any" takes it away. */
export const UNJUDGED = "none";
export const ANY = "any";

export function filterFrom(search: string): QueueFilter {
  const query = new URLSearchParams(search);
  return Object.fromEntries(
    NAMES.flatMap((name) => {
      const value = query.get(name)?.trim() ?? "";
      return value === "" ? [] : [[name, value]];
    }),
  );
}

export function searchOf(filter: QueueFilter): string {
  const query = new URLSearchParams();
  for (const name of NAMES) {
    const value = filter[name];
    if (value !== undefined && value !== "") query.set(name, value);
  }
  return query.toString();
}

/** With one part of it chosen anew; "" takes it away. A station belongs to its line, as do classes. */
export function chosen(filter: QueueFilter, name: FilterName, value: string): QueueFilter {
  const kept = without(filter, name === "line" ? ["line", "station", "defect_class"] : [name]);
  return value === "" ? kept : { ...kept, [name]: value };
}

function without(filter: QueueFilter, names: readonly FilterName[]): QueueFilter {
  return Object.fromEntries(Object.entries(filter).filter(([name]) => !names.includes(name as FilterName)));
}

/** How many of its parts a person has chosen. */
export function chosenCount(filter: QueueFilter): number {
  return NAMES.filter((name) => filter[name] !== undefined).length;
}

/** The same for the server. What cannot be meant (a score of "abc") is left out rather than refused. */
export function asQuery(filter: QueueFilter): FrameFilter {
  const { verdict = UNJUDGED, disagreement } = filter;
  const since = midnight(filter.since, 0);
  const until = midnight(filter.until, 1);
  const query = {
    line: whole(filter.line),
    station: whole(filter.station),
    defect_class: whole(filter.defect_class),
    model: whole(filter.model),
    decision: filter.decision,
    verdict: verdict === ANY ? undefined : verdict,
    min_score: share(filter.min_score),
    max_score: share(filter.max_score),
    disagreement: disagreement === undefined ? undefined : disagreement === "yes",
    part: filter.part,
    since,
    until,
  };
  return Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined)) as FrameFilter;
}

function whole(text: string | undefined): number | undefined {
  return text !== undefined && /^[1-9]\d{0,17}$/.test(text) ? Number(text) : undefined;
}

function share(percent: string | undefined): number | undefined {
  const value = percent === undefined ? Number.NaN : Number(percent);
  return Number.isFinite(value) ? Math.min(100, Math.max(0, value)) / 100 : undefined;
}

/** The beginning of a day here, `later` days on, as the moment it is everywhere. */
function midnight(day: string | undefined, later: number): string | undefined {
  const [, year, month, date] = /^(\d{4})-(\d{2})-(\d{2})$/.exec(day ?? "") ?? [];
  if (year === undefined) return undefined;
  const moment = new Date(Number(year), Number(month) - 1, Number(date) + later);
  return Number.isNaN(moment.getTime()) ? undefined : moment.toISOString();
}
