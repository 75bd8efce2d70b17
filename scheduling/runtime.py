"""This process' view of the fleet: place requests, take credits, carry them out with failover, learn from answers.

Between the pure policy and the Nodes. It knows requests as opaque: a subject, a model, bytes and a function that
sends them; what they are about is the caller's business.
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from django.db import DatabaseError

from aivd_web.kernel.publish import publish
from scheduling.models import Dispatch, Node, Placement, ServedModel
from scheduling.policy.fleet import FleetState
from scheduling.policy.node import NodeState
from scheduling.policy.types import Item, Placed
from scheduling.records import DecisionRecord, RecordedPolicy, record
from scheduling.services import decisions
from scheduling.triton import DescribeAnswer, DetectAnswer, NodeClient, NodeError

MAX_ATTEMPTS = 3
CREDIT_TTL_S = 5.0  # renewed beside the leases; what a killed worker held is free again after this
FLEET_GROUP = "fleet"
DISPATCH_HINTS_A_SECOND = 10
log = logging.getLogger(__name__)


class Credits(Protocol):
    """Room on the Nodes, shared by all workers. `take` is atomic over processes."""

    def take(self, node: str, request_id: str, *, limit: int, ttl_s: float) -> bool: ...
    def give(self, node: str, request_id: str) -> None: ...
    def renew(self, *, ttl_s: float) -> None: ...


@dataclass(frozen=True)
class Reported:
    """What a Node said of itself and of its work, in the same words for every kind of answer."""

    model: str
    version: str
    digest: str
    runtime: str
    class_names: tuple[str, ...]
    service_ms: float
    queue_ms: float
    batch: int


@dataclass(frozen=True)
class Request:
    """What is to be placed. `item.id` names it; `policy` is how its line chooses; `subject` is what it is about."""

    item: Item
    subject: str
    policy: str


@dataclass
class Sending:
    """A request that has a Node and its credit. `dispatch` is the attempt's row once it was begun; `record` is the
    decision that chose the Node, where it is among those that are kept.
    """

    request: Request
    placed: Placed
    node: str
    request_id: str
    attempt: int = 1
    record: DecisionRecord | None = None
    dispatch: Dispatch | None = None


@dataclass(frozen=True)
class Answered:
    """A Node's answer. `book()` writes the outcome of the Dispatch; call it in the transaction of the result."""

    answer: Any
    node: str
    served_model_id: int
    measured_ms: float
    book: Callable[[], None]


class RequestFailed(Exception):
    """No Node did it. `blames_request` says that trying again elsewhere changes nothing or has been tried enough."""

    def __init__(self, code: str, detail: str, *, blames_request: bool) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.blames_request = blames_request


Send = Callable[[NodeClient, float], Any]


class FleetRuntime:
    """One a process; safe to call from its threads."""

    def __init__(
        self,
        *,
        credits: Credits,
        client_for: Callable[[Node], NodeClient],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.credits = credits
        self.clock = clock
        self.state = FleetState()
        self._client_for = client_for
        self._lock = threading.RLock()
        self._rows: dict[str, Node] = {}
        self._models: dict[tuple[str, ...], int] = {}
        self._policies: dict[str, RecordedPolicy] = {}
        self._records = _Rate(decisions.RECORDS_A_SECOND)
        self._hints = _Rate(DISPATCH_HINTS_A_SECOND)

    # --- the nodes -------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Read the Nodes that exist and what a person set; estimates of known ones are kept."""
        rows = {node.name: node for node in Node.objects.prefetch_related("placements")}
        with self._lock:
            for name, row in rows.items():
                state = self.state.nodes.get(name)
                if state is None:
                    state = self.state.nodes[name] = NodeState(name=name, kind=row.kind)
                state.capacity = row.capacity
                state.drained = row.draining
                state.models = frozenset(placement.model for placement in row.placements.all())
                state.refusal = row.health_detail if row.health == Node.Health.WRONG_CONTRACT else ""
            for name in self.state.nodes.keys() - rows.keys():
                del self.state.nodes[name]
            self._rows = rows

    def rows(self) -> list[Node]:
        with self._lock:
            return list(self._rows.values())

    def client(self, name: str) -> NodeClient:
        return self._client_for(self._rows[name])

    def probed(self, name: str, *, elapsed_ms: float | None, ok: bool) -> None:
        with self._lock:
            if name in self.state.nodes:
                self.state.nodes[name].probed(self.clock(), elapsed_ms, ok=ok)

    def given_up(self, name: str) -> bool:
        """Whether the Node's breaker keeps it out of rotation."""
        with self._lock:
            state = self.state.nodes.get(name)
            return state is not None and state.breaker.state != "closed"

    def proven(self, name: str, *, within_s: float) -> bool:
        """Whether real requests test the Node already: one was answered just now, or some are under way.

        Each of these has its own deadline, and a canary would only wait behind them and be taken for a failure.
        """
        with self._lock:
            state = self.state.nodes.get(name)
            return state is not None and (bool(state.ledger) or self.clock() - state.last_answer_at < within_s)

    def canary(self, name: str, *, ok: bool) -> None:
        """An inference made for its own sake ended well or badly."""
        with self._lock:
            state = self.state.nodes.get(name)
            if state is None:
                return
            if ok:
                state.breaker.succeeded(self.clock())
            else:
                state.breaker.open(self.clock())

    def may_take(self, model: str) -> bool:
        """Whether any Node has room for one more request of `model` now."""
        with self._lock:
            now = self.clock()
            nodes = self.state.nodes.values()
            return any(not node.why_not(model, now) and node.credit(model) > 0 for node in nodes)

    def view(self) -> dict[str, dict[str, Any]]:
        """Load, link and breaker of each Node as this process sees them."""
        with self._lock:
            now = self.clock()
            return {name: _view(state, now) for name, state in self.state.nodes.items()}

    # --- placing ---------------------------------------------------------------------------------------

    def place(self, requests: Sequence[Request], *, limit: int) -> tuple[list[Sending], list[Placed]]:
        """Ask each line's policy; return at most `limit` requests with a credited Node, and all decisions."""
        sendings: list[Sending] = []
        said: list[Placed] = []
        with self._lock:
            for policy, group in _by_policy(requests).items():
                now = self.clock()
                by_id = {request.item.id: request for request in group}
                placed, record = self._decide(policy, [request.item for request in group], now)
                said += placed
                for one in placed:
                    if one.node is not None and len(sendings) < limit:
                        sending = self._credited(by_id[one.item_id], one, attempt=1, record=record)
                        sendings += [sending] if sending else []
        return sendings, said

    def begin(self, sendings: Sequence[Sending]) -> None:
        """Write the Dispatch rows of these attempts, in the caller's transaction."""
        rows = self._dispatch_rows(sendings)
        for sending, row in zip(sendings, Dispatch.objects.bulk_create(rows), strict=True):
            sending.dispatch = row

    def release(self, sending: Sending) -> None:
        """Give the credit back if the request was never sent; one that was answered or has failed changes nothing."""
        with self._lock:
            state = self.state.nodes.get(sending.node)
            if state is None or sending.request_id in state.ledger:
                self._ended(sending, code="cancelled")

    def renew(self) -> None:
        """Keep the credits of what is under way; call it every second or so."""
        self.credits.renew(ttl_s=CREDIT_TTL_S)

    # --- carrying out ----------------------------------------------------------------------------------

    def carry_out(self, sending: Sending, send: Send, *, timeout_s: float) -> Answered:
        """Send to the Node and, where that fails for the Node's sake, to others: 3 attempts at most.

        `timeout_s` is the budget of one attempt. Raises RequestFailed.
        """
        while True:
            started = self.clock()
            try:
                answer = send(self.client(sending.node), timeout_s)
            except NodeError as error:
                sending = self._after_failure(sending, error, self.clock() - started)
                continue
            except BaseException:
                self._ended(sending, code="cancelled")
                raise
            return self._answered(sending, answer, (self.clock() - started) * 1000)

    def _answered(self, sending: Sending, answer: DetectAnswer | DescribeAnswer, measured_ms: float) -> Answered:
        reported = _reported(answer)
        with self._lock:
            state = self.state.nodes.get(sending.node)
            if state is not None:
                state.answered(sending.request_id, self.clock(), reported.service_ms, reported.queue_ms, reported.batch)
        self.credits.give(sending.node, sending.request_id)
        model_id = self._served_model(sending, reported)
        row = sending.dispatch
        assert row is not None
        row.served_model_id = model_id
        row.measured_ms, row.queue_ms, row.service_ms = measured_ms, reported.queue_ms, reported.service_ms
        row.outcome = Dispatch.Outcome.OK

        def book() -> None:
            row.save(update_fields=["served_model", "measured_ms", "queue_ms", "service_ms", "outcome"])

        self._tell(row)
        return Answered(answer, sending.node, model_id, measured_ms, book)

    def _after_failure(self, sending: Sending, error: NodeError, elapsed_s: float) -> Sending:
        """Book the failed attempt and return the next one, or raise RequestFailed."""
        self._ended(sending, code=error.code)
        row = sending.dispatch
        assert row is not None
        row.measured_ms = elapsed_s * 1000
        row.outcome, row.error_code, row.error_detail = (
            Dispatch.Outcome.FAILED,
            error.code,
            error.detail[:1000],
        )
        row.save(update_fields=["measured_ms", "outcome", "error_code", "error_detail"])
        self._tell(row)
        log.warning("%s on %s failed (%s): %s", row.model, sending.node, error.code, error.detail)
        if not error.retryable:
            raise RequestFailed(error.code, error.detail, blames_request=True)
        if sending.attempt >= MAX_ATTEMPTS:
            raise RequestFailed(error.code, error.detail, blames_request=error.code not in OUTAGES)
        following = self._elsewhere(sending)
        if following is None:
            raise RequestFailed(error.code, error.detail, blames_request=False)
        try:
            self.begin([following])
        except DatabaseError:
            self.release(following)
            raise
        return following

    def _elsewhere(self, sending: Sending) -> Sending | None:
        item = sending.request.item
        again = replace(item, excluded=item.excluded | {sending.node})
        request = replace(sending.request, item=again)
        with self._lock:
            placed, record = self._decide(request.policy, [again], self.clock())
            if not placed or placed[0].node is None:
                return None
            return self._credited(request, placed[0], attempt=sending.attempt + 1, record=record)

    # --- inside ----------------------------------------------------------------------------------------

    def _decide(self, policy: str, items: Sequence[Item], now: float) -> tuple[list[Placed], DecisionRecord | None]:
        """Ask the policy; where something is to be sent and the sample has room, also note what it saw."""
        if policy not in self._policies:
            self._policies[policy] = RecordedPolicy(policy)
        placed, taken = self._policies[policy].place(items, self.state, now)
        if not any(one.sends for one in placed) or not self._records.allows(now):
            return placed, None
        return placed, record(policy, items, self.state, placed, at=time.time(), taken=taken)

    def _credited(
        self, request: Request, placed: Placed, *, attempt: int, record: DecisionRecord | None
    ) -> Sending | None:
        name, item = str(placed.node), request.item
        state = self.state.nodes[name]
        request_id = uuid.uuid4().hex
        limit = len(state.ledger) + max(1, state.credit(item.model))
        if not self.credits.take(name, request_id, limit=limit, ttl_s=CREDIT_TTL_S):
            return None
        state.sent(request_id, self.clock(), item.bytes, item.model, item.units)
        return Sending(request, placed, name, request_id, attempt, record)

    def _ended(self, sending: Sending, *, code: str) -> None:
        with self._lock:
            state = self.state.nodes.get(sending.node)
            if state is not None:
                state.failed(sending.request_id, self.clock(), code)
        self.credits.give(sending.node, sending.request_id)

    def _dispatch_rows(self, sendings: Sequence[Sending]) -> list[Dispatch]:
        """A row for each, pointing to the record of the decision that sent it."""
        records = {id(sending.record): sending.record for sending in sendings if sending.record is not None}
        keys = dict(zip(records, decisions.store(list(records.values())), strict=True))
        return [self._dispatch_row(sending, keys.get(id(sending.record))) for sending in sendings]

    def _dispatch_row(self, sending: Sending, record_id: int | None) -> Dispatch:
        said = sending.placed.to_json()
        return Dispatch(
            subject=sending.request.subject,
            model=sending.request.item.model,
            attempt=sending.attempt,
            node=self._rows[sending.node],
            policy=sending.request.policy,
            reason=said["reason"],
            alternatives=said["alternatives"],
            predicted_ms=said["predicted_ms"],
            breakdown=said["breakdown"] or {},
            slack_ms=1000 * (sending.request.item.due_at - self.clock()),
            payload_bytes=int(sending.request.item.bytes),
            sent_at=datetime.now(UTC),
            record_id=record_id,
            request_id=sending.request_id,
        )

    def _served_model(self, sending: Sending, reported: Reported) -> int:
        """The row of what answered; also noted on the Node's Placement when it changes."""
        model = sending.request.item.model
        key = (sending.node, model, reported.model, reported.version, reported.digest, reported.runtime)
        if key not in self._models:
            kind = ServedModel.Kind.DESCRIBER if model == "describer" else ServedModel.Kind.DETECTOR
            row, _ = ServedModel.objects.get_or_create(
                kind=kind,
                name=reported.model,
                version=reported.version,
                digest=reported.digest,
                runtime=reported.runtime,
                defaults={"class_names": list(reported.class_names)},
            )
            Placement.objects.filter(node__name=sending.node, model=model).update(served_model=row)
            self._models[key] = row.pk
        return self._models[key]

    def _tell(self, row: Dispatch) -> None:
        """Show the decision live; a hint, so a busy fleet shows a sample of them."""
        if self._hints.allows(self.clock()):
            publish(FLEET_GROUP, {"type": "fleet.hint", "hint": {"type": "dispatch", **dispatch_json(row)}})


OUTAGES = frozenset({"unavailable", "deadline", "overloaded", "cancelled"})
"""Codes that tell of the Node's health, not of the request's."""


def dispatch_json(row: Dispatch) -> dict[str, Any]:
    """A Dispatch as the fleet page and the API show it."""
    return {
        "id": row.pk,
        "subject": row.subject,
        "model": row.model,
        "attempt": row.attempt,
        "node": row.node.name,
        "policy": row.policy,
        "reason": row.reason,
        "alternatives": row.alternatives,
        "predicted_ms": row.predicted_ms,
        "breakdown": row.breakdown,
        "slack_ms": row.slack_ms,
        "measured_ms": row.measured_ms,
        "queue_ms": row.queue_ms,
        "service_ms": row.service_ms,
        "payload_bytes": row.payload_bytes,
        "sent_at": row.sent_at.isoformat(),
        "outcome": row.outcome,
        "error_code": row.error_code,
        "error_detail": row.error_detail,
    }


def _reported(answer: DetectAnswer | DescribeAnswer) -> Reported:
    if isinstance(answer, DetectAnswer):
        meta, timings = answer.meta, answer.meta.timings
        who = (meta.model, meta.version, meta.digest, meta.runtime, meta.class_names)
        return Reported(*who, timings.service_ms, timings.queue_ms, timings.batch)
    done = answer.done
    who = (done.model, done.version, done.digest, done.runtime, ())
    return Reported(*who, done.timings.service_ms, done.timings.queue_ms, 1)


def _view(state: NodeState, now: float) -> dict[str, Any]:
    projection = state.projection(now)
    busy_until = min(projection.slots_free_at, default=now)
    models = state.models or frozenset()
    return {
        "outstanding": len(state.ledger),
        "queue_ms": round(max(0.0, busy_until - now) * 1000, 1),
        "service_ms": {model: round(state.seconds(model) * 1000, 1) for model in sorted(models)},
        "rtt_ms": round(state.link.rtt_s * 1000, 1),
        "bandwidth_bytes_s": round(state.link.rate(now)) if state.link.uploads else None,
        "breaker": state.breaker.state,
        "credit_limit": state.credit_limit(),
        "credits_left": state.credit(),
        "slowness": round(state.slowness(now), 2),
    }


def _by_policy(requests: Sequence[Request]) -> Mapping[str, list[Request]]:
    groups: dict[str, list[Request]] = {}
    for request in requests:
        groups.setdefault(request.policy, []).append(request)
    return groups


class _Rate:
    """At most `a_second` yeses in any one second."""

    def __init__(self, a_second: int) -> None:
        self.a_second = a_second
        self._second = 0
        self._used = 0

    def allows(self, now: float) -> bool:
        if int(now) != self._second:
            self._second, self._used = int(now), 0
        self._used += 1
        return self._used <= self.a_second
