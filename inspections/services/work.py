"""The worker's loop: look at what waits, ask for places, claim, carry out, and look again.

One `Worker` a process. A Celery message, a finished job or the poll calls `drain`; whoever comes second only leaves a
note for the one who is at it. Rows are the truth: a lost message costs one poll interval, a lost worker one lease.
"""

import contextlib
import logging
import os
import random
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.db import DatabaseError, close_old_connections, connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from inspections import wake
from inspections.models import Frame, Step
from scheduling.policy import POLICIES
from scheduling.policy.types import Item
from scheduling.runtime import FleetRuntime, Request, RequestFailed, Sending

from . import jobs, steps

# How many Steps of each kind one look takes in: late descriptions must not hide the frames that wait to be decided, nor
# a backlog that is late anyway those that can still make it. Together no more than a policy looks at.
LOOK_AHEAD = {Step.Kind.DETECT: 32, Step.Kind.DESCRIBE: 16}
LATE_SHARE = 4  # one in so many places is for late Steps; all of them where nothing else waits
TICK_S = 0.01
MODELS = {Step.Kind.DETECT: "edge_detector", Step.Kind.DESCRIBE: "describer"}
CROP_BYTES = 6_000  # what a context crop weighs, near enough to predict its upload
DEFAULT_POLICY = "pct-lb"
log = logging.getLogger(__name__)


class Worker:
    """Carries out Steps with up to `threads` requests under way at a time."""

    def __init__(
        self,
        *,
        fleet: FleetRuntime,
        lease_s: float,
        threads: int = 16,
        budgets: jobs.Budgets | None = None,
        name: str = "",
    ) -> None:
        self.name = name or f"{socket.gethostname()}:{os.getpid()}"
        self.fleet = fleet
        self.lease_s = lease_s
        self.threads = threads
        self.budgets = budgets or jobs.Budgets()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="step")
        self._busy = threading.Lock()
        self._again = threading.Event()
        self._held: set[steps.Claim] = set()
        self._lock = threading.Lock()
        self._stopping = False

    # --- the loop --------------------------------------------------------------------------------------

    def drain(self) -> int:
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
            if backlog:
                wake.hold()  # we look at every tick as it is; more messages would only cost time
            else:
                wake.taken()
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
            wake.taken()
        return started

    def _round(self) -> tuple[int, int]:
        """One look at the queue: how many Steps waited, and how many of them were begun."""
        if not self._room():
            return 0, 0
        # With every node full there is no need to look: most rounds of a busy worker end here.
        kinds = [kind for kind, model in MODELS.items() if self.fleet.may_take(model)]
        if not kinds:
            return 1, 0
        with own_connection():
            waiting = _waiting_steps(kinds)
            if not waiting:
                return 0, 0
            now = timezone.now()
            requests = [_request(step, now, self.fleet.clock()) for step in waiting]
            sendings, _ = self.fleet.place(requests, limit=self._room())
            begun = self._claim(sendings) if sendings else []
        for claim, frame, sending in begun:
            self._pool.submit(self._carry_out, claim, frame, sending)
        return len(waiting), len(begun)

    def _claim(self, sendings: Sequence[Sending]) -> list[tuple[steps.Claim, Frame, Sending]]:
        by_id = {int(sending.request.item.id): sending for sending in sendings}
        try:
            with transaction.atomic():
                nodes = {step_id: sending.node for step_id, sending in by_id.items()}
                claims = steps.claim(nodes=nodes, owner=self.name, lease_s=self.lease_s)
                self.fleet.begin([by_id[claim.step_id] for claim in claims])
                related = Frame.objects.select_related("station", "line")
                frames = related.in_bulk([claim.frame_id for claim in claims])
        except BaseException:
            for sending in sendings:
                self.fleet.release(sending)
            raise
        begun = []
        for claim in claims:
            with self._lock:
                self._held.add(claim)
            begun.append((claim, frames[claim.frame_id], by_id.pop(claim.step_id)))
        for sending in by_id.values():  # another worker was faster
            self.fleet.release(sending)
        return begun

    # --- one Step --------------------------------------------------------------------------------------

    def _carry_out(self, claim: steps.Claim, frame: Frame, sending: Sending) -> None:
        job = jobs.detect if claim.kind == Step.Kind.DETECT else jobs.describe
        with own_connection():
            try:
                job(
                    claim=claim,
                    frame=frame,
                    carry_out=lambda send, timeout_s: self.fleet.carry_out(sending, send, timeout_s=timeout_s),
                    budgets=self.budgets,
                )
            except steps.LateHolder as late:
                log.warning("A late result was dropped: %s", late)
            except RequestFailed as failed:
                self._give_back(claim, failed.code, failed.detail, counts=failed.blames_request)
            except jobs.BadMedia as bad:
                self._set_aside(claim, "bad_media", str(bad))
            except DatabaseError as error:
                # PostgreSQL is away or refused: the lease runs out and the Step is taken up again.
                log.warning("Step %s was not committed: %s", claim.step_id, error)
            except Exception as error:
                log.exception("Step %s broke", claim.step_id)
                self._give_back(claim, "broken", f"{type(error).__name__}: {error}", counts=True)
            finally:
                self.fleet.release(sending)  # whatever stopped the job before it asked the Node
                with self._lock:
                    self._held.discard(claim)
                self._again.set()

    def _give_back(self, claim: steps.Claim, code: str, detail: str, *, counts: bool) -> None:
        wait = timedelta(seconds=min(5.0, 0.25 * 2 ** min(claim.attempts, 5)) * (0.5 + random.random()))
        not_before = Now() + wait
        self._settle(
            lambda: steps.give_back(claim=claim, code=code, detail=detail, not_before=not_before, counts=counts)
        )

    def _set_aside(self, claim: steps.Claim, code: str, detail: str) -> None:
        self._settle(lambda: steps.fail(claim=claim, code=code, detail=detail))

    def _settle(self, write: Callable[[], None]) -> None:
        """Write an outcome that may be lost: if it is, the lease runs out and the reaper does the same."""
        with contextlib.suppress(steps.LateHolder, DatabaseError):
            write()

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


class Waiting(NamedTuple):
    """What the policy needs to know of a Step; most that are looked at are not begun now."""

    pk: int
    kind: str
    created_at: datetime
    deadline_at: datetime
    frame_id: UUID
    frame_bytes: int
    station_id: int
    policy: str


def _waiting_steps(kinds: Sequence[Step.Kind]) -> list[Waiting]:
    """The most urgent Steps of each kind, of those that can still make it and of those that are late."""
    return [row for kind in kinds for row in _waiting_of(kind, LOOK_AHEAD[kind])]


def _waiting_of(kind: Step.Kind, limit: int) -> list[Waiting]:
    step_columns = ("pk", "kind", "created_at", "deadline_at", "frame_id")
    columns = (*step_columns, "frame__bytes", "frame__station_id", "frame__line__policy")
    waiting = Step.objects.waiting((kind,), now=Now())
    late = [Waiting(*row) for row in waiting.filter(deadline_at__lte=Now()).values_list(*columns)[:limit]]
    live = waiting.filter(deadline_at__gt=Now()).values_list(*columns)[: limit - min(len(late), limit // LATE_SHARE)]
    found = [Waiting(*row) for row in live]
    return found + late[: limit - len(found)]


def _request(step: Waiting, now: datetime, clock_now: float) -> Request:
    """The Step as the policy sees it. Its times move from the wall clock to the fleet's."""
    item = Item(
        id=str(step.pk),
        model=MODELS[Step.Kind(step.kind)],
        bytes=CROP_BYTES if step.kind == Step.Kind.DESCRIBE else step.frame_bytes,
        arrived_at=clock_now - (now - step.created_at).total_seconds(),
        deadline_at=clock_now + (step.deadline_at - now).total_seconds(),
        late_ok=True,
        scope=step.station_id,
    )
    # A policy that an upgrade took away must not hold up its line, nor the others that are placed with it.
    policy = step.policy if step.policy in POLICIES else DEFAULT_POLICY
    return Request(item=item, subject=str(step.frame_id), policy=policy)


@contextmanager
def own_connection() -> Iterator[None]:
    """A thread's database connection goes back to the pool after each piece of work."""
    close_old_connections()
    try:
        yield
    finally:
        if not connection.in_atomic_block:
            connection.close()
