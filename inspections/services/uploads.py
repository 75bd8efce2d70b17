"""Take in one picture or many. Each is a Frame of its own: what is wrong with one does not touch the others."""

import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import BinaryIO, Protocol

from aivd_web.kernel.errors import AivdError
from inspections.models import Frame, Station

from . import archives, ingest
from .errors import IngestError

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


def add_picture(*, origin: Origin, source: Source) -> Uploaded:
    """One picture, under the request's own Idempotency-Key."""
    check_key(origin.key)
    done = Uploaded()
    _add(done, origin, source, origin.key)
    return done


def add_pictures(*, origin: Origin, sources: Iterable[OpenFile]) -> Uploaded:
    """Many pictures and zips of pictures; the n-th picture gets the key `<key>/<n>`, n from 0."""
    check_key(origin.key)
    done = Uploaded()
    index = 0
    for entry in sources:
        try:
            for source in _unpacked(entry):
                _add(done, origin, source, f"{origin.key}/{index}" if origin.key else "")
                index += 1
        except IngestError as error:  # the zip as a whole
            done.rejected.append(Rejected(entry.name, error))
    return done


def check_key(key: str) -> None:
    if key and (len(key) > MAX_KEY_LENGTH or not PRINTABLE.fullmatch(key)):
        raise BadKey("This Idempotency-Key cannot be used.")


def is_zip(file: BinaryIO) -> bool:
    """By its first bytes: what a sender calls a file says nothing."""
    start = file.read(4)
    file.seek(0)
    return start in (b"PK\x03\x04", b"PK\x05\x06")


def _unpacked(entry: OpenFile) -> Iterator[Source]:
    if not is_zip(entry.file):
        yield entry
        return
    with archives.members(entry.file) as members:
        yield from members


def _add(done: Uploaded, origin: Origin, source: Source, key: str) -> None:
    try:
        with source.opened() as file:
            ingested = ingest.add_frame(
                station=origin.station,
                data=file,
                sender=origin.sender,
                name=source.name,
                part_id=origin.part_id,
                captured_at=origin.captured_at,
                idempotency_key=key,
            )
    except IngestError as error:
        done.rejected.append(Rejected(source.name, error))
    else:
        done.frames.append((ingested.frame, ingested.created))
