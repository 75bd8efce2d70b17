"""Round robin: Nodes in turn, whatever they are."""

from collections.abc import Sequence
from typing import Any

from scheduling.policy.baselines.base import Baseline
from scheduling.policy.node import NodeState
from scheduling.policy.types import Item


class RoundRobin(Baseline):
    name = "round-robin"
    description = "Round robin: Nodes in turn, whatever they are."

    def __init__(self) -> None:
        super().__init__()
        self.turn = -1

    def memory(self) -> dict[str, Any]:
        return {"turn": self.turn}

    def restore(self, memory: dict[str, Any]) -> None:
        self.turn = memory["turn"]

    def choose(self, item: Item, nodes: Sequence[NodeState], now: float) -> NodeState:
        self.turn += 1
        return nodes[self.turn % len(nodes)]
