"""Random: any Node in rotation, each as likely. The floor under every other rule."""

import random
from collections.abc import Sequence

from scheduling.policy.baselines.base import Baseline
from scheduling.policy.node import NodeState
from scheduling.policy.types import Item


class RandomChoice(Baseline):
    name = "random"
    description = "Random: any Node in rotation, each as likely."

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self.rng = rng

    def choose(self, item: Item, nodes: Sequence[NodeState], now: float) -> NodeState:
        return self.rng.choice(nodes)
