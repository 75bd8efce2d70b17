/** What the state of all nodes together means for the frames. Knows no screen. */
import type { FleetNode } from "../api/types";

/** Whether the scheduler gives it work now. */
export function inRotation({ health, draining, breaker }: FleetNode): boolean {
  return health === "ready" && !draining && breaker !== "open";
}

/**
 * Edge-only: frames are decided, descriptions wait, because no cloud node is in rotation. Null when that is not
 * so, else why, one clause a node.
 */
export function edgeOnly(nodes: readonly FleetNode[]): readonly string[] | null {
  const clouds = nodes.filter(({ kind }) => kind === "cloud");
  const deciding = nodes.some((node) => node.kind === "edge" && inRotation(node));
  if (!deciding || clouds.length === 0 || clouds.some(inRotation)) return null;
  return clouds.map((node) => `${node.name} ${outBecause(node)}`);
}

/** Why a node gets no work; the strongest reason first. */
export function outBecause({ health, draining, breaker, health_detail }: FleetNode): string {
  if (draining) return "is drained";
  if (health === "wrong_contract") return "runs another version";
  if (health === "unreachable") return "is unreachable";
  if (breaker === "open") return "rests after failures";
  if (health === "unknown") return "was not seen yet";
  return health_detail === "" ? "is out of rotation" : health_detail;
}

/** The models that nothing else in rotation serves: with `node` drained, their requests wait. */
export function servesAlone(node: FleetNode, nodes: readonly FleetNode[]): readonly string[] {
  const others = nodes.filter((other) => other.name !== node.name && inRotation(other));
  const elsewhere = new Set(others.flatMap(({ models }) => models.map(({ model }) => model)));
  return node.models.map(({ model }) => model).filter((model) => !elsewhere.has(model));
}
