"""Peak-EWMA (Finagle, Linkerd), full scan: peak-sensitive response time times (pending + 1).

A slower answer counts at once, a faster one decays it over tau = 10 s, and so does time without answers. A Node with
requests pending and no answer yet is charged a large penalty.
"""

import math
from collections.abc import Sequence

from scheduling.policy.baselines.base import Baseline
from scheduling.policy.node import NodeState
from scheduling.policy.types import Item

PENALTY_S = 1e6


class PeakEwma(Baseline):
    name = "peak-ewma"
    description = "Peak-EWMA (Finagle, Linkerd), full scan: peak-sensitive response time times (pending + 1)."

    def choose(self, item: Item, nodes: Sequence[NodeState], now: float) -> NodeState:
        return min(nodes, key=lambda node: self.cost(node, now))

    def cost(self, node: NodeState, now: float) -> float:
        pending = self.outstanding(node)
        seen = node.responses
        if seen.peak_s is None:
            return PENALTY_S + pending if pending else 0.0
        decay = math.exp(-max(0.0, now - seen.at) / seen.tau_s)
        return seen.peak_s * decay * (pending + 1)
