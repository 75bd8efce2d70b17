"""When a picture was taken, as its sender says: an ISO 8601 time with its offset, within what a camera can mean.

Devices without a clock say year 1, 1970 or 9999. Such a time is refused: kept, it would sort and export as true, and
beyond the years 1 to 9999 (which an offset is enough for) the database holds what Python cannot read.
"""

from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from inspections.media.errors import IngestError
from inspections.models.frame import EARLIEST_CAPTURE

AHEAD = timedelta(days=1)
"""How far a device's clock may run ahead of ours."""


class BadMoment(IngestError):
    code = "bad_captured_at"
    hint = "Write it like 2026-01-31T12:00:00.123+00:00, or leave it out: the time of receipt is always kept."


def moment(text: str) -> datetime | None:
    """An ISO 8601 time with its offset, or None for nothing. Raises BadMoment."""
    if not text:
        return None
    try:
        found = parse_datetime(text) if text.isprintable() else None  # it passes over a NUL at the end
    except ValueError:
        found = None
    if found is None or found.utcoffset() is None:
        shown = "".join(letter if letter.isprintable() else "?" for letter in text[:40])
        raise BadMoment(f"'{shown}' is not a time with an offset.")
    check(found)
    return found


def check(captured_at: datetime | None, *, now: datetime | None = None) -> None:
    """Raise BadMoment for a time that no camera can have taken a picture at."""
    if captured_at is None:
        return
    if captured_at.utcoffset() is None:
        raise BadMoment("The time has no offset.")
    # Aware times compare also where their UTC would lie outside the years 1 to 9999.
    if not EARLIEST_CAPTURE <= captured_at <= (now or timezone.now()) + AHEAD:
        raise BadMoment(
            f"{captured_at.isoformat()} is not between {EARLIEST_CAPTURE:%Y} and a day from now.",
            hint="Set the camera's clock, or leave the time out: the time of receipt is always kept.",
        )
