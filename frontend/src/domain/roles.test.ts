import { expect, test } from "vitest";

import { hasRole } from "./roles";

const me = {
  roles: [
    { line: 1, role: "inspector" as const },
    { line: 2, role: "admin" as const },
  ],
};

test.each([
  [1, "viewer", true],
  [1, "inspector", true],
  [1, "engineer", false],
  [2, "engineer", true],
  [2, "admin", true],
  [3, "viewer", false],
] as const)("on line %i at least %s: %s", (line, least, may) => {
  expect(hasRole(me, line, least)).toBe(may);
});

test("nobody may nothing", () => {
  expect(hasRole(null, 1, "viewer")).toBe(false);
});

test("a role that this page does not know allows nothing", () => {
  const odd = { roles: [{ line: 1, role: "owner" as "admin" }] };
  expect(hasRole(odd, 1, "viewer")).toBe(false);
});
