"""Shortest expected delay: least (outstanding + 1) / declared speed (1509.03535). Knows no link and no slow-down."""

from collections.abc import Sequence

from scheduling.policy.baselines.base import Baseline, speed
from scheduling.policy.node import NodeState
from scheduling.policy.types import Item


class ShortestExpectedDelay(Baseline):
    name = "shortest-expected-delay"
    description = "Shortest expected delay: least (outstanding + 1) / declared speed (1509.03535)."

    def choose(self, item: Item, nodes: Sequence[NodeState], now: float) -> NodeState:
        return min(nodes, key=lambda node: (self.outstanding(node) + 1) / speed(node, item))
