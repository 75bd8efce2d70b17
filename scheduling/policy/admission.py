"""Puts pct-lb's admission in front of another rule, so that a comparison is not won by holding work back alone.

The rule still chooses, but only among the Nodes predicted to answer in time; items that fit none walk down the very
same ladder as pct-lb's own.
"""

from collections.abc import Sequence

from scheduling.policy.baselines.base import Baseline
from scheduling.policy.fleet import FleetState
from scheduling.policy.pct_lb import PctLb
from scheduling.policy.prediction import Outlook
from scheduling.policy.types import FULL_QUALITY, Item, Placed, Quality


class SameAdmission:
    """`rule` behind the admission of `ours`."""

    def __init__(self, rule: Baseline, ours: PctLb | None = None) -> None:
        self.rule, self.ours = rule, ours or PctLb()
        self.name = f"{rule.name}+admission"

    def place(self, waiting: Sequence[Item], state: FleetState, now: float) -> list[Placed]:
        self.rule.pending = {}
        self.rule.look(state, now)
        outlook = Outlook(state, now, self.ours.weights, waiting)
        return [self._place(item, state, outlook) for item in waiting]

    def _place(self, item: Item, state: FleetState, outlook: Outlook) -> Placed:
        slack = item.deadline_at - outlook.now
        lane, took = outlook.best(item, item.bytes)
        for quality in (FULL_QUALITY, *item.qualities):
            size = item.bytes * quality.bytes_factor
            placed = self._try(item, quality, slack, state, outlook) if outlook.fits(item, size, slack) else None
            if placed is not None:
                return placed
        return self.ours.no_fit(item, lane, took, slack, outlook)

    def _try(self, item: Item, quality: Quality, slack: float, state: FleetState, outlook: Outlook) -> Placed | None:
        in_time = outlook.within(item, item.bytes * quality.bytes_factor, slack)
        nodes = [state.nodes[name] for name in state.nodes if name in in_time]
        node = self.rule.choose(item, nodes, outlook.now) if nodes else None
        if node is None:
            return None
        placed = self.rule.bind(item, node, quality, outlook)
        outlook.take(item, item.bytes * quality.bytes_factor, in_time[node.name])
        return placed
