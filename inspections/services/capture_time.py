"""When a picture was taken, as its sender states it. The one place where such a time is read and bounded."""

from datetime import UTC, datetime, timedelta

from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_naive

from .errors import IngestError

EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
AHEAD = timedelta(days=1)  # a camera's clock may run ahead, but not into next week


class BadMoment(IngestError):
    code = "bad_captured_at"
    hint = "Write it like 2026-01-31T12:00:00.123+00:00; it lies between 1990 and tomorrow."


def captured_at(text: str) -> datetime:
    """The ISO 8601 time with its offset that `text` states, in UTC. Raises BadMoment.

    The bounds are those of a camera with a clock: what lies outside cannot be sorted by, and some of it the database
    would store and Python could not read.
    """
    try:
        found = parse_datetime(text) if text.isprintable() else None  # a NUL at its end would be passed over
    except ValueError:
        found = None
    if found is None or is_naive(found):
        raise BadMoment(f"'{_shown(text)}' is not a time with an offset.")
    moment = _in_utc(found)
    if moment is None or not EARLIEST <= moment <= timezone.now() + AHEAD:
        raise BadMoment(f"'{_shown(text)}' is no time at which a picture can have been taken.")
    return moment


def _in_utc(moment: datetime) -> datetime | None:
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # a year before the first or after the last
        return None


def _shown(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text[:40])
