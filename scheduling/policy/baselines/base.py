"""What the rules people use have in common: each binds an item at once to the Node it likes best.

They see the same state as pct-lb and the same Nodes in rotation (drain, breaker, model, permission); what they make
of it is their own. They hold no queue, refuse nothing and predict nothing; the explanation shows our prediction.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import Any

from scheduling.policy import words
from scheduling.policy.fleet import FleetState
from scheduling.policy.node import NodeState
from scheduling.policy.prediction import FleetForecast, Weights
from scheduling.policy.types import FULL_QUALITY, Explanation, Item, Placed, Quality


class Baseline(ABC):
    """A rule that picks one of the Nodes in rotation. `pending` counts what this very call has placed already."""

    name = ""
    description = ""
    explained = True  # a simulation that nobody reads switches it off

    def __init__(self) -> None:
        self.pending: dict[str, int] = {}

    @abstractmethod
    def choose(self, item: Item, nodes: Sequence[NodeState], now: float) -> NodeState | None:
        """The Node for this item out of `nodes` (never empty), or None to let it wait."""

    def memory(self) -> dict[str, Any]:
        """What it keeps from one `place` to the next; most rules keep nothing."""
        return {}

    def restore(self, memory: dict[str, Any]) -> None:  # noqa: B027 - most rules have nothing to take up
        """Take up what `memory` gave."""

    def look(self, state: FleetState, now: float) -> None:  # noqa: B027 - most rules keep no readings
        """Called once for each `place`, before any choice; for rules that keep readings of their own."""

    def outstanding(self, node: NodeState) -> int:
        return len(node.ledger) + self.pending.get(node.name, 0)

    def place(self, waiting: Sequence[Item], state: FleetState, now: float) -> list[Placed]:
        self.pending = {}
        self.look(state, now)
        return [self._place(item, state, now) for item in waiting]

    def _place(self, item: Item, state: FleetState, now: float) -> Placed:
        nodes = state.eligible(item, now)
        node = self.choose(item, nodes, now) if nodes else None
        if node is None:
            return Placed(item.id, "wait")
        return self.bind(item, node, FULL_QUALITY, FleetForecast(state, now, PREDICTED))

    def bind(self, item: Item, node: NodeState, quality: Quality, fleet: FleetForecast) -> Placed:
        self.pending[node.name] = self.pending.get(node.name, 0) + 1
        if self.explained:
            fleet.candidates(item.model)
        explain = partial(_explain, fleet, item, node.name, quality, self.name)
        return Placed(
            item.id,
            "send" if quality is FULL_QUALITY else "degrade",
            node=node.name,
            quality=quality,
            explain=explain,
        )


PREDICTED = Weights(kappa=0.0)


def _explain(fleet: FleetForecast, item: Item, name: str, quality: Quality, rule: str) -> Explanation:
    size = item.bytes_at(quality)
    forecast = fleet.as_of(0, item.model)[name]
    parts = forecast.breakdown(size, fleet.unit_s(item.model, forecast) * item.units)
    others = fleet.alternatives(item, size, 0, name)
    return Explanation(parts, others, words.chosen(name, parts, others, quality, f"by {rule}, "))


def seconds(node: NodeState, item: Item) -> float:
    """The service time a static rule would be configured with: the Node's declared profile."""
    return node.service.prior_s.get(item.model, 0.05)


def speed(node: NodeState, item: Item) -> float:
    """Requests a second by the declared profile."""
    return node.capacity / seconds(node, item)
