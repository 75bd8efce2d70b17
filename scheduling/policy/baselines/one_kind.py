"""Edge-only and cloud-only: shortest expected delay among the Nodes of one kind, the other kind never used."""

from collections.abc import Sequence

from scheduling.policy.baselines.base import Baseline, speed
from scheduling.policy.node import NodeState
from scheduling.policy.types import Item


class OneKind(Baseline):
    description = (
        "Edge-only and cloud-only: shortest expected delay among the Nodes of one kind, the other kind never used."
    )

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.name = kind, f"{kind}-only"

    def choose(self, item: Item, nodes: Sequence[NodeState], now: float) -> NodeState | None:
        mine = [node for node in nodes if node.kind == self.kind]
        if not mine:
            return None
        return min(mine, key=lambda node: (self.outstanding(node) + 1) / speed(node, item))
