"""The worker's loop: look at what waits, ask for places, claim, carry out, and look again.

One `Worker` a process. A Celery message, a Step that ended or the poll calls `run_until_idle`; whoever comes second
only leaves a note for the one who is at it. Rows are the truth: a lost message costs one poll interval, a lost worker
one lease.
"""

import logging
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

from celery import shared_task
from django.db import DatabaseError, close_old_connections, connection, transaction
from django.db.models import FloatField, Func, Q
from django.db.models.functions import Now

from aivd_web.kernel.database import is_about_data, is_away
from aivd_web.kernel.errors import Unavailable
from aivd_web.kernel.parts import part
from inspections.media import renditions
from inspections.models import Frame, Station, Step
from scheduling.client.answers import NodeAnswer
from scheduling.dispatch.values import Assignment, Request, RequestFailed
from scheduling.policy import POLICIES
from scheduling.policy.items import LATE_SHARE, Leeway, make_item
from scheduling.policy.types import Item, Placed
from scheduling.services.dispatching import FleetDispatcher

from . import steps
from .stage import Stage, Stages, WaitingStep
from .stages import STAGES
from .wake import TASK, WakeUps

TICK_S = 0.01
FURTHER_S = 0.25
JUST_LATE_S = -0.001
DEFAULT_POLICY = "pct-lb"
Begun = tuple[steps.Claim, Frame, Assignment]
A = TypeVar("A", bound=NodeAnswer)
log = logging.getLogger(__name__)


def pause_s(attempts: int) -> float:
    """How long a Step that was given back rests: longer each time, and never all of them until the same moment."""
    return min(5.0, 0.25 * 2.0 ** min(attempts, 5)) * (0.5 + random.random())


class Worker:
    """Carries out Steps with up to `threads` requests under way at a time."""

    def __init__(
        self,
        *,
        fleet: FleetDispatcher,
        lease_s: float,
        threads: int = 16,
        stages: Stages = STAGES,
        name: str = "",
        pause_s: Callable[[int], float] = pause_s,
    ) -> None:
        self.name = name or f"{socket.gethostname()}:{os.getpid()}"
        self.fleet = fleet
        self.lease_s = lease_s
        self.threads = threads
        self.stages = stages
        self.pause_s = pause_s
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="step")
        self._wake_ups = WakeUps()
        self._busy = threading.Lock()
        self._again = threading.Event()
        self._held: set[steps.Claim] = set()
        self._lock = threading.Lock()
        self._stopping = False
        self.looked_at: float | None = None  # when the queue was last looked at, on the monotonic clock
        self._further_at = 0.0

    # --- the loop --------------------------------------------------------------------------------------

    def run_until_idle(self) -> int:
        """Claim and start Steps until none can be placed and none is under way. Returns how many were started."""
        self._again.set()
        started = 0
        while not self._stopping and self._again.is_set() and self._busy.acquire(blocking=False):
            try:
                started += self._rounds()
            finally:
                self._busy.release()
        return started

    def _rounds(self) -> int:
        started, backlog = 0, False
        while not self._stopping:
            self._again.clear()
            self.looked_at = time.monotonic()
            if backlog:
                self._wake_ups.suppress()  # we look at every tick as it is; more messages would only cost time
            else:
                self._wake_ups.taken()
            waiting, begun = self._round()
            started += begun
            if not self._held and not begun:
                break
            was_backlog, backlog = backlog, waiting > begun
            if was_backlog and not backlog:
                continue  # what came while no message was wanted is found by one more look
            # Re-decided when something ends or arrives; while items wait for a place, at least every tick.
            self._again.wait(TICK_S if backlog and self._room() else 0.25)
        if backlog:
            self._wake_ups.taken()
        return started

    def _round(self) -> tuple[int, int]:
        """One look at the queue: how many Steps waited, and how many of them were begun."""
        if not self._room():
            return 0, 0
        # With every node full there is no need to look: most rounds of a busy worker end here.
        looks_further = self._looks_further()
        stages = [
            stage
            for stage in self.stages
            if (stage.may_be_skipped and looks_further) or self.fleet.may_take(stage.contract.model)
        ]
        if not stages:
            return 1, 0
        with own_connection():
            waiting = [(stage, step) for stage in stages for step in _waiting_steps(stage.kind, stage.look_ahead)]
            if not waiting:
                return 0, 0
            requests = [_request(stage, step, self.fleet.clock()) for stage, step in waiting]
            assignments, placed = self.fleet.place(requests, limit=self._room())
            begun = self._begin(assignments) if assignments else []
            self._skip([one for one in placed if one.action == "skip"])
        for claim, frame, assignment in begun:
            self._pool.submit(self._carry_out, claim, frame, assignment)
        return len(waiting), len(begun)

    def _looks_further(self) -> bool:
        """Whether it is time to look also at what may be skipped while every node is full or away."""
        due = time.monotonic() >= self._further_at
        if due:
            self._further_at = time.monotonic() + FURTHER_S
        return due

    def _skip(self, placed: Sequence[Placed]) -> None:
        """End what nobody is asked for, each by itself: one that cannot be written waits like any other."""
        for one in placed:
            try:
                steps.skip(step_id=int(one.item_id), reason=one.reason)
            except DatabaseError as trouble:
                log.warning("Step %s was not skipped: %s", one.item_id, trouble)

    def _begin(self, assignments: Sequence[Assignment]) -> list[Begun]:
        """Claim them all; where one of them cannot be begun, all but that one."""
        begun: list[Begun] = []
        try:
            begun = self._claim(assignments)
        except Exception as error:
            if is_away(error):
                raise
            begun = self._begin_each(assignments, error)
        finally:
            kept = {assignment.request_id for _, _, assignment in begun}
            for assignment in assignments:  # another worker was faster, or it cannot be begun
                if assignment.request_id not in kept:
                    self.fleet.release(assignment)
        return begun

    def _begin_each(self, assignments: Sequence[Assignment], error: Exception) -> list[Begun]:
        """One row that cannot be read, or one Dispatch that cannot be written, must not keep the others waiting."""
        if len(assignments) == 1:
            self._cannot_begin(assignments[0], error)
            return []
        begun: list[Begun] = []
        for assignment in assignments:
            try:
                begun += self._begin([assignment])
            except DatabaseError as trouble:
                log.warning("Step %s was not begun: %s", assignment.request.item.id, trouble)
                break  # what is begun is carried out; the rest is found by the next look
        return begun

    def _claim(self, assignments: Sequence[Assignment]) -> list[Begun]:
        by_id = {int(assignment.request.item.id): assignment for assignment in assignments}
        with transaction.atomic():
            nodes = {step_id: assignment.node for step_id, assignment in by_id.items()}
            claims = steps.claim(nodes=nodes, owner=self.name, lease_s=self.lease_s)
            related = Frame.objects.select_related("station", "line")
            frames = related.in_bulk([claim.frame_id for claim in claims])
            begun = self.fleet.begin([by_id[claim.step_id] for claim in claims])
        with self._lock:
            self._held.update(claims)
        return [(claim, frames[claim.frame_id], one) for claim, one in zip(claims, begun, strict=True)]

    def _cannot_begin(self, assignment: Assignment, error: Exception) -> None:
        step_id = int(assignment.request.item.id)
        for claim in steps.claim(nodes={step_id: assignment.node}, owner=self.name, lease_s=self.lease_s):
            self._broke(claim, error)

    # --- one Step --------------------------------------------------------------------------------------

    def _carry_out(self, claim: steps.Claim, frame: Frame, assignment: Assignment) -> None:
        """The Step's outcome, whatever happens."""
        with own_connection():
            try:
                self._do(self.stages[claim.kind], claim, frame, assignment)
            except steps.LateHolder as late:
                log.warning("A late result was dropped: %s", late)
            except RequestFailed as failed:
                if failed.final:
                    self._set_aside(claim, failed.code, failed.detail)
                else:
                    rest_s = failed.rest_s
                    self._give_back(claim, failed.code, failed.detail, counts=failed.blames_request, rest_s=rest_s)
            except steps.NotWanted as gone:
                reason = str(gone)
                self._settle(lambda: steps.withdraw(claim=claim, reason=reason))
            except renditions.BadMedia as bad:
                self._set_aside(claim, "bad_media", str(bad))
            except Unavailable as busy:  # the decoder is full: not the Step's fault
                self._give_back(claim, busy.code, busy.detail, counts=False)
            except Exception as error:
                self._broke(claim, error)
            finally:
                self.fleet.release(assignment)  # whatever stopped it before it asked the Node
                with self._lock:
                    self._held.discard(claim)
                self._again.set()

    def _do(self, stage: Stage[A], claim: steps.Claim, frame: Frame, assignment: Assignment) -> None:
        """From a Step to its answer: the stage builds the question, a Node answers, the stage commits that."""
        inference = stage.build_in(frame, assignment.quality)
        answer = self.fleet.carry_out(assignment, inference)
        stage.commit(claim=claim, frame=frame, answer=answer, stages=self.stages, now=Now())

    def _broke(self, claim: steps.Claim, error: Exception) -> None:
        """Tell what the next worker could do better from what nobody can."""
        if is_away(error):
            # PostgreSQL is away or busy: the lease runs out and the Step is taken up again.
            log.warning("Step %s was not committed: %s", claim.step_id, error)
        elif is_about_data(error):
            log.error("Step %s holds what cannot be stored: %s", claim.step_id, error)
            self._set_aside(claim, "bad_data", _reason(error))
        else:
            log.error("Step %s broke", claim.step_id, exc_info=error)
            self._give_back(claim, "broken", _reason(error), counts=True)

    def _give_back(
        self, claim: steps.Claim, code: str, detail: str, *, counts: bool, rest_s: float | None = None
    ) -> None:
        not_before = Now() + timedelta(seconds=self.pause_s(claim.attempts) if rest_s is None else rest_s)
        self._settle(
            lambda: steps.give_back(claim=claim, code=code, detail=detail, not_before=not_before, counts=counts)
        )

    def _set_aside(self, claim: steps.Claim, code: str, detail: str) -> None:
        self._settle(lambda: steps.fail(claim=claim, code=code, detail=detail))

    def _settle(self, write: Callable[[], None]) -> None:
        """Write an outcome that may be lost: if it is, the lease runs out and the reaper does the same."""
        try:
            write()
        except steps.LateHolder:
            pass
        except DatabaseError as error:
            log.warning("An outcome was not written: %s", error)

    # --- beside the loop -------------------------------------------------------------------------------

    def renew(self) -> None:
        """Extend the leases and credits of what is under way; call it every third of a lease."""
        with self._lock:
            held = list(self._held)
        if held:
            with own_connection():
                steps.renew(claims=held, lease_s=self.lease_s)
        self.fleet.renew()

    def stop(self, *, wait: bool = True) -> None:
        """Begin nothing new and, with `wait`, let what is under way end."""
        self._stopping = True
        self._again.set()
        self._pool.shutdown(wait=wait, cancel_futures=False)

    def _room(self) -> int:
        return self.threads - len(self._held)


@shared_task(name=TASK)  # type: ignore[untyped-decorator]
def dispatch_waiting() -> int:
    """What a wake-up starts: carry out the Steps that wait, in the process of this worker."""
    return part(Worker).run_until_idle()


class SecondsUntil(Func):
    """From now, by the database's clock, to a time, as a number: no worker's clock takes part, and a time that Python
    cannot read (of a year beyond 9999, or infinite) gives a large one.
    """

    template = (
        "greatest(-1e9, least(1e9, extract(epoch FROM %(expressions)s)::float8"
        " - extract(epoch FROM statement_timestamp())::float8))"
    )
    output_field = FloatField()


def _waiting_steps(kind: str, limit: int) -> list[WaitingStep]:
    """The most urgent Steps of a kind: of those that can still make it, and a share of those that are late."""
    frame = ("frame_id", "frame__bytes", "frame__width", "frame__height", "frame__station_id", "frame__line__policy")
    template = ("frame__station__template_sha256", "frame__station__bit_depth")
    columns = ("pk", "kind", "age_s", "left_s", *frame, *template, "regions", "frame__station__ladder", "skips")
    waiting = Step.objects.waiting((kind,), now=Now()).annotate(
        age_s=-SecondsUntil("created_at"),
        left_s=SecondsUntil("deadline_at"),
        skips=Q(frame__station__sure_regions=Station.SureRegions.SKIPPED),
    )
    late = [WaitingStep(*row) for row in waiting.filter(deadline_at__lte=Now()).values_list(*columns)[:limit]]
    live = waiting.filter(deadline_at__gt=Now()).values_list(*columns)[: limit - min(len(late), limit // LATE_SHARE)]
    found = [WaitingStep(*row) for row in live]
    return found + late[: limit - len(found)]


def _request(stage: Stage[A], step: WaitingStep, clock_now: float) -> Request:
    """The Step as the policy sees it."""
    # A policy that an upgrade took away must not hold up its line, nor the others that are placed with it.
    policy = step.policy if step.policy in POLICIES else DEFAULT_POLICY
    return Request(item=item_of(stage, step, clock_now), subject=str(step.frame_id), policy=policy)


def item_of(stage: Stage[A], step: WaitingStep, clock_now: float) -> Item:
    """What the Step asks of a Node. Its times move from the database's clock to the fleet's."""
    # What has long been late goes before others now and then; what gives way has always only just become late.
    left_s = max(step.left_s, JUST_LATE_S) if stage.gives_way else step.left_s
    return make_item(
        stage.load(step),
        id=str(step.pk),
        model=stage.contract.model,
        arrived_at=clock_now - step.age_s,
        deadline_at=clock_now + left_s,
        leeway=Leeway(ladder=step.ladder and stage.has_ladder, skip=step.skip),
        scope=step.station_id,
    )


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


@contextmanager
def own_connection() -> Iterator[None]:
    """A thread's database connection goes back to the pool after each piece of work."""
    close_old_connections()
    try:
        yield
    finally:
        if not connection.in_atomic_block:
            connection.close()
