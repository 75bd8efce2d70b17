/**
 * Make readable words of a model's answer while it is still being written.
 *
 * A describer writes JSON, token by token; people should see the sentences grow, not the brackets. Text
 * that is no JSON is shown as it is. The result is plain text and stays untrusted.
 */

/** The text values of a possibly unfinished JSON object, in the order in which they were written. */
export function fieldsSoFar(raw: string): { key: string; value: string }[] {
  const fields: { key: string; value: string }[] = [];
  const pattern = /"((?:[^"\\]|\\.)*)"\s*:\s*(?:"((?:[^"\\]|\\.)*)("?)|([^",}\s][^,}]*))/g;
  for (const [, key = "", quoted, , bare] of raw.matchAll(pattern)) {
    fields.push({ key, value: unescape(quoted ?? bare ?? "").trim() });
  }
  return fields;
}

/** One readable line for what has been written so far; "" while only brackets have arrived. */
export function readableSoFar(raw: string): string {
  const text = raw.trimStart();
  const joinedMidway = text.startsWith("…") && fieldsSoFar(text).length > 0;
  if (!text.startsWith("{") && !joinedMidway) return text;
  return fieldsSoFar(text)
    .filter(({ key, value }) => value !== "" && key !== "confidence")
    .map(({ value }) => value)
    .join(" · ");
}

function unescape(text: string): string {
  return text.replace(/\\(u[0-9a-fA-F]{4}|.?)/g, (_all, code: string) => {
    if (code === "n" || code === "t" || code === "r") return " ";
    if (code.length === 5) return String.fromCharCode(Number.parseInt(code.slice(1), 16));
    return code;
  });
}
