"""C3's replica ranking (Suresh et al., NSDI'15) without its rate control: R - 1/mu + q^3 / mu.

q = 1 + outstanding * clients + the queue the Node last reported; the cube punishes long queues. There is one client,
the ledger.
"""

from collections.abc import Sequence

from scheduling.policy.baselines.base import Baseline, seconds
from scheduling.policy.node import NodeState
from scheduling.policy.types import Item


class C3(Baseline):
    name = "c3"
    description = "C3's replica ranking (Suresh et al., NSDI'15) without its rate control: R - 1/mu + q^3 / mu."

    def choose(self, item: Item, nodes: Sequence[NodeState], now: float) -> NodeState:
        return min(nodes, key=lambda node: self.score(node, item))

    def score(self, node: NodeState, item: Item) -> float:
        seen = node.responses
        service_s = (seen.service_s or seconds(node, item)) / node.capacity
        response_s = seen.mean_s if seen.mean_s is not None else service_s
        queue = 1 + self.outstanding(node) + seen.queue
        return response_s - service_s + queue**3 * service_s
