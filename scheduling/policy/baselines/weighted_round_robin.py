"""Smooth weighted round robin (nginx): turns in proportion to the declared speed, evenly spread."""

from collections.abc import Sequence
from typing import Any

from scheduling.policy.baselines.base import Baseline, speed
from scheduling.policy.node import NodeState
from scheduling.policy.types import Item


class WeightedRoundRobin(Baseline):
    name = "weighted-round-robin"
    description = "Smooth weighted round robin (nginx): turns in proportion to the declared speed, evenly spread."

    def __init__(self) -> None:
        super().__init__()
        self.owed: dict[str, float] = {}

    def memory(self) -> dict[str, Any]:
        return {"owed": dict(self.owed)}

    def restore(self, memory: dict[str, Any]) -> None:
        self.owed = dict(memory["owed"])

    def choose(self, item: Item, nodes: Sequence[NodeState], now: float) -> NodeState:
        for node in nodes:
            self.owed[node.name] = self.owed.get(node.name, 0.0) + speed(node, item)
        best = max(nodes, key=lambda node: self.owed[node.name])
        self.owed[best.name] -= sum(speed(node, item) for node in nodes)
        return best
