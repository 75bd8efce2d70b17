/** What a person may do on a line. Roles are per line: what one may do elsewhere says nothing of this one. */
import type { Me } from "../api/types";

const ROLES = ["viewer", "inspector", "engineer", "admin"] as const;
export type Role = (typeof ROLES)[number];

export function hasRole(me: Pick<Me, "roles"> | null, line: number, least: Role): boolean {
  const held = me?.roles.find((role) => role.line === line)?.role;
  return held !== undefined && ROLES.indexOf(held) >= ROLES.indexOf(least);
}
