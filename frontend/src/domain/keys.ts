/** Keys that make a retry the same request. */

/** 128 random bits in hex. `crypto.randomUUID` is missing where a page came over plain HTTP from another machine. */
export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
