"""Weighted least request as Envoy does it with unequal weights: highest weight / (active + 1).

The weight is the Node's declared speed, rounded up to a whole number because Envoy's weights are integers.
"""

import math
from collections.abc import Sequence

from scheduling.policy.baselines.base import Baseline, speed
from scheduling.policy.node import NodeState
from scheduling.policy.types import Item


class WeightedLeastOutstanding(Baseline):
    name = "weighted-least-outstanding"
    description = "Weighted least request as Envoy does it with unequal weights: highest weight / (active + 1)."

    def choose(self, item: Item, nodes: Sequence[NodeState], now: float) -> NodeState:
        return max(nodes, key=lambda node: math.ceil(speed(node, item) / 10) / (self.outstanding(node) + 1))
