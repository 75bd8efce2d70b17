"""Run a recorded stretch through another policy in the background, for a person who watches and may stop it.

The row is the truth. A run is short (a few thousand looks at most, two minutes at most), so one whose worker went away
is not taken up again: it has failed, and says so.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from celery import current_app
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from aivd_web.kernel.database import database_now
from aivd_web.kernel.errors import Conflict, NotFound, Unprocessable
from scheduling.models import RecordedDecision, ReplayRun
from scheduling.policy import POLICIES
from scheduling.replay.comparison import PolicyComparison
from scheduling.services import decisions
from scheduling.services.scopes import Scopes, holds, holds_all

TASK = "scheduling.replay"
BEAT_S = 0.3
SILENT_S = 15
LIMIT_S = 120.0
MOST_MINUTES = 24 * 60
UNREADABLE = (ValueError, KeyError, TypeError)


def start(*, policy: str, minutes: float, by: str, scopes: Scopes) -> ReplayRun:
    """Begin to decide the last `minutes` again by `policy`, and tell of the requests within `scopes`.

    Raises Unprocessable where there is no such policy or nothing was recorded, Conflict while another run of this
    person is under way.
    """
    if policy not in POLICIES:
        raise Unprocessable(
            f"There is no policy '{policy[:40]}'.", hint=f"Choose one of {', '.join(sorted(POLICIES))}."
        )
    until = database_now()
    since = until - timedelta(minutes=minutes)
    total = _recorded(since, until).count()
    if not total:
        raise Unprocessable(
            f"No decision was recorded in the last {minutes:g} minutes.",
            hint="Choose a longer stretch, or send frames from Live.",
        )
    fail_silent_ones()
    try:
        with transaction.atomic():
            run = ReplayRun.objects.create(
                policy=policy, since=since, until=until, total=total, by=by, scopes=_as_json(scopes)
            )
    except IntegrityError:
        raise Conflict("A replay of yours is under way.", hint="Wait for it, or cancel it first.") from None
    transaction.on_commit(lambda: _send(run.pk), robust=True)
    return run


def cancel(*, run: ReplayRun) -> ReplayRun:
    """Stop it; one that has ended stays as it ended."""
    ReplayRun.objects.filter(pk=run.pk, state__in=ReplayRun.ACTIVE).update(
        state=ReplayRun.State.CANCELLED, finished_at=Now()
    )
    run.refresh_from_db()
    return run


def theirs(*, by: str, scopes: Scopes, limit: int) -> list[ReplayRun]:
    """The person's last runs, newest first, but for those that tell of what they may not see any more."""
    fail_silent_ones()
    runs = ReplayRun.objects.filter(by=by)[: 10 * limit]
    return [run for run in runs if holds_all(scopes, _scopes_of(run))][:limit]


def get(*, pk: int, by: str, scopes: Scopes) -> ReplayRun:
    """The person's own run, while they may see whatever it tells of. Raises NotFound."""
    fail_silent_ones()
    run = ReplayRun.objects.filter(pk=pk, by=by).first()
    if run is None or not holds_all(scopes, _scopes_of(run)):
        raise NotFound("There is no such replay of yours.")
    return run


def fail_silent_ones() -> None:
    """End the runs that nobody works on any more: their worker died, or their message was lost."""
    before = database_now() - timedelta(seconds=SILENT_S)
    silent = Q(beat_at__lt=before) | Q(beat_at__isnull=True, created_at__lt=before)
    ReplayRun.objects.filter(silent, state__in=ReplayRun.ACTIVE).update(
        state=ReplayRun.State.FAILED,
        finished_at=Now(),
        error="The worker that ran it went away. Start it again.",
    )


def run(run_id: int, *, clock: Callable[[], float] = time.monotonic) -> str:
    """Claim the run and carry it out; a second call finds it claimed and leaves it alone."""
    mine = ReplayRun.objects.filter(pk=run_id, state=ReplayRun.State.QUEUED)
    if not mine.update(state=ReplayRun.State.RUNNING, beat_at=Now()):
        return "claimed by another, or ended"
    row = ReplayRun.objects.get(pk=run_id)
    try:
        result = _compare(row, clock)
    except Exception as error:
        _end(row, ReplayRun.State.FAILED, error=f"{type(error).__name__}: {error}"[:500])
        raise
    if result is None:
        return "cancelled"
    _end(row, ReplayRun.State.SUCCEEDED, result=result)
    return "succeeded"


def _compare(row: ReplayRun, clock: Callable[[], float]) -> dict[str, object] | None:
    """The comparison of the whole stretch; None once somebody has cancelled it."""
    comparison = PolicyComparison(row.policy, tells_of=partial(holds, _scopes_of(row)))
    unreadable = done = 0
    began = told = clock()
    for record in _recorded(row.since, row.until).order_by("id").iterator(chunk_size=50):
        if clock() - began > LIMIT_S:
            break
        try:
            comparison.add(decisions.load(record))
        except UNREADABLE:
            unreadable += 1
        done += 1
        if clock() - told >= BEAT_S:
            told = clock()
            if not _beat(row, done):
                return None
    if not _beat(row, done):
        return None
    return {**comparison.result(), "unreadable": unreadable, "left_out": max(0, row.total - done)}


def _as_json(scopes: Scopes) -> list[int] | None:
    return None if scopes is None else sorted(scopes)


def _scopes_of(run: ReplayRun) -> Scopes:
    return None if run.scopes is None else frozenset(run.scopes)


def _recorded(since: datetime, until: datetime) -> "QuerySet[RecordedDecision]":
    return RecordedDecision.objects.filter(at__gte=since, at__lt=until)


def _beat(row: ReplayRun, done: int) -> bool:
    """Note how far it is; false once it is no longer wanted."""
    mine = ReplayRun.objects.filter(pk=row.pk, state=ReplayRun.State.RUNNING)
    return bool(mine.update(done=done, beat_at=Now()))


def _end(row: ReplayRun, state: str, **more: object) -> None:
    mine = ReplayRun.objects.filter(pk=row.pk, state=ReplayRun.State.RUNNING)
    mine.update(state=state, finished_at=Now(), **more)


def _send(run_id: int) -> None:
    current_app.send_task(TASK, (run_id,), retry=False)
