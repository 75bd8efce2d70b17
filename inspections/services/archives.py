"""Read the pictures out of a zip without being led astray by it. Names are for showing; nothing is unpacked to them."""

import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, BinaryIO

from .errors import BrokenPicture, IngestError, NotAPicture

MAX_MEMBERS = 2_000
MAX_UNPACKED_BYTES = 2 * 1024**3
MAX_RATIO = 200
SPOOL_BYTES = 4 * 1024**2
CHUNK = 256 * 1024
# What zipfile and zlib raise on damaged, encrypted or oddly compressed members.
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError)


class BadArchive(IngestError):
    code = "bad_archive"
    status = 422
    hint = "Send a plain zip of pictures, or the pictures themselves."


class ArchiveTooLarge(IngestError):
    code = "archive_too_large"
    status = 413
    hint = "Split it into several smaller zips."


@dataclass(frozen=True)
class Member:
    name: str
    info: zipfile.ZipInfo
    archive: zipfile.ZipFile

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """The member's bytes. Raises BrokenPicture or NotAPicture where it cannot be read."""
        if self.name.lower().endswith(".zip"):
            raise NotAPicture("A zip inside a zip is not opened.")
        with tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES) as file:
            try:
                with self.archive.open(self.info) as packed:
                    _copy(packed, file)
            except DAMAGE:
                raise BrokenPicture("This member of the zip is damaged or encrypted.") from None
            file.seek(0)
            yield file  # type: ignore[misc]  # a SpooledTemporaryFile reads like a BinaryIO


@contextmanager
def members(file: BinaryIO | IO[bytes]) -> Iterator[list[Member]]:
    """The files in the zip, without folders and what systems put beside them. Raises BadArchive, ArchiveTooLarge.

    zipfile never reads more of a member than its header states, so the stated sizes bound the work.
    """
    try:
        archive = zipfile.ZipFile(file)
    except DAMAGE:
        raise BadArchive("This zip cannot be read.") from None
    with archive:
        found = [Member(_shown(info.filename), info, archive) for info in archive.infolist() if _is_wanted(info)]
        _refuse_bombs([member.info for member in found])
        if not found:
            raise BadArchive("This zip holds no files.")
        yield found


def _is_wanted(info: zipfile.ZipInfo) -> bool:
    name = _shown(info.filename)
    return bool(name) and not info.is_dir() and "__MACOSX/" not in info.filename and not name.startswith(".")


def _shown(name: str) -> str:
    """The last part of the name, without anything that cannot be printed."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(letter for letter in last if letter.isprintable())[:200]


def _refuse_bombs(infos: list[zipfile.ZipInfo]) -> None:
    if len(infos) > MAX_MEMBERS:
        raise ArchiveTooLarge(f"This zip holds {len(infos):,} files; {MAX_MEMBERS:,} are taken in at once.")
    unpacked = sum(info.file_size for info in infos)
    if unpacked > MAX_UNPACKED_BYTES:
        raise ArchiveTooLarge(f"This zip unpacks to more than {MAX_UNPACKED_BYTES:,} bytes.")
    packed = sum(info.compress_size for info in infos)
    # Small zips of flat test pictures pack well and harm nobody.
    if unpacked > MAX_RATIO * max(packed, 1) and unpacked > 64 * 1024**2:
        raise ArchiveTooLarge("This zip unpacks to far more than its size; it looks like a bomb.")


def _copy(packed: IO[bytes], file: IO[bytes]) -> None:
    while chunk := packed.read(CHUNK):
        file.write(chunk)
