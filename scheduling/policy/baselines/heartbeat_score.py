"""Score by heartbeat: idle + bandwidth - queue - latency, each scaled by the fleet's largest.

With `age_s` 0 the readings are fresh at every choice, which no heartbeat can be; with 1 s they are what a heartbeat a
second gives, and every request of that second goes the same way.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

from scheduling.policy.baselines.base import Baseline, seconds
from scheduling.policy.fleet import FleetState
from scheduling.policy.node import NodeState
from scheduling.policy.types import Item


@dataclass(frozen=True, slots=True)
class Reading:
    idle: float
    bandwidth: float
    queue: float
    latency_s: float | None


class HeartbeatScore(Baseline):
    """`weights`: of idle, bandwidth, queue and latency."""

    description = "Score by heartbeat: idle + bandwidth - queue - latency, each scaled by the fleet's largest."

    def __init__(self, age_s: float, weights: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)) -> None:
        super().__init__()
        self.name = "heartbeat-score-fresh" if age_s == 0 else f"heartbeat-score-{age_s:g}s"
        self.age_s, self.weights = age_s, weights
        self.read_at = float("-inf")
        self.readings: dict[str, Reading] = {}

    def look(self, state: FleetState, now: float) -> None:
        if now - self.read_at >= self.age_s:
            self.readings = {name: self.read(node, now) for name, node in state.nodes.items()}
            self.read_at = now

    def memory(self) -> dict[str, Any]:
        """The readings and their age; JSON knows no infinity, so a rule that has read nothing says None."""
        readings = {name: asdict(reading) for name, reading in self.readings.items()}
        return {"read_at": self.read_at if isfinite(self.read_at) else None, "readings": readings}

    def restore(self, memory: dict[str, Any]) -> None:
        self.read_at = float("-inf") if memory["read_at"] is None else memory["read_at"]
        self.readings = {name: Reading(**reading) for name, reading in memory["readings"].items()}

    def read(self, node: NodeState, now: float) -> Reading:
        load = len(node.ledger)
        idle = max(0.0, 1 - load / node.capacity)
        return Reading(idle, node.link.rate(now), load / node.capacity, node.responses.mean_s)

    def choose(self, item: Item, nodes: Sequence[NodeState], now: float) -> NodeState:
        readings = {node.name: self.readings[node.name] for node in nodes if node.name in self.readings}
        if not readings:
            return nodes[0]
        latency = {n.name: self._latency(readings[n.name], n, item) for n in nodes if n.name in readings}
        most = (
            max(r.bandwidth for r in readings.values()) or 1.0,
            max(r.queue for r in readings.values()) or 1.0,
            max(latency.values()) or 1.0,
        )
        known = [node for node in nodes if node.name in readings]
        return max(known, key=lambda node: self._score(readings[node.name], latency[node.name], most))

    def _score(self, reading: Reading, latency_s: float, most: tuple[float, float, float]) -> float:
        idle, bandwidth, queue, latency = self.weights
        gain = idle * reading.idle + bandwidth * reading.bandwidth / most[0]
        return gain - queue * reading.queue / most[1] - latency * latency_s / most[2]

    def _latency(self, reading: Reading, node: NodeState, item: Item) -> float:
        return reading.latency_s if reading.latency_s is not None else seconds(node, item)
