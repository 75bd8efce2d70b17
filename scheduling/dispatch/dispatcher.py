"""One process' view of the fleet: place requests, take credits, carry them out with failover, learn from answers.

Between the pure policy and the Nodes. What an inference is about is the caller's business. Knows no database: attempts
are noted in the journal that it is given, which in production keeps rows and in a benchmark nothing.
"""

import logging
import math
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from scheduling.client.answers import CANCELLED, DEADLINE, OVERLOADED, UNAVAILABLE, NodeAnswer, NodeError
from scheduling.client.inference import Inference, version_of
from scheduling.client.triton import NodeClient
from scheduling.dispatch.journal import DispatchJournal, NoJournal
from scheduling.dispatch.ledger import Completion, CreditRequest, Ledger
from scheduling.dispatch.suspicion import Suspicions
from scheduling.dispatch.values import Answer, Assignment, Request, RequestFailed
from scheduling.dispatch.versions import REST_S, Artifacts, NoArtifacts, VersionBringer
from scheduling.policy.fleet import FleetState
from scheduling.policy.front_door import Curve, answer_curve
from scheduling.policy.items import Load
from scheduling.policy.node import REISSUED, SUSPECT, NodeState
from scheduling.policy.types import Item, Placed
from scheduling.replay.records import DecisionSnapshot, RecordedPolicy
from scheduling.serving.contracts import HELD_UP, TOO_COSTLY, VERSION_MISSING, VERSION_REFUSED

MAX_ATTEMPTS = 3
NODES_RECORDED_A_SECOND = 30  # states of Nodes that are recorded: 5 decisions over 6 Nodes, 1 over many
TICK_S = 0.01
TYPICAL = Load(100_000)  # until a request was seen
REISSUE_PATIENCE_S = 0.25
HEARD_WITHIN_S = 0.005  # how old the last update may be when it is only asked whether there is room
PROBE_S = 1.0
OUTAGES = frozenset({UNAVAILABLE, DEADLINE, OVERLOADED, CANCELLED, HELD_UP, REISSUED, VERSION_MISSING, VERSION_REFUSED})
"""Codes that tell of the Node and what it has, not of the request."""
A = TypeVar("A", bound=NodeAnswer)
log = logging.getLogger(__name__)


class Dispatcher:
    """One a process; safe to call from its threads."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        client_of: Callable[[str], NodeClient],
        journal: DispatchJournal | None = None,
        artifacts: Artifacts | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.ledger = ledger
        self.journal = journal or NoJournal()
        self.clock = clock
        self.client = client_of
        self.state = FleetState()
        self.suspicions = Suspicions()
        self.versions = VersionBringer(artifacts or NoArtifacts(), clock=clock)
        self.suspects: set[str] = set()  # Nodes that just failed: worth a probe before the next beat
        self._lock = threading.RLock()
        self._own: set[str] = set()
        self._policies: dict[str, RecordedPolicy] = {}
        self._recorded = RateLimiter(NODES_RECORDED_A_SECOND)
        self._heard_at = -1.0
        self._typical: dict[str, Load] = {}  # the last request of each model: the next one is like it

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
        """A test inference ended well or badly."""
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

    def answer_curve(self, model: str) -> Curve:
        """When one more request of `model` would be answered behind so many others, for the door of the plant."""
        with self._lock:
            return answer_curve(self.state, self.clock(), model=model, load=self._typical.get(model, TYPICAL))

    def view(self) -> dict[str, dict[str, Any]]:
        """Load, link and breaker of each Node as this process sees them; `outstanding` counts its own requests."""
        with self._lock:
            now = self.clock()
            return {name: _view(state, now, self._own) for name, state in self.state.nodes.items()}

    # --- placing ---------------------------------------------------------------------------------------

    def place(self, requests: Sequence[Request], *, limit: int) -> tuple[list[Assignment], list[Placed]]:
        """Ask each line's policy; return at most `limit` requests with a credited Node, and all decisions."""
        assignments: list[Assignment] = []
        said: list[Placed] = []
        self._hear()
        with self._lock:
            self._typical |= {one.item.model: Load(one.item.bytes, one.item.units) for one in requests}
            for policy, group in _by_policy(requests).items():
                placed, kept = self._decide(policy, [request.item for request in group], self.clock())
                said += placed
                by_id = {request.item.id: request for request in group}
                chosen = [one for one in placed if one.sends][: limit - len(assignments)]
                named = [Assignment(by_id[one.item_id], one, str(one.node), _name(), 1, kept) for one in chosen]
                assignments += self._credited(named)
        return assignments, said

    def begin(self, assignments: Sequence[Assignment]) -> list[Assignment]:
        """Note in the journal that these are about to be sent, in the caller's transaction."""
        ids = self.journal.begin(assignments)
        return [replace(one, dispatch_id=pk) for one, pk in zip(assignments, ids, strict=True)]

    def release(self, assignment: Assignment) -> None:
        """Give the credit back if the request was never sent; one that was answered or has failed changes nothing."""
        with self._lock:
            state = self.state.nodes.get(assignment.node)
            if state is None or assignment.request_id in state.ledger:
                self._ended(assignment, code="cancelled")

    def renew(self) -> None:
        """Keep the credits of what is under way; call it every second or so."""
        if self.ledger.answers():
            with self._lock:
                self.ledger.renew(self.state)

    # --- carrying out ----------------------------------------------------------------------------------

    def carry_out(self, assignment: Assignment, inference: Inference[A]) -> Answer[A]:
        """Ask the Node and, where that fails for the Node's sake, others: 3 attempts at most. Raises RequestFailed."""
        while True:
            started = self.clock()
            try:
                content = self._asked(assignment, inference)
            except NodeError as error:
                measured_ms = 1000 * (self.clock() - started)
                assignment = self._after_failure(assignment, error, measured_ms, version_of(inference))
            except BaseException:
                self._ended(assignment, code="cancelled")
                raise
            else:
                return self._answered(assignment, content, 1000 * (self.clock() - started))

    def _asked(self, assignment: Assignment, inference: Inference[A]) -> A:
        """One attempt. The policy may take it back before its time is over; raises NodeError."""
        budget_s = inference.timeout_s
        client, reissue_s = self.client(assignment.node), assignment.placed.reissue_s or budget_s
        if self.suspicions.of(assignment.request.item.id).alone:
            client, reissue_s = client.alone(), budget_s
        try:
            return inference.ask(client, timeout_s=min(budget_s, reissue_s))
        except NodeError as error:
            if error.code == DEADLINE and reissue_s < budget_s:
                detail = f"Taken back after {1000 * reissue_s:.0f} ms."
                raise NodeError(REISSUED, detail, node=assignment.node) from error
            raise

    def _answered(self, assignment: Assignment, content: A, measured_ms: float) -> Answer[A]:
        report = content.report
        took = (report.service_ms, report.queue_ms, report.batch)
        self.suspicions.forget(assignment.request.item.id)
        with self._lock:
            state = self.state.nodes.get(assignment.node)
            if state is not None:
                state.answered(assignment.request_id, self.clock(), *took)
            self._own.discard(assignment.request_id)
        self.ledger.ended(Completion(assignment.request_id, assignment.node, "", *took))
        return Answer(content, self.journal.answered(assignment, report, measured_ms))

    def _after_failure(self, assignment: Assignment, error: NodeError, measured_ms: float, version: str) -> Assignment:
        """Book the failed attempt and return the next one, or raise RequestFailed."""
        self._ended(assignment, code=self._to_whose_account(assignment, error.code, measured_ms))
        if error.code in (UNAVAILABLE, DEADLINE, REISSUED):
            self.suspects.add(assignment.node)
        self.journal.failed(assignment, error, measured_ms)
        self._refuse_what_is_proven(assignment, error)
        model = assignment.request.item.model
        log.warning("%s on %s failed (%s): %s", model, assignment.node, error.code, error.detail)
        if not error.retryable:
            raise RequestFailed(error.code, error.detail, blames_request=True)
        rest_s = REST_S if error.code == VERSION_REFUSED else None
        if assignment.attempt >= MAX_ATTEMPTS:
            blames = error.code not in OUTAGES
            raise RequestFailed(error.code, error.detail, blames_request=blames, rest_s=rest_s)
        following = self._next(assignment, error, version)
        if following is None:
            raise RequestFailed(error.code, error.detail, blames_request=False, rest_s=rest_s)
        try:
            return self.begin([following])[0]
        except BaseException:
            self.release(following)
            raise

    def _next(self, assignment: Assignment, error: NodeError, version: str) -> Assignment | None:
        """The next attempt: elsewhere, or on the same Node where all that it lacked was the version."""
        if error.code != VERSION_MISSING:
            return self._elsewhere(assignment, patience_s=REISSUE_PATIENCE_S if error.code == REISSUED else 0.0)
        try:
            self.versions.bring(self.client(assignment.node), version)
        except NodeError as trouble:
            log.warning("Version %s was not taken by %s: %s", version[:12], assignment.node, trouble.detail)
            following = self._elsewhere(assignment, patience_s=0.0)
            if following is None:
                rest_s = REST_S if trouble.code == VERSION_REFUSED else None
                raise RequestFailed(trouble.code, trouble.detail, blames_request=False, rest_s=rest_s) from trouble
            return following
        return self._elsewhere(assignment, patience_s=REISSUE_PATIENCE_S, same_node=True)

    def _to_whose_account(self, assignment: Assignment, code: str, measured_ms: float) -> str:
        """A deadline of a request that is in trouble already says nothing of a Node that answered others meanwhile."""
        with self._lock:
            state = self.state.nodes.get(assignment.node)
            answered = state is not None and self.clock() - state.last_answer_at < measured_ms / 1000
        suspect = self.suspicions.of(assignment.request.item.id).alone
        return SUSPECT if code == DEADLINE and suspect and answered else code

    def _refuse_what_is_proven(self, assignment: Assignment, error: NodeError) -> None:
        """Raise RequestFailed for good where the request, and not a Node, is to blame for that nobody answers it."""
        item = assignment.request.item
        long_stay = error.code in (DEADLINE, REISSUED)
        if not long_stay and error.code not in (TOO_COSTLY, HELD_UP):
            return
        # The first deadline is not looked into: the next Node is to be asked without a delay.
        known = self.suspicions.of(item.id)
        lives = error.code == DEADLINE and known.taken_back > 0 and self._lives(assignment.node, item.model)
        known = self.suspicions.note(item.id, assignment.node, error.code, long_stay=long_stay, lives=lives)
        if known.proven:
            log.warning("%s %s is given up: %s", item.model, item.id, error.detail)
            raise RequestFailed(TOO_COSTLY, known.words(error.detail), blames_request=True, final=True)

    def _lives(self, node: str, model: str) -> bool:
        """Whether the Node answers now."""
        return self.client(node).probe(timeout_s=PROBE_S, models=(model,)).usable(model)

    def _elsewhere(self, assignment: Assignment, *, patience_s: float, same_node: bool = False) -> Assignment | None:
        """The next attempt on another Node; where none has room at the moment, within `patience_s`."""
        ends_at = self.clock() + patience_s
        excluded = assignment.request.item.excluded
        if not same_node:
            excluded |= {assignment.node}
        while True:
            following = self._placed_elsewhere(assignment, excluded)
            if following is not None or self.clock() > ends_at:
                return following
            time.sleep(TICK_S)

    def _placed_elsewhere(self, assignment: Assignment, excluded: frozenset[str]) -> Assignment | None:
        item = assignment.request.item
        # What was encoded for the first attempt is what the next one sends.
        again = replace(
            item,
            bytes=int(assignment.bytes),
            qualities=(),  # and so of one quality alone
            excluded=excluded,
            attempt=assignment.attempt + 1,
        )
        request = replace(assignment.request, item=again)
        self._hear()
        with self._lock:
            placed, kept = self._decide(request.policy, [again], self.clock())
            if not placed or placed[0].node is None:
                return None
            following = Assignment(
                request, placed[0], placed[0].node, _name(), assignment.attempt + 1, kept, lowered=assignment.quality
            )
            return next(iter(self._credited([following])), None)

    # --- inside ----------------------------------------------------------------------------------------

    def _hear(self, within_s: float = 0.0) -> None:
        """Bring the others' requests into the state, unless that was done within the last `within_s`."""
        if self.clock() - self._heard_at >= within_s:
            update = self.ledger.hear()
            with self._lock:
                self.ledger.apply(self.state, update)
                self._heard_at = self.clock()

    def _decide(self, policy: str, items: Sequence[Item], now: float) -> tuple[list[Placed], DecisionSnapshot | None]:
        """Ask the policy; where something is to be sent and the sample has room, also note what it saw."""
        if policy not in self._policies:
            self._policies[policy] = RecordedPolicy(policy)
        placed, before = self._policies[policy].place(items, self.state, now)
        if not any(one.sends for one in placed) or not self._recorded.allows(now, len(self.state.nodes)):
            return placed, None
        state = self.state.to_json()
        return placed, DecisionSnapshot(policy, tuple(items), state, tuple(placed), time.time(), before)

    def _credited(self, chosen: Sequence[Assignment]) -> list[Assignment]:
        """Those of `chosen` for which the Node has room, noted as sent; another worker may have been faster."""
        nodes = self.state.nodes
        chosen = [one for one in chosen if nodes[one.node].may_hold(one.request.item.model, one.request.item.units)]
        granted = self.ledger.reserve(self._wanted(chosen))
        now = self.clock()
        for assignment, yes in zip(chosen, granted, strict=True):
            if yes:
                item = assignment.request.item
                self.state.nodes[assignment.node].sent(
                    assignment.request_id, now, assignment.bytes, item.model, item.units
                )
                self._own.add(assignment.request_id)
        return [assignment for assignment, yes in zip(chosen, granted, strict=True) if yes]

    def _wanted(self, chosen: Sequence[Assignment]) -> list[CreditRequest]:
        """What to reserve. A policy that looks at no credit may still overfill a Node, one request after the other."""
        wanted, taken = list[CreditRequest](), dict[str, int]()
        for assignment in chosen:
            item, state = assignment.request.item, self.state.nodes[assignment.node]
            taken[state.name] = taken.get(state.name, 0) + 1
            limit = len(state.ledger) + max(taken[state.name], state.credit(item.model))
            wanted.append(
                CreditRequest(assignment.request_id, state.name, limit, item.model, assignment.bytes, item.units)
            )
        return wanted

    def _ended(self, assignment: Assignment, *, code: str) -> None:
        with self._lock:
            state = self.state.nodes.get(assignment.node)
            if state is not None:
                state.failed(assignment.request_id, self.clock(), code)
            self._own.discard(assignment.request_id)
        self.ledger.ended(Completion(assignment.request_id, assignment.node, code))


class RateLimiter:
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
        "counts": dict(state.counts),
    }


def _by_policy(requests: Sequence[Request]) -> Mapping[str, list[Request]]:
    groups: dict[str, list[Request]] = {}
    for request in requests:
        groups.setdefault(request.policy, []).append(request)
    return groups
