/**
 * What a person's word means: about the part, and so about the machine's decision that stands there.
 * Pass and fail can be agreed with; hold, or no decision yet, says nothing of the part, so only the part is judged.
 */
import type { Outcome, Review } from "../api/types";

export type Part = "good" | "defective";
/** What a person can say. `unsure` says nothing of the part. */
export type Word = Part | "unsure";

export type Icon = "pass" | "fail" | "unsure";
export type Tone = "pass" | "fail" | "hold";

export interface Choice {
  word: Word;
  label: string;
  key: string;
  icon: Icon;
  tone: Tone;
  meaning: string;
}

const MACHINE_SAYS: Readonly<Record<Outcome, Part | null>> = { pass: "good", fail: "defective", hold: null };
const OPPOSITE: Readonly<Record<Part, Part>> = { good: "defective", defective: "good" };
const LOOK: Readonly<Record<Word, Pick<Choice, "icon" | "tone">>> = {
  good: { icon: "pass", tone: "pass" },
  defective: { icon: "fail", tone: "fail" },
  unsure: { icon: "unsure", tone: "hold" },
};
export const PART_WORDS: Readonly<Record<Word, string>> = {
  good: "Good",
  defective: "Defective",
  unsure: "Unsure",
};

/** What the machine says of the part, or null where it has judged nothing. */
export function machineSays(outcome: Outcome | null): Part | null {
  return outcome === null ? null : MACHINE_SAYS[outcome];
}

/** What "agree" and "disagree" say of the part here; null where there is nothing to agree with. */
export function wordFor(act: "agree" | "disagree", outcome: Outcome | null): Part | null {
  const machine = machineSays(outcome);
  if (machine === null) return null;
  return act === "agree" ? machine : OPPOSITE[machine];
}

/** The buttons, in their order, by the decision that stands there. */
export function choicesFor(outcome: Outcome | null): Choice[] {
  const machine = machineSays(outcome);
  const parts: readonly Part[] = machine === null ? ["good", "defective"] : [machine, OPPOSITE[machine]];
  return [
    ...parts.map((part) => ({ word: part, ...LOOK[part], ...saidOf(part, machine) })),
    {
      word: "unsure",
      ...LOOK.unsure,
      label: "Unsure",
      key: "U",
      meaning: "Somebody else should look",
    },
  ];
}

/** What saying `word` means here, as the button and the messages name it. */
export function labelOf(word: Word, outcome: Outcome | null): string {
  return choicesFor(outcome).find((choice) => choice.word === word)?.label ?? PART_WORDS[word];
}

function saidOf(part: Part, machine: Part | null): Pick<Choice, "label" | "key" | "meaning"> {
  const plain = `The part is ${part}`;
  if (machine === null) return { label: `It is ${part}`, key: part === "good" ? "G" : "D", meaning: plain };
  if (part === machine) {
    const decision = machine === "good" ? "Pass" : "Fail";
    return { label: `Agree: ${decision}`, key: "A", meaning: `${plain}, as the machine says` };
  }
  return { label: `Disagree: it is ${part}`, key: "X", meaning: `${plain}; the machine is wrong` };
}

/** A stored review as a word; old reviews of a held frame said nothing of the part. */
export function wordOf(review: Pick<Review, "part" | "verdict">): Word | null {
  if (review.part !== "") return review.part;
  return review.verdict === "unsure" ? "unsure" : null;
}

export interface Quarrel {
  stands: Review;
  others: readonly Review[];
}

/** The review that stands and the last words of others that say the opposite; null where nobody does. */
export function quarrelIn(reviews: readonly Review[]): Quarrel | null {
  const stands = reviews.find((review) => review.stands);
  if (stands === undefined || stands.contradicts.length === 0) return null;
  const others = stands.contradicts.flatMap((name) => {
    const last = reviews.find(({ reviewer }) => reviewer === name);
    return last === undefined ? [] : [last];
  });
  return { stands, others };
}
