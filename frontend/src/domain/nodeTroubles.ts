/** What went wrong on a node since its workers began, in plain words. Knows no screen. */
import { plural } from "./format";

const WORDS: Readonly<Record<string, (count: number) => string>> = {
  failures: (count) => `${plural(count, "request")} failed`,
  reissues: (count) => `${plural(count, "request")} taken back, to be in time on another node`,
  unexpected_answers: (count) => `${plural(count, "answer")} came after nobody waited for it`,
  unexpected_failures: (count) => `${plural(count, "failure")} came after nobody waited for it`,
  sent_twice: (count) => `${plural(count, "request")} noted as sent twice`,
  implausible_timings: (count) => `${plural(count, "time")} measured that cannot be right`,
};

/** The most frequent first; what this page has no words for keeps its name. */
export function troublesInWords(counts: Readonly<Record<string, number>>): string[] {
  return Object.entries(counts)
    .filter(([, count]) => count > 0)
    .sort(([, a], [, b]) => b - a)
    .map(([what, count]) => WORDS[what]?.(count) ?? `${what.replaceAll("_", " ")}: ${count}`);
}
