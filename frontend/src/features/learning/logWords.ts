/** What a trainer told, as a line of a log: sentences for people. Pure; trusts no shape of what was told. */
import type { Told } from "./curve";

export const LEVELS = ["debug", "info", "warning", "error"] as const;
export type Level = (typeof LEVELS)[number];

/** What is drawn elsewhere: curves and sample answers. */
const NOT_LOGGED = new Set(["step", "sample"]);
const ARMS: Readonly<Record<string, string>> = { base: "the base", version: "the new version" };

export interface LogLine {
  level: Level;
  words: string;
}

type Data = Readonly<Record<string, unknown>>;

export function logLine({ type, level, data }: Told & { level?: string }): LogLine | null {
  if (NOT_LOGGED.has(type)) return null;
  const said = WORDS[type]?.(data) ?? text(data, "text") ?? text(data, "sentence") ?? `It said: ${type}.`;
  const hint = text(data, "hint");
  return { level: levelOf(type, level), words: hint === null ? said : `${said} ${hint}` };
}

function levelOf(type: string, level: string | undefined): Level {
  const known = LEVELS.find((each) => each === level);
  if (known !== undefined) return known;
  if (type === "failed") return "error";
  if (type === "cancelled") return "warning";
  return type === "checkpoint" ? "debug" : "info";
}

const WORDS: Readonly<Record<string, ((data: Data) => string) | undefined>> = {
  estimate: (data) =>
    `Foreseen: ${count(data, "steps")} steps, ${durationInWords(number(data, "seconds"))} with the report, ` +
    `${count(data, "memory_mib")} MiB of memory; ${count(data, "free_memory_mib")} are free.`,
  started: (data) =>
    number(data, "step") === 0
      ? `Training begins: ${count(data, "steps")} steps.`
      : `Training goes on after step ${count(data, "step")} of ${count(data, "steps")}.`,
  checkpoint: (data) => `Checkpoint kept at step ${count(data, "step")}.`,
  validated: (data) =>
    "map50" in data
      ? `After step ${count(data, "step")}: mAP50 ${share(data, "map50")} on ${count(data, "frames")} frames` +
        best(data)
      : `After step ${count(data, "step")}: field F1 ${share(data, "field_f1")}, class right ` +
        `${share(data, "class_accuracy")}, ${share(data, "json_valid")} fit the schema` +
        best(data),
  measured: (data) =>
    `Report, ${count(data, "done")} of ${count(data, "of")}: ${ARMS[text(data, "arm") ?? ""] ?? "a model"} names ` +
    `${share(data, "class_accuracy")} right ${trialInWords(text(data, "trial") ?? "")}.`,
};

function best(data: Data): string {
  return data["best"] === true ? "; the best so far." : ".";
}

function trialInWords(trial: string): string {
  if (trial === "detector") return "on the detector's own boxes";
  return trial === "0" ? "on boxes as drawn" : `at box noise ${trial}`;
}

function text(data: Data, name: string): string | null {
  const value = data[name];
  return typeof value === "string" && value !== "" ? value : null;
}

function number(data: Data, name: string): number | null {
  const value = data[name];
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

function count(data: Data, name: string): string {
  return number(data, name)?.toLocaleString("en-GB") ?? "?";
}

function share(data: Data, name: string): string {
  const value = number(data, name);
  return value === null ? "?" : `${(100 * value).toFixed(1)} %`;
}

/** "about 4 min": no more exact than an estimate is. */
export function durationInWords(seconds: number | null): string {
  if (seconds === null || !Number.isFinite(seconds)) return "an unknown time";
  if (seconds < 60) return "less than a minute";
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `about ${minutes} min` : `about ${Math.round(minutes / 60)} h`;
}
