"""Take in one picture or many. Each is a Frame of its own: what is wrong with one does not touch the others."""

import logging
import re
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import BinaryIO, Protocol

from aivd_web.kernel.database import is_away
from aivd_web.kernel.errors import AivdError, Unavailable
from inspections.media import archives
from inspections.media.errors import EmptyBody, IngestError, NotTakenIn
from inspections.models import Frame, Station

from . import ingest
from .ingest import Ingested

log = logging.getLogger(__name__)

MAX_KEY_LENGTH = 180
PRINTABLE = re.compile(r"[\x20-\x7e]+")


class BadKey(IngestError):
    code = "bad_idempotency_key"
    hint = f"An Idempotency-Key is 1 to {MAX_KEY_LENGTH} printable ASCII characters."


class Source(Protocol):
    """One thing that was sent: its name, and a way to its bytes that may raise IngestError."""

    @property
    def name(self) -> str: ...

    def opened(self) -> AbstractContextManager[BinaryIO]: ...


@dataclass(frozen=True)
class OpenFile:
    """Bytes that can be read right away, such as a request's body or one file of a form."""

    name: str
    file: BinaryIO

    def opened(self) -> AbstractContextManager[BinaryIO]:
        return nullcontext(self.file)


@dataclass(frozen=True)
class Origin:
    """What all pictures of one request have in common."""

    station: Station
    sender: str
    key: str = ""
    part_id: str = ""
    captured_at: datetime | None = None


@dataclass(frozen=True)
class Rejected:
    name: str
    error: AivdError

    def as_dict(self) -> dict[str, str | int]:
        return {"name": self.name, **self.error.as_dict()}


@dataclass
class Uploaded:
    frames: list[tuple[Frame, bool]] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)

    @property
    def status(self) -> int:
        """201 as soon as one was stored; else what the first one met."""
        return self.rejected[0].error.status if self.rejected and not self.frames else 201


def take_in(*, origin: Origin, data: BinaryIO | bytes, name: str = "", key: str = "") -> Ingested:
    """Store one picture. Raises AivdError and nothing else, so that one picture never ends what carries others."""
    check_key(key)
    try:
        return ingest.add_frame(
            station=origin.station,
            data=data,
            sender=origin.sender,
            name=name,
            part_id=origin.part_id,
            captured_at=origin.captured_at,
            idempotency_key=key,
        )
    except AivdError:
        raise
    except Exception as error:
        if is_away(error):
            log.warning("A picture was not stored: %s", type(error).__name__)
            raise Unavailable("The database is not reachable.", hint="Send it again.", retry_after_s=2) from None
        log.exception("A picture was not taken in, for a reason that nobody foresaw")
        raise NotTakenIn(f"This picture could not be taken in ({type(error).__name__}).") from None


def add_picture(*, origin: Origin, source: Source) -> Uploaded:
    """One picture, under the request's own Idempotency-Key."""
    check_key(origin.key)
    done = Uploaded()
    _add(done, origin, source, origin.key)
    return done


def add_pictures(*, origin: Origin, sources: Iterable[OpenFile]) -> Uploaded:
    """Many pictures and zips of pictures. Raises EmptyBody where there is none.

    The n-th file gets the key `<key>/<n>`, the m-th entry of a zip `<key>/<n>/<m>`, both from 0: a place in what was
    sent, so that a key does not depend on what became of the others.
    """
    check_key(origin.key)
    done = Uploaded()
    for place, entry in enumerate(sources):
        if archives.is_junk(entry.name):
            continue
        key = f"{origin.key}/{place}" if origin.key else ""
        _add_entry(done, origin, entry, key)
    if not (done.frames or done.rejected):
        raise EmptyBody("There is no picture in what was sent.")
    return done


def _add_entry(done: Uploaded, origin: Origin, entry: OpenFile, key: str) -> None:
    if not is_zip(entry.file):
        _add(done, origin, entry, key)
        return
    try:
        with archives.members(entry.file) as members:
            for member in members:
                _add(done, origin, member, f"{key}/{member.place}" if key else "")
    except IngestError as error:  # the zip as a whole
        done.rejected.append(Rejected(entry.name, error))


def check_key(key: str) -> None:
    if key and (len(key) > MAX_KEY_LENGTH or not PRINTABLE.fullmatch(key)):
        raise BadKey("This Idempotency-Key cannot be used.")


def is_zip(file: BinaryIO) -> bool:
    """By its first bytes: what a sender calls a file says nothing."""
    start = file.read(len(archives.SIGNATURES[0]))
    file.seek(0)
    return start in archives.SIGNATURES


def _add(done: Uploaded, origin: Origin, source: Source, key: str) -> None:
    try:
        with source.opened() as file:
            ingested = take_in(origin=origin, data=file, name=source.name, key=key)
    except AivdError as error:
        done.rejected.append(Rejected(source.name, error))
    else:
        done.frames.append((ingested.frame, ingested.created))
