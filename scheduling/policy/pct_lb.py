"""Predicted completion, late binding, admission: the policy this project recommends.

Waiting items are placed virtually in deadline order, each on the Node predicted to answer first; only items
whose Node has credit really leave, the rest are decided again at the next answer or tick. An item that no
Node is predicted to answer in time walks down the ladder: lower quality, skip, and, once even an idle Node
could not make it, runs late in spare capacity: what was accepted is never dropped.

What has left is not forgotten: a decision says until when its answer must be back (`reissue_s`) so that another Node
can still make the deadline. A Node that let that moment pass is in doubt until an answer or a quick probe clears it,
and serves only what no other Node can answer in time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from scheduling.policy import words
from scheduling.policy.fleet import FleetState
from scheduling.policy.prediction import FleetForecast, NodeForecast, Weights
from scheduling.policy.types import FULL_QUALITY, Action, Explanation, Item, Placed, Quality

HORIZON = 48
MOST_ATTEMPTS = 3  # of one item: the last one is not called back
REISSUE_AFTER = 1.5  # times the predicted latency: nothing is called back sooner
REISSUE_AT = 2.0  # times the predicted latency, and REISSUE_LEAST_S more: late enough to be out of the ordinary
REISSUE_LEAST_S = 0.03
REISSUE_ROOM = 1.25  # times what the next best Node would take now, and REISSUE_SPARE_S: it will be busier then
REISSUE_SPARE_S = 0.01


AGED_S = 10.0  # so long after its deadline an item no longer waits for spare capacity alone
SLICE_S = 0.125
AGED_SLICES = 8  # in one slice of so many, what has aged goes first
AGED, LIVE, LATE = 0, 1, 2


def _turn(item: Item, now: float) -> int:
    """What is late anyway comes last: it must not take the place of what can still make it. But not for ever: in an
    eighth of the time, what has long been late goes before all, so that under a load that never ends it ends too.
    """
    if item.deadline_at >= now:
        return LIVE
    aged = now - item.deadline_at > AGED_S and int(now / SLICE_S) % AGED_SLICES == 0
    return AGED if aged else LATE


@dataclass(frozen=True, slots=True)
class PctLb:
    """`late_binding`, `admission` and `ladder` exist to be switched off in the ablation."""

    name: str = "pct-lb"
    description: str = "Predicted completion, late binding, admission: the policy this project recommends."
    weights: Weights = field(default_factory=Weights)
    horizon: int = HORIZON
    late_binding: bool = True
    admission: bool = True
    patience: bool = True
    canaries: bool = True
    reissues: bool = True
    uplink_ahead_s: float = 0.03

    def memory(self) -> dict[str, Any]:
        """It keeps nothing: what it knows is in the state that it is shown."""
        return {}

    def restore(self, memory: dict[str, Any]) -> None:
        """There is nothing to take up."""

    def place(self, waiting: Sequence[Item], state: FleetState, now: float) -> list[Placed]:
        order = sorted(waiting, key=lambda item: (_turn(item, now), item.deadline_at, item.arrived_at, item.id))
        fleet = FleetForecast(state, now, self.weights, order)
        placed = [self._place(item, fleet) for item in order[: self.horizon]]
        placed += [self._hold(item, fleet, "waits behind earlier deadlines") for item in order[self.horizon :]]
        return placed

    def _place(self, item: Item, fleet: FleetForecast) -> Placed:
        slack = item.deadline_at - fleet.now
        forecast, took = fleet.best(item, item.bytes)
        if forecast is not None and forecast.credit > 0 and _turn(item, fleet.now) == AGED:
            return self._bind(item, forecast, took, FULL_QUALITY, fleet)
        if took > slack:
            forecast, took = self._or_doubted(item, item.bytes, forecast, took, fleet)
        if forecast is not None and (took <= slack or not self.admission):
            return self._bind(item, forecast, took, FULL_QUALITY, fleet)
        for quality in item.qualities:
            forecast, took = fleet.best(item, item.bytes_at(quality))
            if forecast is not None and took <= slack:
                return self._bind(item, forecast, took, quality, fleet)
        return self.no_fit(item, forecast, took, slack, fleet)

    def _or_doubted(
        self, item: Item, size: float, forecast: NodeForecast | None, took: float, fleet: FleetForecast
    ) -> tuple[NodeForecast | None, float]:
        """A Node in doubt serves only what no other Node can answer in time."""
        other, other_took = fleet.best(item, size, doubted=True)
        return (other, other_took) if other_took < took else (forecast, took)

    def no_fit(
        self, item: Item, forecast: NodeForecast | None, took: float, slack: float, fleet: FleetForecast
    ) -> Placed:
        """The rest of the ladder, for an item that no Node is predicted to answer in `slack` seconds."""
        if item.edge_sure:
            return self._unsent("skip", item, fleet, "skipped: the edge is sure of it and no Node answers in time")
        canary = fleet.worth_a_try(item, item.bytes, slack) if self.canaries else None
        if canary is not None:
            return self._try(item, canary, fleet)
        smallest = min((item.bytes_at(quality) for quality in item.qualities), default=float(item.bytes))
        hopeless = not self.patience or fleet.floor_s(item, smallest) > slack
        if not hopeless:
            return self._hold(item, fleet, f"waits: no Node is predicted within {1000 * slack:.0f} ms")
        return self._late(item, forecast, took, fleet)

    def _bind(self, item: Item, forecast: NodeForecast, took: float, quality: Quality, fleet: FleetForecast) -> Placed:
        size = item.bytes_at(quality)
        explain = partial(_explain, fleet, item, size, len(fleet.takes), forecast.name, quality)
        leaves = not self.late_binding or (forecast.credit > 0 and forecast.uplink - fleet.now <= self.uplink_ahead_s)
        reissue_s = self._reissue_s(item, size, forecast, took, fleet) if leaves and self.reissues else None
        fleet.take(item, size, forecast)
        if not leaves:
            waits = partial(explain, lead="waits for ")
            return Placed(item.id, "wait", predicted_ms=1000 * took, explain=waits)
        forecast.credit, forecast.busy = forecast.credit - 1, forecast.busy + 1
        action: Action = "send" if quality is FULL_QUALITY else "degrade"
        return Placed(
            item.id,
            action,
            node=forecast.name,
            predicted_ms=1000 * took,
            quality=quality,
            reissue_s=reissue_s,
            explain=explain,
        )

    def _reissue_s(
        self, item: Item, size: float, forecast: NodeForecast, took: float, fleet: FleetForecast
    ) -> float | None:
        """When to give this attempt up so that the next best Node can still answer in time, or None to let it run.

        A radio link that stalls holds everything behind it, so it does not pay to wait until the last moment. A Node of
        which nothing is known yet must be let to answer: called back after a guess, it would never be known.
        """
        if item.attempt >= MOST_ATTEMPTS or not forecast.node.service.knows(item.model):
            return None
        other, other_took = fleet.best(item, size, but=forecast)
        if other is None:
            return None
        left_s = item.deadline_at - fleet.now - REISSUE_ROOM * other_took - REISSUE_SPARE_S
        return min(left_s, REISSUE_AT * took + REISSUE_LEAST_S) if left_s > REISSUE_AFTER * took else None

    def _try(self, item: Item, forecast: NodeForecast, fleet: FleetForecast) -> Placed:
        """Send an item that fits nowhere to a Node that may have recovered: it costs little, and tells."""
        took = forecast.answer_s(item.bytes, fleet.unit_s(item.model, forecast) * item.units)
        explain = partial(
            _explain, fleet, item, item.bytes, len(fleet.takes), forecast.name, FULL_QUALITY, "tries again "
        )
        fleet.take(item, item.bytes, forecast)
        forecast.credit, forecast.untried = forecast.credit - 1, False
        return Placed(item.id, "send", node=forecast.name, predicted_ms=1000 * took, explain=explain)

    def _late(self, item: Item, forecast: NodeForecast | None, took: float, fleet: FleetForecast) -> Placed:
        """Run late work in spare capacity only: half the slots, and half the uplink, stay free for live items.

        Where nothing live waits, the next one may travel to a Node of a single slot while that works.
        """
        if forecast is None:
            return self._hold(item, fleet, "late: waits until a Node is back")
        upload_s = item.bytes * forecast.inverse_rate
        most = max(1, forecast.slot_count // 2)
        if forecast.slot_count == 1 and fleet.only_late(item.model):
            most = 2
        spare = forecast.busy < most and forecast.credit > 0
        if not spare or fleet.now < forecast.last_sent_at + 2 * upload_s:
            return self._hold(item, fleet, "late: waits for spare capacity")
        steps = len(fleet.takes)
        explain = partial(_explain, fleet, item, item.bytes, steps, forecast.name, FULL_QUALITY, lead="late: ")
        fleet.take(item, item.bytes, forecast)
        forecast.credit, forecast.busy, forecast.last_sent_at = forecast.credit - 1, forecast.busy + 1, fleet.now
        return Placed(item.id, "send", node=forecast.name, predicted_ms=1000 * took, explain=explain)

    def _hold(self, item: Item, fleet: FleetForecast, why: str) -> Placed:
        return self._unsent("wait", item, fleet, why)

    def _unsent(self, action: Action, item: Item, fleet: FleetForecast, why: str) -> Placed:
        return Placed(item.id, action, explain=partial(_explain_unsent, fleet, item, len(fleet.takes), why))


def _explain(
    fleet: FleetForecast, item: Item, size: float, steps: int, name: str, quality: Quality, lead: str = ""
) -> Explanation:
    forecast = fleet.as_of(steps, item.model)[name]
    parts = forecast.breakdown(size, fleet.unit_s(item.model, forecast) * item.units)
    others = fleet.alternatives(item, size, steps, name)
    return Explanation(parts, others, words.chosen(name, parts, others, quality, lead))


def _explain_unsent(fleet: FleetForecast, item: Item, steps: int, why: str) -> Explanation:
    others = fleet.alternatives(item, item.bytes, steps, None)
    return Explanation(None, others, words.unsent(why, others))
