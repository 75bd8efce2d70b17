"""Hot-cold (Prequal, NSDI'24): a Node is hot when its requests in flight exceed the 0.84 quantile of the fleet's.

The cold Node with the least median latency wins; when all are hot, the one with the fewest in flight. In flight is
counted by the client: probes of a server's own count would hide bytes still queued in a slow uplink.
"""

from collections.abc import Sequence

from scheduling.policy.baselines.base import Baseline, seconds
from scheduling.policy.node import NodeState
from scheduling.policy.types import Item

HOT_QUANTILE = 0.84


class HotCold(Baseline):
    name = "hot-cold"
    description = (
        "Hot-cold (Prequal, NSDI'24): a Node is hot when its requests in flight exceed the 0.84 "
        "quantile of the fleet's."
    )

    def choose(self, item: Item, nodes: Sequence[NodeState], now: float) -> NodeState:
        loads = {node.name: self.outstanding(node) / node.capacity for node in nodes}
        ordered = sorted(loads.values())
        threshold = ordered[min(len(ordered) - 1, int(HOT_QUANTILE * len(ordered)))]
        cold = [node for node in nodes if loads[node.name] < max(threshold, 1.0)]
        if not cold:
            return min(nodes, key=lambda node: loads[node.name])
        return min(cold, key=lambda node: (node.responses.median_s or seconds(node, item), loads[node.name]))
