"""The Step machine: waiting -> running -> done or failed. Claims carry a lease and a fencing epoch.

All times are the database's clock. Work is never held under a row lock: a claim is one short UPDATE, and a
result is committed only by the holder whose epoch still stands.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import DatabaseError, connection, transaction
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now

from aivd_web.kernel.database import Moment, database_now, is_away, is_busy
from aivd_web.kernel.errors import Conflict
from aivd_web.kernel.text import storable
from inspections.events import numbering
from inspections.models import Decision, Frame, Step

from . import decide, wake

MOST_DETAIL = 1000
HELD_AT_ONCE = 200
HOLD_LOCK_MS = 500
log = logging.getLogger(__name__)

# SKIP LOCKED: another worker may be claiming the same Steps at this moment; it gets some, we get the others.
CLAIM = """
WITH wanted(id, node) AS (SELECT * FROM unnest(%(ids)s::bigint[], %(nodes)s::text[])),
free AS (
    SELECT s.id, wanted.node FROM inspections_step s JOIN wanted ON wanted.id = s.id
    WHERE s.state = 'waiting' ORDER BY s.id FOR UPDATE OF s SKIP LOCKED
)
UPDATE inspections_step s
SET state = 'running', lease_epoch = lease_epoch + 1, attempts = attempts + 1, lease_owner = %(owner)s,
    node = free.node, lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s)
FROM free WHERE s.id = free.id
RETURNING s.id, s.frame_id, s.kind, s.lease_epoch, s.attempts
"""
RENEW = """
UPDATE inspections_step SET lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s)
WHERE state = 'running' AND (id, lease_epoch) IN (SELECT * FROM unnest(%(ids)s::bigint[], %(epochs)s::int[]))
RETURNING id
"""
# The others may go on at once. A Step that was claimed too often stays held for as long as it takes to set it aside;
# if whoever reaps dies in between, it expires once more.
REAP = """
WITH expired AS (
    SELECT id FROM inspections_step WHERE state = 'running' AND lease_until < clock_timestamp()
    ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 200
)
UPDATE inspections_step s
SET state = CASE WHEN attempts < %(most)s THEN 'waiting' ELSE 'running' END,
    lease_until = CASE WHEN attempts < %(most)s THEN NULL ELSE clock_timestamp() + interval '5 s' END,
    lease_epoch = lease_epoch + 1, lease_owner = ''
FROM expired WHERE s.id = expired.id
RETURNING s.id, s.frame_id, s.kind, s.lease_epoch, s.attempts
"""


@dataclass(frozen=True)
class Claim:
    """The right to finish one Step, until somebody with a higher epoch has it."""

    step_id: int
    frame_id: UUID
    kind: str
    epoch: int
    attempts: int


class LateHolder(Exception):
    """Somebody else holds the Step by now; this result is dropped."""


class NotWanted(Exception):
    """Nobody wants the Step any more; the text says why."""


def claim(*, nodes: Mapping[int, str], owner: str, lease_s: float) -> list[Claim]:
    """Claim the waiting Steps among `nodes` (step id -> node name); those that others took are left out."""
    return _claims(CLAIM, {"ids": list(nodes), "nodes": list(nodes.values()), "owner": owner, "lease_s": lease_s})


def renew(*, claims: Sequence[Claim], lease_s: float) -> set[int]:
    """Extend the leases; ids that are missing from the answer were lost."""
    if not claims:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            RENEW,
            {
                "ids": [claim.step_id for claim in claims],
                "epochs": [claim.epoch for claim in claims],
                "lease_s": lease_s,
            },
        )
        return {row[0] for row in cursor.fetchall()}


def finish(*, claim: Claim, result: dict[str, Any] | None = None) -> None:
    """Mark the Step done in the current transaction, or raise LateHolder.

    `result` is what a stage found that has no rows of its own.
    """
    _settle(claim, state=Step.State.DONE, finished_at=Now(), error_code="", error_detail="", result=result)


@transaction.atomic
def skip(*, step_id: int, reason: str) -> bool:
    """End a waiting Step for which no Node is asked: the edge is sure. False where another worker was faster."""
    mine = Step.objects.filter(pk=step_id, state=Step.State.WAITING)
    if not mine.update(state=Step.State.SKIPPED, finished_at=Now(), error_detail=storable(reason, most=MOST_DETAIL)):
        return False
    step = Step.objects.select_related("frame").only("kind", "regions", "frame__line_id").get(pk=step_id)
    changes = [numbering.Change("frame.skipped", step.frame_id, {"step": step.kind, "regions": step.regions})]
    if _complete(step.frame_id, Now()):
        changes.append(numbering.Change("frame.complete", step.frame_id))
    numbering.record_all(line_id=step.frame.line_id, changes=changes)
    return True


def give_back(*, claim: Claim, code: str, detail: str, not_before: Moment, counts: bool) -> None:
    """Put the Step back into the queue. `counts` is false where the Step itself was not to blame.

    `not_before` is a time or, on the database's clock, an expression such as `Now() + timedelta(...)`.
    """
    attempts = claim.attempts if counts else claim.attempts - 1
    if attempts >= Step.MAX_ATTEMPTS:
        fail(claim=claim, code=code, detail=detail)
        return
    _settle(
        claim,
        state=Step.State.WAITING,
        attempts=attempts,
        not_before=not_before,
        error_code=code,
        error_detail=storable(detail, most=MOST_DETAIL),
    )


def withdraw(*, claim: Claim, reason: str) -> None:
    """End a Step that nobody wants any more, without a word to anybody."""
    _settle(claim, state=Step.State.SKIPPED, finished_at=Now(), error_detail=storable(reason, most=MOST_DETAIL))


@transaction.atomic
def fail(*, claim: Claim, code: str, detail: str) -> None:
    """Set the Step aside as a dead letter; a Frame that could not be inspected is held, one beside whose way the Step
    was is not.

    Of the Frame only its line is read: what is wrong with it may be that a row cannot be read.
    """
    detail = storable(detail, most=MOST_DETAIL)
    _settle(claim, state=Step.State.FAILED, finished_at=Now(), error_code=code, error_detail=detail)
    if Step.objects.filter(pk=claim.step_id, beside=True).exists():
        return
    frames = Frame.objects.select_for_update(no_key=True).filter(pk=claim.frame_id)
    line_id = frames.values_list("line_id", flat=True).get()
    changes = [numbering.Change("frame.failed", claim.frame_id, {"step": claim.kind, "code": code})]
    decision = decide.could_not_inspect(detail)
    if decide.write_for(frame_id=claim.frame_id, decision=decision, now=Now()):  # unless an earlier stage decided
        changes.append(decide.change(claim.frame_id, decision))
    if _complete(claim.frame_id, Now()):
        changes.append(numbering.Change("frame.complete", claim.frame_id))
    numbering.record_all(line_id=line_id, changes=changes)


def reap() -> int:
    """Take Steps back from holders that stopped renewing; any number of processes may do so at once.

    Each Frame that is set aside gets a transaction of its own: events lock their Line, and nothing may be locked
    after that. What one of them meets does not touch the others: its lease runs out once more.
    """
    back = _claims(REAP, {"most": Step.MAX_ATTEMPTS})
    for lost in back:
        if lost.attempts >= Step.MAX_ATTEMPTS:
            try:
                fail(claim=lost, code="holder_lost", detail="Every worker that took this step went away.")
            except LateHolder:
                pass
            except DatabaseError as error:
                log.warning("Step %s could not be set aside now: %s", lost.step_id, error)
    if back:
        wake.workers()
    return len(back)


def hold_overdue(*, now: Moment | None = None) -> int:
    """The line needs an answer at its deadline: where there is none, the answer is `hold`. Returns how many were held.

    `now` is the database's clock unless a test says otherwise. Each Line has a transaction of its own, so that one
    whose events are locked by somebody does not keep the others waiting; and no Frame is loaded, so that none that
    cannot be read keeps its neighbours waiting.
    """
    overdue = Frame.objects.overdue(Now() if now is None else now)
    held = 0
    for line_id in overdue.order_by("line_id").values_list("line_id", flat=True).distinct():
        frame_ids = overdue.filter(line=line_id).order_by("deadline_at").values_list("pk", flat=True)
        held += _hold_of_line(line_id, list(frame_ids[:HELD_AT_ONCE]), now)
    return held


def _hold_of_line(line_id: int, frame_ids: Sequence[UUID], now: Moment | None) -> int:
    """All of a Line at once; where that fails because of one, each by itself."""
    try:
        return _hold(line_id, frame_ids, now)
    except DatabaseError as error:
        if is_away(error) and not is_busy(error):
            raise
        log.warning("Line %s: overdue frames could not be held: %s", line_id, error)
        if is_busy(error) or len(frame_ids) == 1:
            return 0  # whoever is in the way is ended soon; the next look is a moment away
    return sum(_hold_of_line(line_id, [frame_id], now) for frame_id in frame_ids)


@transaction.atomic
def _hold(line_id: int, frame_ids: Sequence[UUID], now: Moment | None) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = {HOLD_LOCK_MS}")
    # no_key: rows that point at a Frame are checked at COMMIT, after their events; they must not wait for us then.
    undecided = Frame.objects.filter(pk__in=frame_ids, decided_at__isnull=True).order_by("pk")
    locked = undecided.select_for_update(of=("self",), skip_locked=True, no_key=True)
    changes = []
    for frame_id, deadline_ms in locked.values_list("pk", "station__deadline_ms"):
        decision = decide.too_late(deadline_ms)
        if decide.write_for(frame_id=frame_id, decision=decision, now=Now() if now is None else now):
            changes.append(decide.change(frame_id, decision))
    if changes:
        numbering.record_all(line_id=line_id, changes=changes)
    return len(changes)


@transaction.atomic
def retry(*, frame: Frame, by: object) -> Frame:
    """Put the Frame's failed Steps back into the queue; a Decision that said `failed` is withdrawn.

    A Frame without a Decision gets a new deadline: its first one may be long over.
    """
    deadline_at = database_now() + timedelta(milliseconds=frame.station.deadline_ms)
    failed = Step.objects.filter(frame=frame, state=Step.State.FAILED, beside=False)
    count = failed.update(
        state=Step.State.WAITING, attempts=0, not_before=None, finished_at=None, deadline_at=deadline_at
    )
    if not count:
        raise Conflict("No step of this frame has failed.", hint="Only failed steps can be tried again.")
    withdrawn, _ = Decision.objects.filter(frame=frame, code=Decision.Code.FAILED).delete()
    undecided = {"decided_at": None, "deadline_at": deadline_at} if withdrawn else {}
    Frame.objects.filter(pk=frame.pk).update(completed_at=None, **undecided)
    transaction.on_commit(wake.workers, robust=True)
    numbering.record(line_id=frame.line_id, type="frame.retried", frame_id=frame.pk, data={"by": str(by)})
    frame.refresh_from_db()
    return frame


def complete_if_no_step_open(*, frame: Frame, now: Moment) -> bool:
    """Set `completed_at` in the current transaction once nothing is left to do; say whether it was set."""
    return _complete(frame.pk, now)


def _complete(frame_id: UUID, now: Moment) -> bool:
    open_steps = Step.objects.open().filter(frame=OuterRef("pk"), beside=False)
    unfinished = Frame.objects.filter(pk=frame_id, completed_at__isnull=True)
    return bool(unfinished.filter(~Exists(open_steps)).update(completed_at=now))


def _settle(claim: Claim, **changes: object) -> None:
    """The fenced write: it touches nothing once the lease has gone to another epoch."""
    mine = Step.objects.filter(pk=claim.step_id, state=Step.State.RUNNING, lease_epoch=claim.epoch)
    if not mine.update(lease_until=None, lease_owner="", **changes):
        raise LateHolder(f"step {claim.step_id} is no longer held under epoch {claim.epoch}")


def _claims(sql: str, parameters: dict[str, Any]) -> list[Claim]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return [Claim(*row) for row in cursor.fetchall()]
