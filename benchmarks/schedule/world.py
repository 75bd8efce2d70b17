"""The simulated fleet: what really happens to a request that is sent. Policies never see this module's objects.

Uplink and service slots are first come, first served, so the whole way of a request is known the moment it is sent
and an event is needed only when the client hears of it. Knows nothing of policies.
"""

from bisect import bisect_right
from dataclasses import dataclass, field
from heapq import heapreplace
from typing import Any

from benchmarks.schedule.links import Link


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the client will see: at `at` an answer (code empty) or a failure."""

    at: float
    code: str
    service_ms: float
    queue_ms: float
    busy_s: float


@dataclass(slots=True)
class SimNode:
    """Truth about one Node. `service_s`: mean seconds of one unit for each model; `slow`: (from, to, factor) windows;
    `killed` and `stopped`: windows in which it refuses, or hangs and resumes.
    """

    name: str
    kind: str
    slots: int
    service_s: dict[str, float]
    rtt_s: float
    link: Link
    slow: list[tuple[float, float, float]] = field(default_factory=list)
    killed: list[tuple[float, float]] = field(default_factory=list)
    stopped: list[tuple[float, float]] = field(default_factory=list)
    uplink_free_at: float = 0.0
    free_at: list[float] = field(default_factory=list)
    _slow_edges: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.free_at = [0.0] * self.slots
        self._slow_edges = [edge for window in self.slow for edge in window[:2]]

    def factor(self, at: float) -> float:
        index = bisect_right(self._slow_edges, at)
        return self.slow[index // 2][2] if index % 2 else 1.0

    def answer_at(self, now: float, size: float, model: str, work: float) -> float:
        """When the answer to a request sent now would be back (infinite when it would fail). Changes nothing."""
        if self._down(now):
            return float("inf")
        uploaded = self.link.finish(max(now, self.uplink_free_at), size)
        arrived = uploaded + self.rtt_s / 2
        begun, ended = self._serve(max(arrived, self.free_at[0]), model, work)
        if self._killed_between(begun if begun < arrived else arrived, ended):
            return float("inf")
        return ended + self.rtt_s / 2

    def send(self, now: float, size: float, model: str, work: float, timeout_s: float) -> Outcome:
        limit = now + timeout_s
        if self._down(now):
            return Outcome(now + self.rtt_s, "unavailable", 0.0, 0.0, 0.0)
        start = max(now, self.uplink_free_at)
        uploaded = self.link.finish(start, size)
        if uploaded > limit:
            self.uplink_free_at = max(self.uplink_free_at, limit) if start < limit else self.uplink_free_at
            return Outcome(limit, "timeout", 0.0, 0.0, 0.0)
        self.uplink_free_at = uploaded
        arrived = uploaded + self.rtt_s / 2
        begun, ended = self._serve(max(arrived, self.free_at[0]), model, work)
        killed_at = self._killed_between(arrived, ended)
        if killed_at:
            return Outcome(max(arrived, killed_at) + self.rtt_s / 2, "unavailable", 0.0, 0.0, 0.0)
        heapreplace(self.free_at, ended)
        back = ended + self.rtt_s / 2
        if back > limit:
            return Outcome(limit, "timeout", 0.0, 0.0, ended - begun)
        return Outcome(back, "", 1000 * (ended - begun), 1000 * (begun - arrived), ended - begun)

    def probe(self, now: float, size: float = 256.0) -> float | None:
        """Seconds a health probe takes, or None when nobody answers in a second."""
        if self._down(now) or any(a <= now < b for a, b in self.stopped):
            return None
        took = self.rtt_s + self.link.finish(now, size) - now
        return took if took <= 1.0 else None

    def _serve(self, begun: float, model: str, work: float) -> tuple[float, float]:
        for start, end in self.stopped:
            if start <= begun < end:
                begun = end
        ended = begun + self.service_s[model] * work * (self.factor(begun) if self.slow else 1.0)
        for start, end in self.stopped:
            if begun < start < ended:
                ended += end - start
        return begun, ended

    def _down(self, at: float) -> bool:
        return any(start <= at < end for start, end in self.killed)

    def _killed_between(self, begun: float, ended: float) -> float:
        """When a kill hits work that lasts from `begun` to `ended`, or 0."""
        return next((start for start, end in self.killed if begun < end and ended > start), 0.0)


@dataclass(slots=True)
class World:
    nodes: dict[str, SimNode]

    def capacity(self, model: str, size: float, start: int, end: int) -> float:
        """Requests a second the fleet could answer: the mean over seconds of sum min(slots / service, rate / size)."""
        total = 0.0
        for second in range(start, end):
            total += sum(self._second(node, model, size, second) for node in self.nodes.values())
        return total / max(1, end - start)

    def _second(self, node: SimNode, model: str, size: float, second: int) -> float:
        if model not in node.service_s or node._down(second + 0.5):
            return 0.0
        if any(a <= second + 0.5 < b for a, b in node.stopped):
            return 0.0
        served = node.slots / (node.service_s[model] * node.factor(second + 0.5))
        return min(served, node.link.rate_at(second + 0.5) / size)


def describe(world: World) -> list[dict[str, Any]]:
    """The fleet in plain words, for the results page."""
    return [
        {"name": n.name, "kind": n.kind, "slots": n.slots, "service_ms": {m: 1000 * s for m, s in n.service_s.items()}}
        for n in world.nodes.values()
    ]
