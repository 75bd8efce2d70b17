"""A worker's loop as production has it, without rows: look at what waits, place, carry out in threads, look again.

It runs the production Dispatcher, ledger, prober and client. Instead of PostgreSQL a dict remembers what was accepted
and what was committed, so losing one or committing one twice is seen.
"""

import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from benchmarks.schedule.scenarios import frame_item
from benchmarks.schedule_real.scenario import Arrival, Profile, picture
from scheduling.client.answers import DetectAnswer
from scheduling.client.inference import DetectInference
from scheduling.client.triton import NodeClient
from scheduling.dispatch.dispatcher import Dispatcher
from scheduling.dispatch.ledger import Ledger
from scheduling.dispatch.prober import Prober
from scheduling.dispatch.values import Answer, Assignment, Request, RequestFailed
from scheduling.policy import NodeState
from scheduling.policy.items import DETECTOR as MODEL
from scheduling.policy.items import looked_at
from scheduling.policy.node import REISSUED

THREADS = 48
TICK_S = 0.01
BUDGET_S = 5.0  # of one attempt, as in production


@dataclass(slots=True)
class Outcome:
    """What became of one arrival; times in seconds after the start of the run. More than one commit: it was doubled."""

    arrival: Arrival
    committed_at_s: float | None = None
    commits: int = 0
    attempts: int = 0
    node: str = ""
    predicted_ms: float | None = None
    measured_ms: float | None = None


@dataclass
class Task:
    request: Request
    arrival: Arrival
    not_before: float = 0.0
    given_back: int = 0


@dataclass
class Worker:
    """Carries out one run of arrivals by one policy; `run` returns what became of each."""

    policy: str
    ledger: Ledger
    clients: dict[str, NodeClient]
    profiles: Sequence[Profile]
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    started_at: float = 0.0

    def __post_init__(self) -> None:
        self.fleet = CountingDispatcher(ledger=self.ledger, client_of=lambda name: self.clients[name])
        for profile in self.profiles:
            state = NodeState(profile.name, kind=profile.kind, models=frozenset({MODEL}))
            state.service.prior_s[MODEL] = profile.service_ms / 1000  # what a static rule is configured with
            self.fleet.state.nodes[profile.name] = state
        self._models = {profile.name: [MODEL] for profile in self.profiles}
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="step")
        self._prober = Prober(self.fleet)
        self._lock = threading.Lock()
        self._waiting: list[Task] = []
        self._held = 0
        self._again = threading.Event()
        self._over = threading.Event()
        self._rng = random.Random(1)
        self._beside = [threading.Thread(target=self._every, args=each, daemon=True) for each in self._loops()]

    def in_rotation(self, node: str) -> bool:
        return not self.fleet.given_up(node)

    def start(self) -> None:
        """Probe once, so that every link's round trip is known, then begin what runs beside the loop."""
        self.fleet.renew()
        self._prober.probe_all(self._models, wait_s=2.0)
        for thread in self._beside:
            thread.start()

    def run(self, arrivals: Sequence[Arrival], *, started_at: float, drain_s: float) -> dict[int, Outcome]:
        """Accept each arrival at its time and carry it out; at the end wait at most `drain_s` for what is left."""
        self.started_at = started_at
        feeder = threading.Thread(target=self._feed, args=(arrivals,), daemon=True)
        feeder.start()
        ends_at = started_at + arrivals[-1].at_s + drain_s
        while time.monotonic() < ends_at and (feeder.is_alive() or self._waiting or self._held):
            self._again.clear()
            backlog = self._round()
            self._again.wait(TICK_S if backlog else 0.25)
        return self.outcomes

    def close(self) -> None:
        self._over.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._prober.close()

    # --- the loop --------------------------------------------------------------------------------------

    def _feed(self, arrivals: Sequence[Arrival]) -> None:
        for arrival in arrivals:
            late_s = self.started_at + arrival.at_s - time.monotonic()
            if self._over.wait(max(0.0, late_s)):
                return
            due = self.started_at + arrival.at_s
            with self._lock:
                self.outcomes[arrival.id] = Outcome(arrival)
                self._waiting.append(Task(request_of(arrival, due, self.policy), arrival))
            self._again.set()

    def _round(self) -> bool:
        """One look at the queue; whether some still wait and could be placed soon."""
        now = time.monotonic()
        with self._lock:
            ready = [task for task in self._waiting if task.not_before <= now]
        if not ready or not self.fleet.may_take(MODEL):
            return bool(self._waiting)
        by_id = {task.request.item.id: task for task in ready}
        looked = {item.id: by_id[item.id] for item in looked_at((task.request.item for task in ready), now)}
        assignments, _ = self.fleet.place([task.request for task in looked.values()], limit=THREADS - self._held)
        begun = [(looked[assignment.request.item.id], assignment) for assignment in assignments]
        with self._lock:
            for task, _sending in begun:
                self._waiting.remove(task)
            self._held += len(begun)
        for task, assignment in begun:
            self._pool.submit(self._carry_out, task, assignment)
        return len(ready) > len(begun)

    def _carry_out(self, task: Task, assignment: Assignment) -> None:
        frame = picture(task.arrival.bytes)
        try:
            answered = self.fleet.carry_out(assignment, DetectInference(frame, min_score=0.1, timeout_s=BUDGET_S))
            self._commit(task, assignment, answered)
        except RequestFailed as failed:
            self._give_back(task, failed)
        finally:
            self.fleet.release(assignment)
            with self._lock:
                self._held -= 1
            self._again.set()

    def _commit(self, task: Task, assignment: Assignment, answered: Answer[DetectAnswer]) -> None:
        with self._lock:
            outcome = self.outcomes[task.arrival.id]
            outcome.commits += 1
            outcome.committed_at_s = time.monotonic() - self.started_at
            outcome.node, outcome.measured_ms = answered.provenance.node, answered.provenance.measured_ms
            if answered.provenance.node == assignment.node:  # the first attempt: what was predicted is about this Node
                outcome.predicted_ms = assignment.placed.predicted_ms

    def _give_back(self, task: Task, failed: RequestFailed) -> None:
        """As production: back into the queue after a pause that grows. Nothing is ever set aside here."""
        task.given_back += 1
        wait_s = 0.0 if failed.code == REISSUED else min(5.0, 0.25 * 2 ** min(task.given_back, 5))
        task.not_before = time.monotonic() + wait_s * (0.5 + self._rng.random())
        with self._lock:
            self._waiting.append(task)

    # --- beside the loop -------------------------------------------------------------------------------

    def _loops(self) -> list[tuple[float, Callable[[], object]]]:
        return [(1.0, self.fleet.renew), (0.1, lambda: self._prober.probe_due(self._models, wait_s=0.02))]

    def _every(self, pause_s: float, act: Callable[[], object]) -> None:
        while not self._over.wait(pause_s):
            act()


def request_of(arrival: Arrival, due: float, policy: str) -> Request:
    """A frame that came at `due`, as production's worker would offer it."""
    item = frame_item(str(arrival.id), arrival.bytes, arrived_at=due, within_s=arrival.deadline_s)
    return Request(item, arrival.line, policy)


class CountingDispatcher(Dispatcher):
    """Also remembers when a request was last sent to each node."""

    def _credited(self, chosen: Sequence[Assignment]) -> list[Assignment]:
        sent = super()._credited(chosen)
        self.sent_at = getattr(self, "sent_at", {}) | {one.node: time.monotonic() for one in sent}
        return sent
