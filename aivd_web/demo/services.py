"""Start, stop and tell of the demo line at a station."""

import secrets
from typing import Any

from django.contrib.auth.models import AnonymousUser, User
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from aivd_web.kernel.errors import Conflict, Unprocessable
from inspections.models import Station

from .models import DemoRun

MAX_BOARDS = 10_000
MAX_BOARDS_PER_S = 20


def start(*, station: Station, boards_per_s: float = 1.0, count: int = 100, by: User | AnonymousUser | None) -> DemoRun:
    """Begin to send `count` generated boards to the station's stream. Raises Conflict while one is running.

    Boards that are made up would stand among real parts on any line but the demo's: there it raises Unprocessable.
    """
    if not station.line.is_demo:
        raise Unprocessable(
            f"{station.line.name} is a real line; generated boards are sent on the demo line alone.",
            hint="Choose a station of the demo line.",
        )
    if not 0 < boards_per_s <= MAX_BOARDS_PER_S or not 0 < count <= MAX_BOARDS:
        raise Unprocessable(
            f"{boards_per_s} boards a second and {count} boards were asked for.",
            hint=f"Ask for up to {MAX_BOARDS_PER_S} boards a second and {MAX_BOARDS:,} boards.",
        )
    from .tasks import run_line

    try:
        with transaction.atomic():
            run = DemoRun.objects.create(
                station=station,
                boards_per_s=boards_per_s,
                count=count,
                seed=secrets.randbelow(2**31),
                started_by=by if isinstance(by, User) else None,
            )
    except IntegrityError:
        raise Conflict("The demo line is running at this station.", hint="Stop it first.") from None
    transaction.on_commit(lambda: run_line.apply_async((run.pk,), retry=False), robust=True)
    return run


def stop(*, station: Station, by: User | AnonymousUser | None) -> DemoRun | None:
    """End the run at the station; boards that were accepted are inspected to the end."""
    active = DemoRun.objects.filter(station=station, state__in=DemoRun.ACTIVE)
    active.update(state=DemoRun.State.CANCELLED, finished_at=Now())
    return DemoRun.objects.filter(station=station).first()


def status(*, station: Station) -> dict[str, Any]:
    run = DemoRun.objects.filter(station=station).first()
    if run is None:
        return {
            "state": "none",
            "sent": 0,
            "accepted": 0,
            "refused": 0,
            "count": 0,
            "boards_per_s": 0,
            "error": "",
        }
    return {
        "state": run.state,
        "sent": run.sent,
        "accepted": run.accepted,
        "refused": run.refused,
        "count": run.count,
        "boards_per_s": run.boards_per_s,
        "error": run.error,
    }
