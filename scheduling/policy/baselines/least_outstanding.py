"""Least outstanding requests over all Nodes; of equals, the first by name order of the fleet."""

from collections.abc import Sequence

from scheduling.policy.baselines.base import Baseline
from scheduling.policy.node import NodeState
from scheduling.policy.types import Item


class LeastOutstanding(Baseline):
    name = "least-outstanding"
    description = "Least outstanding requests over all Nodes; of equals, the first by name order of the fleet."

    def choose(self, item: Item, nodes: Sequence[NodeState], now: float) -> NodeState:
        return min(nodes, key=self.outstanding)
