"""What a sender says in words beside a picture: the part's id, the file's name, when it was taken. By REST or stream.

A part id decides which frames belong together, so it is refused where it cannot be read; a name is only shown, so
what cannot be printed is left out of it. A time is ISO 8601 with its offset, within what a camera can mean: devices
without a clock say year 1, 1970 or 9999. Kept, it would sort and export as true, and beyond the years 1 to 9999 (which
an offset is enough for) the database holds what Python cannot read.
"""

import unicodedata
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from inspections.models.frame import EARLIEST_CAPTURE

from .errors import IngestError

MAX_PART_ID_LENGTH = 100
MAX_NAME_LENGTH = 200
UP = {"", ".", ".."}
AHEAD = timedelta(days=1)
"""How far a device's clock may run ahead of ours."""


class BadPart(IngestError):
    code = "bad_part_id"
    hint = f"A part id is text of at most {MAX_PART_ID_LENGTH} letters, without control characters."


class BadMoment(IngestError):
    code = "bad_captured_at"
    hint = "Write it like 2026-01-31T12:00:00.123+00:00, or leave it out: the time of receipt is always kept."


def part_id(text: str) -> str:
    """One spelling for what a person reads as one id: NFC, plain blanks, none around it. Raises BadPart."""
    if not _is_unicode(text):
        raise BadPart("This part id holds half a surrogate pair; it is not text.")
    cleaned = "".join(" " if unicodedata.category(letter) == "Zs" else letter for letter in text)
    cleaned = unicodedata.normalize("NFC", cleaned).strip()
    for letter in cleaned:
        if not letter.isprintable():
            raise BadPart(f"This part id holds the character U+{ord(letter):04X}, which cannot be seen.")
    if len(cleaned) > MAX_PART_ID_LENGTH:
        raise BadPart(f"This part id has {len(cleaned):,} characters.")
    return cleaned


def file_name(text: str) -> str:
    """The name as a person sees it, with its folder; it leads nowhere, whatever it says."""
    parts = [_printable(part) for part in text.replace("\\", "/").split("/")]
    parts = [part for part in parts if part not in UP]
    if len(parts) > 1 and len(parts[0]) == 2 and parts[0][1] == ":":  # a drive
        parts = parts[1:]
    return "/".join(parts)[-MAX_NAME_LENGTH:].lstrip("/")


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
    check_moment(found)
    return found


def check_moment(captured_at: datetime | None, *, now: datetime | None = None) -> None:
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


def _printable(text: str) -> str:
    """NFC, since some systems write an umlaut as two characters; then nothing that is no character at all."""
    composed = unicodedata.normalize("NFC", text)
    return "".join(letter for letter in composed if letter.isprintable()).strip()


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
