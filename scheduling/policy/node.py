"""What we know of one Node: our own ledger of outstanding requests and estimates learned from its answers.

Never trusts a heartbeat for load: what is outstanding is known first-hand. Knows nothing of other Nodes, of
queues of waiting items or of how a policy weighs a prediction. Times are seconds on the caller's clock.
"""

import math
from collections.abc import Collection
from copy import copy
from dataclasses import dataclass, field
from heapq import heapreplace
from typing import Any

from scheduling.policy.breaker import Breaker
from scheduling.policy.estimates import LinkEstimate, PredictionError, ResponseTimes, ServiceTimes, plausible
from scheduling.policy.items import DETECTOR

SUSPECT = "suspect"  # a deadline that speaks against the request: the Node answered others meanwhile
ITEM_FAULTS = frozenset(
    {"bad_frame", "bad_request", "cancelled", "holder_lost", "too_costly", "held_up", SUSPECT}
    | {"version_missing", "version_refused"}
)
"""These say nothing against the Node's health."""
REISSUED = "reissued"  # the sender took the request back to try it elsewhere in time
STALL_RATIO = 1.5  # silence longer than this many expected gaps means that everything on the Node is slower
STALL_LEAST_S = 0.02


@dataclass(slots=True)
class Sent:
    """One outstanding request; the last three are our estimate of its way through uplink and Node."""

    at: float
    bytes: float
    model: str
    units: float
    predicted_at: float = 0.0
    uploaded_at: float = 0.0
    expected_at: float = 0.0


@dataclass(slots=True)
class Projection:
    """When the uplink and each service slot of a Node come free, as far as we can tell at one moment."""

    uplink_free_at: float
    slots_free_at: list[float]  # a heap
    half_rtt_s: float
    slowness: float


@dataclass(slots=True)
class NodeState:
    """Ledger and estimates of one Node. `capacity`: requests it works on at once, side by side or as one batch.
    `models` None: serves every model.

    `refusal` is set when the Node may not be used at all (its contract differs, say) and holds the words.
    `beside_units`: a frame of more units is worked on beside the others, one at a time, and takes no slot of theirs.
    """

    name: str
    kind: str = "edge"
    capacity: int = 1
    models: frozenset[str] | None = None
    drained: bool = False
    refusal: str = ""
    beside_units: float | None = None
    service: ServiceTimes = field(default_factory=ServiceTimes)
    link: LinkEstimate = field(default_factory=LinkEstimate)
    error: PredictionError = field(default_factory=PredictionError)
    responses: ResponseTimes = field(default_factory=ResponseTimes)
    breaker: Breaker = field(default_factory=Breaker)
    ledger: dict[str, Sent] = field(default_factory=dict)
    finishes: list[float] = field(default_factory=list)
    uplink_known_at: float = -math.inf
    uplink_known_sent: float = -math.inf
    last_answer_at: float = -math.inf
    doubted: bool = False
    counts: dict[str, int] = field(default_factory=dict)
    probe_failures: int = 0
    event_at: float = -math.inf
    _fresh: Projection | None = None
    _next_expected: float = math.inf

    # --- what happened ----------------------------------------------------------------------------

    def sent(self, request_id: str, at: float, bytes: float, model: str, units: float = 1.0) -> None:
        """A request left for this Node. A second `sent` of the same id is counted and changes nothing."""
        if request_id in self.ledger:
            self._count("sent_twice")
            return
        size = float(bytes) if plausible(bytes, most=1e12) else 0.0
        work = float(units) if plausible(units, most=1e6) else 1.0
        entry = self.ledger[request_id] = Sent(at, size, model, work)
        self.breaker.sent(at)
        predicted = self._fresh is not None
        self._changed(at)
        if predicted:  # a policy that looks at predictions asked for one just now
            self.projection(at)
            entry.predicted_at = max(at, entry.expected_at)

    def answered(
        self,
        request_id: str,
        at: float,
        service_ms: float | None,
        queue_ms: float | None = None,
        batch: int | None = 1,
    ) -> None:
        """An answer came back. Answers nobody waits for (late after failover, doubled) are counted and
        dropped.

        service_ms, queue_ms: as the Node measured them; None, NaN, negative or longer than the whole call
        teach nothing but still end the request.
        """
        if request_id not in self.ledger:
            self._count("unexpected_answers")
            return
        if queue_ms is None:
            self._refreshed()
        entry = self.ledger.pop(request_id)
        elapsed = max(0.0, at - entry.at)
        self.last_answer_at = max(self.last_answer_at, at)
        self.doubted = False
        self.breaker.succeeded(at)
        if plausible(service_ms) and service_ms is not None and service_ms / 1000 <= elapsed + 0.001:
            self._learn(entry, at, elapsed, service_ms / 1000, queue_ms, batch)
        else:
            self._count("implausible_timings")
            self._finish(at - self.link.rtt_s / 2)
        self._changed(at)

    def failed(self, request_id: str, at: float, code: str) -> None:
        """A request ended without an answer. A code of ITEM_FAULTS says nothing against the Node.

        REISSUED casts doubt on the Node and on its link's rate, but is no failure: the Node may be well and only busy.
        """
        entry = self.ledger.pop(request_id, None)
        if entry is None:
            self._count("unexpected_failures")
            return
        self._changed(at)
        if code == REISSUED:
            self._count("reissues")
            self.doubted = True
            self.link.observe_at_most(at, entry.bytes, at - entry.at)
            self.uplink_known_at = max(self.uplink_known_at, at)
            return
        self._count("failures")
        if code in ITEM_FAULTS:
            self.last_answer_at = max(self.last_answer_at, at)
            return
        self.doubted = True
        self.breaker.failed(at)

    def probed(self, at: float, elapsed_ms: float | None, *, ok: bool = True) -> None:
        """A health probe came back (elapsed_ms) or failed. Two failures in a row open the breaker."""
        if not ok:
            self.probe_failures += 1
            if self.probe_failures >= 2 and self.breaker.state == "closed":
                self.breaker.open(at)
            return
        self.probe_failures = 0
        if elapsed_ms is None or not plausible(elapsed_ms):
            self._count("implausible_timings")
            return
        quick = elapsed_ms / 1000 <= 2 * (self.link.rtt_floor_s or math.inf) + 0.02
        self.link.observe_round_trip(elapsed_ms / 1000)
        if quick and (self.doubted or self.link.looks_stalled(at)):
            self.doubted = False
            self.link.forget_rate(at)
        self._changed(at)

    # --- what we make of it -----------------------------------------------------------------------

    def why_not(self, model: str, now: float) -> str:
        """Why this Node is out of the question for `model`, or an empty string."""
        if self.refusal:
            return self.refusal
        if self.drained:
            return "drained"
        if self.models is not None and model not in self.models:
            return f"does not serve {model}"
        if not self.breaker.allows(now):
            return f"breaker {self.breaker.state}"
        return ""

    def seconds(self, model: str) -> float:
        """How long one unit keeps one of the places that `capacity` counts."""
        return self.service.seconds(model)

    def credit(self, model: str | None = None) -> int:
        """How many more requests it may hold: its slots, one waiting, and what hides the round trip."""
        limit = 1 if self.doubted or self.breaker.state != "closed" else self.credit_limit(model)
        return max(0, limit - self.in_slots())

    def in_slots(self) -> int:
        """Outstanding requests without those that are worked on beside the others."""
        return sum(not self.is_beside(entry.model, entry.units) for entry in self.ledger.values())

    def is_beside(self, model: str, units: float) -> bool:
        return self.beside_units is not None and model == DETECTOR and units > self.beside_units

    def may_hold(self, model: str, units: float) -> bool:
        """Whether a request of so many units may be sent: of those that are worked on beside the others, one."""
        return not self.is_beside(model, units) or self.in_slots() == len(self.ledger)

    def credit_limit(self, model: str | None = None) -> int:
        model = model or next(iter(self.service.by_model), "")
        slots = self.capacity
        hidden = self.link.rtt_s * slots / max(self.seconds(model), 1e-4)
        return slots + 1 + math.ceil(hidden - 0.25)

    def slowness(self, now: float) -> float:
        """1, or by how much everything on this Node must be slower than thought for its silence to make
        sense.

        Finds crashes, outages and slow-downs without a probe: one number for uplink and service, because from
        outside a stalled upload and a stuck service look the same.
        """
        self._refreshed()
        if not self.ledger or self._next_expected > now:
            return 1.0
        oldest = next(iter(self.ledger.values()))
        since = max(self.last_answer_at, oldest.at)
        expected = max(self._next_expected - since, self.seconds(oldest.model) * oldest.units, STALL_LEAST_S)
        ratio = (now - since) / expected
        return ratio if ratio > STALL_RATIO else 1.0

    def projection(self, now: float) -> Projection:
        """When uplink and slots come free, rebuilt from the ledger in the order of sending."""
        fresh = self._refreshed()
        if self._next_expected > now:
            return fresh
        return self._project(now, self.slowness(now), keep=False)

    # --- inside -----------------------------------------------------------------------------------

    def _refreshed(self) -> Projection:
        """The projection as of the last event: the same for the same ledger, whenever it is asked for."""
        if self._fresh is None:
            self._fresh = self._project(self.event_at, 1.0, keep=True)
        return self._fresh

    def _project(self, now: float, slowness: float, *, keep: bool) -> Projection:
        rate = self.link.rate(self.event_at) / slowness
        half_rtt = self.link.rtt_s / 2
        slots = self.capacity
        free = sorted(self.finishes[-slots:])
        free = [-math.inf] * (slots - len(free)) + free
        uplink, soonest = self.uplink_known_at, math.inf
        for entry in self.ledger.values():
            uploaded = max(entry.at, uplink) + entry.bytes / rate
            if entry.at < self.uplink_known_sent:
                uploaded = min(uploaded, self.uplink_known_at)
            uplink = max(uplink, uploaded)
            beside = self.is_beside(entry.model, entry.units)
            begun = uploaded + half_rtt if beside else max(uploaded + half_rtt, free[0])
            ended = begun + self.seconds(entry.model) * entry.units * slowness
            expected = ended + half_rtt
            soonest = min(soonest, expected)
            if expected < now:
                ended = now - half_rtt + 0.2 * self.seconds(entry.model) * entry.units
            if not beside:
                heapreplace(free, ended)
            if keep:
                entry.uploaded_at, entry.expected_at = uploaded, expected
        if keep:
            self._next_expected = soonest
        return Projection(uplink, free, half_rtt, slowness)

    def _learn(
        self,
        entry: Sent,
        at: float,
        elapsed: float,
        service_s: float,
        queue_ms: float | None,
        batch: int | None,
    ) -> None:
        self.service.observe(entry.model, service_s * self._share(batch) / max(entry.units, 1e-6))
        if entry.predicted_at:
            self.error.observe(at - entry.predicted_at)
        ended = at - self.link.rtt_s / 2
        self._finish(ended)
        queue_s = self._queue_seconds(entry, service_s, queue_ms)
        self.responses.observe(at, elapsed, service_s, queue_s / max(service_s, 1e-6) * self.capacity)
        uploaded = ended - service_s - queue_s - self.link.rtt_s / 2
        began = max(entry.at, self.uplink_known_at if self.uplink_known_sent <= entry.at else entry.at)
        if uploaded > entry.at and entry.at >= self.uplink_known_sent:
            if entry.bytes >= 1000:
                self.link.observe_upload(at, entry.bytes, uploaded - began)
            self.uplink_known_at, self.uplink_known_sent = uploaded, entry.at

    def _share(self, batch: int | None) -> float:
        """What part of a batch's time a request in it stands for: together they took no more places than there are."""
        together = batch if batch and batch > 0 else 1
        return min(self.capacity, together) / together

    def _queue_seconds(self, entry: Sent, service_s: float, queue_ms: float | None) -> float:
        """What the Node measured, else what our own projection expected."""
        if queue_ms is not None and plausible(queue_ms):
            return queue_ms / 1000
        arrived = entry.uploaded_at + self.link.rtt_s / 2
        return max(0.0, entry.expected_at - self.link.rtt_s / 2 - service_s - arrived)

    def _changed(self, at: float) -> None:
        self.event_at = max(self.event_at, at)
        self._fresh = None

    def _finish(self, ended: float) -> None:
        self.finishes.append(ended)
        del self.finishes[: -max(self.capacity, 1)]

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    # --- recording --------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        self._refreshed()
        plain = {name: copy(getattr(self, name)) for name in _PLAIN}
        times = {name: _finite(getattr(self, name)) for name in _TIMES}
        parts = {name: getattr(self, name).to_json() for name in _PARTS}
        ledger = [[key, *(getattr(e, n) for n in Sent.__slots__)] for key, e in self.ledger.items()]
        if self.beside_units is not None:
            plain["beside_units"] = self.beside_units
        lists = {"models": _listed(self.models), "ledger": ledger, "finishes": list(self.finishes)}
        return {**plain, **times, **parts, **lists}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "NodeState":
        node = cls(**{name: data[name] for name in _PLAIN}, beside_units=data.get("beside_units"))
        for name in _TIMES:
            setattr(node, name, -math.inf if data[name] is None else data[name])
        for name, kind in _PARTS.items():
            setattr(node, name, kind.from_json(data[name]))
        node.models = _frozen(data["models"])
        node.ledger = {key: Sent(*values) for key, *values in data["ledger"]}
        node.finishes = list(data["finishes"])
        node.counts = dict(node.counts)
        return node


_PLAIN = (
    "name",
    "kind",
    "capacity",
    "drained",
    "refusal",
    "doubted",
    "counts",
    "probe_failures",
)
_TIMES = ("event_at", "uplink_known_at", "uplink_known_sent", "last_answer_at")
_PARTS: dict[str, Any] = {
    "service": ServiceTimes,
    "link": LinkEstimate,
    "error": PredictionError,
    "responses": ResponseTimes,
    "breaker": Breaker,
}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _listed(names: Collection[str] | None) -> list[str] | None:
    return None if names is None else sorted(names)


def _frozen(names: Collection[str] | None) -> frozenset[str] | None:
    return None if names is None else frozenset(names)
