"""Predicts when an answer would be back from each Node, and keeps a virtual backlog while a queue is placed.

    T = upload + wait + service + rtt

and Nodes are ranked by T + kappa * sigma. The deviation sigma of our own error stays out of T: it should
make us prefer the Node that keeps its word, not refuse work that another would probably do in time.

The uplink is a serial queue of its own: an item arrives at the Node when the uplink has carried everything before it,
and starts when a service slot is free. One FleetForecast is made for one `place` call; it copies what it needs, so a
decision can still be explained after the state has moved on.
"""

import math
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapreplace

from scheduling.policy.fleet import FleetState
from scheduling.policy.node import NodeState
from scheduling.policy.types import Alternative, Breakdown, Item

UNTRIED_S = 0.5  # an idle Node that was not heard of for so long may have recovered


@dataclass(frozen=True, slots=True)
class Weights:
    """What the prediction is made of; the ablation switches the terms off one by one.

    kappa: how many deviations of our own error a Node is set back by.
    """

    kappa: float = 0.5
    serial_uplink: bool = True
    slowness: bool = True
    wait: bool = True
    doubt: bool = True


class NodeForecast:
    """One Node as seen at one moment, with the items virtually placed on it since."""

    __slots__ = (
        "bias_s",
        "busy",
        "credit",
        "doubted",
        "half_rtt_s",
        "inverse_rate",
        "last_sent_at",
        "margin_s",
        "name",
        "node",
        "now",
        "slot_count",
        "slots",
        "slowness",
        "start",
        "untried",
        "uplink",
        "usual_rate",
    )  # fmt: skip

    def __init__(self, node: NodeState, now: float, weights: Weights) -> None:
        projection = node.projection(now)
        self.node, self.name, self.now = node, node.name, now
        self.slowness = projection.slowness if weights.slowness else 1.0
        self.inverse_rate = self.slowness / node.link.rate(now)
        self.usual_rate = max(node.link.typical, 1.0 / self.inverse_rate)
        self.uplink = max(now, projection.uplink_free_at) if weights.serial_uplink else now
        self.slots = projection.slots_free_at if weights.wait else [now]
        self.start = (self.uplink, self.slots)
        self.half_rtt_s = projection.half_rtt_s
        self.margin_s = weights.kappa * node.error.sigma_s
        self.bias_s = self.half_rtt_s - now
        self.credit = node.credit()
        self.doubted = node.doubted and weights.doubt
        self.busy, self.slot_count = node.in_slots(), len(self.slots)
        self.untried = self.busy == 0 and now - max(node.link.at, node.last_answer_at) > UNTRIED_S
        last = next(reversed(node.ledger.values()), None)
        self.last_sent_at = -math.inf if last is None else last.at

    def answer_s(self, size: float, service_s: float) -> float:
        """Seconds from now until the answer to one more item would be back."""
        ready = self.uplink + size * self.inverse_rate + self.half_rtt_s
        free = self.slots[0]
        return (ready if ready > free else free) + service_s + self.bias_s

    def floor_s(self, size: float, service_s: float) -> float:
        """What `service_s` of work would take were the Node idle and its link as good as it usually is."""
        return size / self.usual_rate + service_s / self.slowness + 2 * self.half_rtt_s

    def breakdown(self, size: float, service_s: float) -> Breakdown:
        upload = self.uplink - self.now + size * self.inverse_rate
        wait = max(0.0, self.slots[0] - (self.now + upload + self.half_rtt_s))
        parts = (upload, wait, service_s, 2 * self.half_rtt_s, self.margin_s)
        return Breakdown(*(1000 * part for part in parts))

    def take(self, size: float, service_s: float) -> None:
        """Put an item on this Node virtually: the next one is predicted behind it."""
        if self.slots is self.start[1]:
            self.slots = list(self.slots)
        self.uplink += size * self.inverse_rate
        begun = max(self.uplink + self.half_rtt_s, self.slots[0])
        heapreplace(self.slots, begun + service_s)

    def from_start(self) -> "NodeForecast":
        """A copy as it was before anything was placed virtually."""
        copy = object.__new__(NodeForecast)
        for name in NodeForecast.__slots__:
            setattr(copy, name, getattr(self, name))
        copy.uplink, copy.slots = self.start
        return copy


class Candidates:
    """The Nodes in rotation for one model, ordered by a bound that no item can undercut, and who is out and
    why.
    """

    __slots__ = ("closed", "order", "units_s")

    def __init__(self) -> None:
        self.units_s: dict[str, float] = {}
        self.closed: dict[str, str] = {}
        self.order: list[tuple[float, str, NodeForecast, float]] = []


class FleetForecast:
    """A forecast of each Node at `now`; finds the best one for an item without looking at them all.

    A forecast's bound, its T for an item of no bytes and the least units waiting, only grows as items are
    placed. So Nodes are scanned by rising bound, and the scan stops at the first bound above the best T
    found: an exact minimum.
    """

    def __init__(self, state: FleetState, now: float, weights: Weights, waiting: Sequence[Item] = ()) -> None:
        self.state, self.now, self.weights = state, now, weights
        self.waiting = waiting
        self.least_units = min((item.units for item in waiting), default=0.0)
        self._longest_floor_s: dict[str, float] = {}
        self._only_late: set[str] | None = None
        self.forecasts: dict[str, NodeForecast] = {}
        self.takes: list[tuple[str, float, float]] = []
        self._candidates: dict[str, Candidates] = {}

    def candidates(self, model: str) -> Candidates:
        known = self._candidates.get(model)
        if known is None:
            known = self._candidates[model] = Candidates()
            for node in self.state.nodes.values():
                self._enter(node, model, known)
            known.order.sort()
        return known

    def best(
        self, item: Item, size: float, *, doubted: bool = False, but: NodeForecast | None = None
    ) -> tuple[NodeForecast | None, float]:
        """The Node with the least T + kappa * sigma, and its T in seconds (infinite where there is none).

        doubted: look among the Nodes that were last heard of by their silence, otherwise among the others.
        """
        found, least, answer = None, math.inf, math.inf
        units, excluded = item.units, item.excluded
        for bound, name, forecast, unit_s in self.candidates(item.model).order:
            if bound >= least:
                break
            if forecast.doubted is not doubted or forecast is but or name in excluded:
                continue
            took = forecast.answer_s(size, unit_s * units)
            if took + forecast.margin_s < least:
                found, least, answer = forecast, took + forecast.margin_s, took
        return found, answer

    def worth_a_try(self, item: Item, size: float, slack_s: float) -> NodeForecast | None:
        """An idle Node of which the last news is old, and which would make it were it as good as it usually is."""
        for _, name, forecast, unit_s in self.candidates(item.model).order:
            may_go = forecast.untried and name not in item.excluded and forecast.credit > 0
            if may_go and forecast.floor_s(size, unit_s * item.units) <= slack_s:
                return forecast
        return None

    def fits(self, item: Item, size: float, slack_s: float) -> bool:
        """Whether any Node answers in `slack_s` seconds."""
        return self.best(item, size)[1] <= slack_s or self.best(item, size, doubted=True)[1] <= slack_s

    def within(self, item: Item, size: float, slack_s: float) -> dict[str, NodeForecast]:
        """The forecasts that answer in `slack_s` seconds, by Node name."""
        fitting = {}
        for _, name, forecast, unit_s in self.candidates(item.model).order:
            if name not in item.excluded and forecast.answer_s(size, unit_s * item.units) <= slack_s:
                fitting[name] = forecast
        return fitting

    def unit_s(self, model: str, forecast: NodeForecast) -> float:
        return self.candidates(model).units_s[forecast.name]

    def take(self, item: Item, size: float, forecast: NodeForecast) -> None:
        service_s = self.unit_s(item.model, forecast) * item.units
        forecast.take(size, service_s)
        self.takes.append((forecast.name, size, service_s))
        for candidates in self._candidates.values():
            self._reorder(candidates, forecast)

    def floor_s(self, item: Item, size: float) -> float:
        """The least time any Node would need were it idle and its link as good as it usually is; 0 without
        a Node.
        """
        least = math.inf
        for _, name, forecast, unit_s in self.candidates(item.model).order:
            if name not in item.excluded:
                took = forecast.floor_s(size, unit_s * item.units)
                least = took if took < least else least
        return 0.0 if least == math.inf else least

    def only_late(self, model: str) -> bool:
        """Whether all that waits for this model has missed its deadline."""
        if self._only_late is None:
            live = {item.model for item in self.waiting if item.deadline_at >= self.now}
            self._only_late = {item.model for item in self.waiting} - live
        return model in self._only_late

    def longest_floor_s(self, model: str) -> float:
        """A time that is enough for the largest waiting item on every idle Node: who has more need not hurry."""
        known = self._longest_floor_s.get(model)
        if known is None:
            size = max((item.bytes for item in self.waiting), default=0)
            units = max((item.units for item in self.waiting), default=1.0)
            forecasts = self.candidates(model).order
            known = max(
                (forecast.floor_s(size, unit_s * units) for _, _, forecast, unit_s in forecasts), default=math.inf
            )
            self._longest_floor_s[model] = known
        return known

    def as_of(self, steps: int, model: str) -> dict[str, NodeForecast]:
        """The forecasts for `model` as they stood after the first `steps` virtual placements."""
        forecasts = {name: self.forecasts[name].from_start() for name in self.candidates(model).units_s}
        for name, size, service_s in self.takes[:steps]:
            if name in forecasts:
                forecasts[name].take(size, service_s)
        return forecasts

    def alternatives(self, item: Item, size: float, steps: int, but: str | None) -> tuple[Alternative, ...]:
        """Every Node except `but` with its T at that step, best first, then those out of the question."""
        candidates = self.candidates(item.model)
        timed: list[tuple[float, str]] = []
        closed = dict(candidates.closed)
        for name, forecast in self.as_of(steps, item.model).items():
            if name in item.excluded:
                closed[name] = "failed this request before"
            elif name != but:
                timed.append((1000 * forecast.answer_s(size, candidates.units_s[name] * item.units), name))
        return (
            *(Alternative(name, took) for took, name in sorted(timed)),
            *(Alternative(name, None, closed[name]) for name in sorted(closed)),
        )

    def _enter(self, node: NodeState, model: str, candidates: Candidates) -> None:
        reason = node.why_not(model, self.now)
        if reason:
            candidates.closed[node.name] = reason
            return
        forecast = self.forecasts.get(node.name)
        if forecast is None:
            forecast = self.forecasts[node.name] = NodeForecast(node, self.now, self.weights)
        unit_s = node.seconds(model) * forecast.slowness
        candidates.units_s[node.name] = unit_s
        candidates.order.append((self._bound(forecast, unit_s), node.name, forecast, unit_s))

    def _bound(self, forecast: NodeForecast, unit_s: float) -> float:
        return forecast.answer_s(0.0, unit_s * self.least_units) + forecast.margin_s

    def _reorder(self, candidates: Candidates, forecast: NodeForecast) -> None:
        for index, entry in enumerate(candidates.order):
            if entry[2] is forecast:
                del candidates.order[index]
                insort(candidates.order, (self._bound(forecast, entry[3]), entry[1], forecast, entry[3]))
                return
