"""Puts pct-lb's admission in front of another rule, so that a comparison is not won by holding work back alone.

The rule still chooses, but only among the Nodes predicted to answer in time; items that fit none walk down the very
same ladder as pct-lb's own.
"""

from collections.abc import Sequence
from typing import Any

from scheduling.policy.baselines.base import Baseline
from scheduling.policy.fleet import FleetState
from scheduling.policy.pct_lb import PctLb
from scheduling.policy.prediction import FleetForecast
from scheduling.policy.types import FULL_QUALITY, Item, Placed, Quality

ADMISSION = "+admission"


class SameAdmission:
    """`rule` behind the admission of `ours`."""

    def __init__(self, rule: Baseline, ours: PctLb | None = None) -> None:
        self.rule, self.ours = rule, ours or PctLb()
        self.name = rule.name + ADMISSION

    @property
    def description(self) -> str:
        return self.rule.description

    def memory(self) -> dict[str, Any]:
        return self.rule.memory()

    def restore(self, memory: dict[str, Any]) -> None:
        self.rule.restore(memory)

    def place(self, waiting: Sequence[Item], state: FleetState, now: float) -> list[Placed]:
        self.rule.pending = {}
        self.rule.look(state, now)
        fleet = FleetForecast(state, now, self.ours.weights, waiting)
        return [self._place(item, state, fleet) for item in waiting]

    def _place(self, item: Item, state: FleetState, fleet: FleetForecast) -> Placed:
        slack = item.deadline_at - fleet.now
        forecast, took = fleet.best(item, item.bytes)
        for quality in (FULL_QUALITY, *item.qualities):
            size = item.bytes_at(quality)
            placed = self._try(item, quality, slack, state, fleet) if fleet.fits(item, size, slack) else None
            if placed is not None:
                return placed
        return self.ours.no_fit(item, forecast, took, slack, fleet)

    def _try(
        self, item: Item, quality: Quality, slack: float, state: FleetState, fleet: FleetForecast
    ) -> Placed | None:
        in_time = fleet.within(item, item.bytes_at(quality), slack)
        nodes = [state.nodes[name] for name in state.nodes if name in in_time]
        node = self.rule.choose(item, nodes, fleet.now) if nodes else None
        if node is None:
            return None
        placed = self.rule.bind(item, node, quality, fleet)
        fleet.take(item, item.bytes_at(quality), in_time[node.name])
        return placed
