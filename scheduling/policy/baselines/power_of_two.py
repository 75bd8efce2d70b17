"""Power of two choices (Mitzenmacher 2001): of two random Nodes the one with fewer outstanding requests."""

import random
from collections.abc import Sequence

from scheduling.policy.baselines.base import Baseline
from scheduling.policy.node import NodeState
from scheduling.policy.types import Item


class PowerOfTwo(Baseline):
    name = "power-of-two"
    description = (
        "Power of two choices (Mitzenmacher 2001): of two random Nodes the one with fewer outstanding requests."
    )

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self.rng = rng

    def choose(self, item: Item, nodes: Sequence[NodeState], now: float) -> NodeState:
        pair = self.rng.sample(list(nodes), min(2, len(nodes)))
        return min(pair, key=self.outstanding)
