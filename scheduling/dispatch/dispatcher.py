"""One process' view of the fleet: place requests, take credits, carry them out with failover, learn from answers.

Between the pure policy and the Nodes. It knows requests as opaque: a subject, a model, bytes and a function that
sends them; what they are about is the caller's business. Knows no database: `FleetRuntime` (services) keeps the
rows, and a benchmark runs this same code without any.
"""

import logging
import math
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from scheduling.client.answers import CANCELLED, DEADLINE, OVERLOADED, UNAVAILABLE
from scheduling.client.triton import DescribeAnswer, DetectAnswer, NodeClient, NodeError
from scheduling.dispatch.ledger import Ended, Ledger, Wanted
from scheduling.dispatch.suspicion import Suspicions
from scheduling.policy.fleet import FleetState
from scheduling.policy.node import RECALLED, SUSPECT, NodeState
from scheduling.policy.types import Item, Placed
from scheduling.replay.records import RecordedPolicy, Snapshot
from scheduling.serving.contracts import HELD_UP, TOO_COSTLY

MAX_ATTEMPTS = 3
NODES_RECORDED_A_SECOND = 30  # states of Nodes that are recorded: 5 decisions over 6 Nodes, 1 over many
TICK_S = 0.01
RECALL_PATIENCE_S = 0.25
HEARD_WITHIN_S = 0.005  # how old the others' news may be when it is only asked whether there is room
PROBE_S = 1.0
OUTAGES = frozenset({UNAVAILABLE, DEADLINE, OVERLOADED, CANCELLED, HELD_UP, RECALLED})
"""Codes that tell of the Node's health, not of the request's."""
log = logging.getLogger(__name__)


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
    products: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    """What is to be placed. `item.id` names it; `policy` is how its line chooses; `subject` is what it is about."""

    item: Item
    subject: str
    policy: str


@dataclass
class Sending:
    """A request that has a Node and its credit. `row` is where the attempt is booked once it was begun; `seen` is
    what the policy saw, where this decision is among those that are kept.
    """

    request: Request
    placed: Placed
    node: str
    request_id: str
    attempt: int = 1
    seen: Snapshot | None = None
    row: Any = None


@dataclass(frozen=True)
class Answered:
    """A Node's answer. `book()` writes the outcome of the Dispatch; call it in the transaction of the result."""

    answer: Any
    node: str
    served_model_id: int
    measured_ms: float
    book: Callable[[], None]


class RequestFailed(Exception):
    """No Node did it. `blames_request` says that trying again elsewhere changes nothing or has been tried enough.

    `final` says that it must not be tried again at all: it would only hold up others.
    """

    def __init__(self, code: str, detail: str, *, blames_request: bool, final: bool = False) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.blames_request = blames_request
        self.final = final


Send = Callable[[NodeClient, float], Any]


class Dispatcher:
    """One a process; safe to call from its threads."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        client_of: Callable[[str], NodeClient],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.ledger = ledger
        self.clock = clock
        self.client = client_of
        self.state = FleetState()
        self.suspicions = Suspicions()
        self.suspects: set[str] = set()  # Nodes that just failed: worth a probe before the next beat
        self._lock = threading.RLock()
        self._own: set[str] = set()
        self._policies: dict[str, RecordedPolicy] = {}
        self._recorded = Rate(NODES_RECORDED_A_SECOND)
        self._heard_at = -1.0

    # --- the nodes -------------------------------------------------------------------------------------

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
        self._hear(HEARD_WITHIN_S)
        with self._lock:
            now = self.clock()
            nodes = self.state.nodes.values()
            return any(not node.why_not(model, now) and node.credit(model) > 0 for node in nodes)

    def view(self) -> dict[str, dict[str, Any]]:
        """Load, link and breaker of each Node as this process sees them; `outstanding` counts its own requests."""
        with self._lock:
            now = self.clock()
            return {name: _view(state, now, self._own) for name, state in self.state.nodes.items()}

    # --- placing ---------------------------------------------------------------------------------------

    def place(self, requests: Sequence[Request], *, limit: int) -> tuple[list[Sending], list[Placed]]:
        """Ask each line's policy; return at most `limit` requests with a credited Node, and all decisions."""
        sendings: list[Sending] = []
        said: list[Placed] = []
        self._hear()
        with self._lock:
            for policy, group in _by_policy(requests).items():
                placed, kept = self._decide(policy, [request.item for request in group], self.clock())
                said += placed
                by_id = {request.item.id: request for request in group}
                chosen = [one for one in placed if one.sends][: limit - len(sendings)]
                named = [Sending(by_id[one.item_id], one, str(one.node), _name(), 1, kept) for one in chosen]
                sendings += self._credited(named)
        return sendings, said

    def begin(self, sendings: Sequence[Sending]) -> None:
        """Book these attempts before they are sent; a subclass that keeps rows writes them here."""

    def release(self, sending: Sending) -> None:
        """Give the credit back if the request was never sent; one that was answered or has failed changes nothing."""
        with self._lock:
            state = self.state.nodes.get(sending.node)
            if state is None or sending.request_id in state.ledger:
                self._ended(sending, code="cancelled")

    def renew(self) -> None:
        """Keep the credits of what is under way; call it every second or so."""
        if self.ledger.answers():
            with self._lock:
                self.ledger.renew(self.state)

    # --- carrying out ----------------------------------------------------------------------------------

    def carry_out(self, sending: Sending, send: Send, *, timeout_s: float) -> Answered:
        """Send to the Node and, where that fails for the Node's sake, to others: 3 attempts at most.

        `timeout_s` is the budget of one attempt. Raises RequestFailed.
        """
        while True:
            started = self.clock()
            client, recall_s = self.client(sending.node), sending.placed.recall_s or timeout_s
            if self.suspicions.of(sending.request.item.id).alone:
                client, recall_s = client.alone(), timeout_s
            try:
                answer = send(client, min(timeout_s, recall_s))
            except NodeError as error:
                if error.code == DEADLINE and recall_s < timeout_s:
                    error = NodeError(RECALLED, f"Taken back after {1000 * recall_s:.0f} ms.", node=sending.node)
                sending = self._after_failure(sending, error, 1000 * (self.clock() - started))
                continue
            except BaseException:
                self._ended(sending, code="cancelled")
                raise
            return self._answered(sending, answer, 1000 * (self.clock() - started))

    def booked(self, sending: Sending, answer: Any, reported: Reported, measured_ms: float) -> Answered:
        """The answer with the way to book it; a subclass that keeps rows knows more."""
        return Answered(answer, sending.node, 0, measured_ms, lambda: None)

    def book_failure(self, sending: Sending, error: NodeError, measured_ms: float) -> None:
        """An attempt failed; a subclass that keeps rows writes it."""

    def _answered(self, sending: Sending, answer: DetectAnswer | DescribeAnswer, measured_ms: float) -> Answered:
        said = _reported(answer)
        self.suspicions.forget(sending.request.item.id)
        with self._lock:
            state = self.state.nodes.get(sending.node)
            if state is not None:
                state.answered(sending.request_id, self.clock(), said.service_ms, said.queue_ms, said.batch)
            self._own.discard(sending.request_id)
        self.ledger.ended(
            Ended(sending.request_id, sending.node, "", said.service_ms, said.queue_ms, said.batch),
        )
        return self.booked(sending, answer, said, measured_ms)

    def _after_failure(self, sending: Sending, error: NodeError, measured_ms: float) -> Sending:
        """Book the failed attempt and return the next one, or raise RequestFailed."""
        self._ended(sending, code=self._to_whose_account(sending, error.code, measured_ms))
        if error.code in (UNAVAILABLE, DEADLINE, RECALLED):
            self.suspects.add(sending.node)
        self.book_failure(sending, error, measured_ms)
        self._refuse_what_is_proven(sending, error)
        model = sending.request.item.model
        log.warning("%s on %s failed (%s): %s", model, sending.node, error.code, error.detail)
        if not error.retryable:
            raise RequestFailed(error.code, error.detail, blames_request=True)
        if sending.attempt >= MAX_ATTEMPTS:
            raise RequestFailed(error.code, error.detail, blames_request=error.code not in OUTAGES)
        following = self._elsewhere(sending, patience_s=RECALL_PATIENCE_S if error.code == RECALLED else 0.0)
        if following is None:
            raise RequestFailed(error.code, error.detail, blames_request=False)
        try:
            self.begin([following])
        except BaseException:
            self.release(following)
            raise
        return following

    def _to_whose_account(self, sending: Sending, code: str, measured_ms: float) -> str:
        """A deadline of a request that is in trouble already says nothing of a Node that answered others meanwhile."""
        with self._lock:
            state = self.state.nodes.get(sending.node)
            answered = state is not None and self.clock() - state.last_answer_at < measured_ms / 1000
        suspect = self.suspicions.of(sending.request.item.id).alone
        return SUSPECT if code == DEADLINE and suspect and answered else code

    def _refuse_what_is_proven(self, sending: Sending, error: NodeError) -> None:
        """Raise RequestFailed for good where the request, and not a Node, is to blame for that nobody answers it."""
        item = sending.request.item
        long_stay = error.code in (DEADLINE, RECALLED)
        if not long_stay and error.code not in (TOO_COSTLY, HELD_UP):
            return
        # The first deadline is not looked into: the next Node is to be asked without a delay.
        known = self.suspicions.of(item.id)
        lives = error.code == DEADLINE and known.taken_back > 0 and self._lives(sending.node, item.model)
        known = self.suspicions.note(item.id, sending.node, error.code, long_stay=long_stay, lives=lives)
        if known.proven:
            log.warning("%s %s is given up: %s", item.model, item.id, error.detail)
            raise RequestFailed(TOO_COSTLY, known.words(error.detail), blames_request=True, final=True)

    def _lives(self, node: str, model: str) -> bool:
        """Whether the Node answers now."""
        return self.client(node).probe(timeout_s=PROBE_S, models=(model,)).usable(model)

    def _elsewhere(self, sending: Sending, *, patience_s: float) -> Sending | None:
        """The next attempt on another Node; where none has room at the moment, within `patience_s`."""
        ends_at = self.clock() + patience_s
        while True:
            following = self._placed_elsewhere(sending)
            if following is not None or self.clock() > ends_at:
                return following
            time.sleep(TICK_S)

    def _placed_elsewhere(self, sending: Sending) -> Sending | None:
        item = sending.request.item
        again = replace(item, excluded=item.excluded | {sending.node}, attempt=sending.attempt + 1)
        request = replace(sending.request, item=again)
        self._hear()
        with self._lock:
            placed, kept = self._decide(request.policy, [again], self.clock())
            if not placed or placed[0].node is None:
                return None
            following = Sending(request, placed[0], placed[0].node, _name(), sending.attempt + 1, kept)
            return next(iter(self._credited([following])), None)

    # --- inside ----------------------------------------------------------------------------------------

    def _hear(self, within_s: float = 0.0) -> None:
        """Bring the others' requests into the state, unless that was done within the last `within_s`."""
        if self.clock() - self._heard_at >= within_s:
            news = self.ledger.hear()
            with self._lock:
                self.ledger.apply(self.state, news)
                self._heard_at = self.clock()

    def _decide(self, policy: str, items: Sequence[Item], now: float) -> tuple[list[Placed], Snapshot | None]:
        """Ask the policy; where something is to be sent and the sample has room, also note what it saw."""
        if policy not in self._policies:
            self._policies[policy] = RecordedPolicy(policy)
        placed, taken = self._policies[policy].place(items, self.state, now)
        if not any(one.sends for one in placed) or not self._recorded.allows(now, len(self.state.nodes)):
            return placed, None
        state = self.state.to_json()
        return placed, Snapshot(policy, tuple(items), state, tuple(placed), time.time(), taken)

    def _credited(self, chosen: Sequence[Sending]) -> list[Sending]:
        """Those of `chosen` for which the Node has room, noted as sent; another worker may have been faster."""
        nodes = self.state.nodes
        chosen = [one for one in chosen if nodes[one.node].may_hold(one.request.item.model, one.request.item.units)]
        granted = self.ledger.reserve(self._wanted(chosen))
        now = self.clock()
        for sending, yes in zip(chosen, granted, strict=True):
            if yes:
                item = sending.request.item
                self.state.nodes[sending.node].sent(sending.request_id, now, _bytes(sending), item.model, item.units)
                self._own.add(sending.request_id)
        return [sending for sending, yes in zip(chosen, granted, strict=True) if yes]

    def _wanted(self, chosen: Sequence[Sending]) -> list[Wanted]:
        """What to reserve. A policy that looks at no credit may still overfill a Node, one request after the other."""
        wanted, taken = list[Wanted](), dict[str, int]()
        for sending in chosen:
            item, state = sending.request.item, self.state.nodes[sending.node]
            taken[state.name] = taken.get(state.name, 0) + 1
            limit = len(state.ledger) + max(taken[state.name], state.credit(item.model))
            wanted.append(Wanted(sending.request_id, state.name, limit, item.model, _bytes(sending), item.units))
        return wanted

    def _ended(self, sending: Sending, *, code: str) -> None:
        with self._lock:
            state = self.state.nodes.get(sending.node)
            if state is not None:
                state.failed(sending.request_id, self.clock(), code)
            self._own.discard(sending.request_id)
        self.ledger.ended(Ended(sending.request_id, sending.node, code))


class Rate:
    """Says yes at a cost of at most `a_second` a second on average, and never for more than a second's worth at once;
    what costs more than that is allowed when so much has been saved up.
    """

    def __init__(self, a_second: int) -> None:
        self.a_second = a_second
        self._left, self._at = float(a_second), -math.inf

    def allows(self, now: float, cost: int = 1) -> bool:
        saved = self._left + (now - self._at) * self.a_second
        self._left, self._at = min(float(max(self.a_second, cost)), saved), now
        if self._left < cost:
            return False
        self._left -= cost
        return True


def _name() -> str:
    return uuid.uuid4().hex


def _bytes(sending: Sending) -> float:
    return sending.request.item.bytes * sending.placed.quality.bytes_factor


def _reported(answer: DetectAnswer | DescribeAnswer) -> Reported:
    if isinstance(answer, DetectAnswer):
        meta, timings = answer.meta, answer.meta.timings
        who = (meta.model, meta.version, meta.digest, meta.runtime, meta.class_names)
        return Reported(*who, timings.service_ms, timings.queue_ms, timings.batch, meta.products)
    done = answer.done
    who = (done.model, done.version, done.digest, done.runtime, ())
    return Reported(*who, done.timings.service_ms, done.timings.queue_ms, 1)


def _view(state: NodeState, now: float, own: set[str]) -> dict[str, Any]:
    projection = state.projection(now)
    busy_until = min(projection.slots_free_at, default=now)
    models = state.models or frozenset()
    return {
        "outstanding": sum(request_id in own for request_id in state.ledger),
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
