"""Read the pictures out of a zip without being led astray by it. Names are for showing; nothing is unpacked to them.

What the end of the file states of its directory is bounded before the directory is read, and that before any member.
"""

import lzma
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, BinaryIO

from django.conf import settings

from . import storage, texts
from .errors import BrokenPicture, IngestError, NotAPicture, PictureTooLarge, StorageFull

SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
MAX_MEMBERS = 2_000
MAX_ENTRIES = 3 * MAX_MEMBERS  # with folders and what desktops put beside each picture
MAX_DIRECTORY_BYTES = 4 * 1024**2
MAX_COMMENT_BYTES = 4 * 1024
MAX_UNPACKED_BYTES = 2 * 1024**3
MAX_RATIO = 200
MAX_WINDOW_BYTES = 64 * 1024**2
SPOOL_BYTES = 4 * 1024**2
CHUNK = 256 * 1024
FREE_OF_WINDOW = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
ENCRYPTED = 0x1
NAME_IS_UTF8 = 0x800
JUNK = {"thumbs.db", "desktop.ini", ".ds_store"}
# What zipfile and its codecs raise on damaged or oddly compressed members.
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    OSError,
    ValueError,
    struct.error,
    MemoryError,
    OverflowError,
)


class BadArchive(IngestError):
    code = "bad_archive"
    status = 422
    hint = "Send a plain zip of pictures, or the pictures themselves."


class ArchiveTooLarge(IngestError):
    code = "archive_too_large"
    status = 413
    hint = "Split it into several smaller zips."


class Encrypted(IngestError):
    code = "encrypted"
    status = 422
    hint = "Make the zip without a password."


class UnknownCompression(IngestError):
    code = "unknown_compression"
    status = 422
    hint = "Make the zip with the compression 'Deflate', or with none."


@dataclass(frozen=True)
class Member:
    """A file in the zip; `place` counts all entries of its directory from 0, so it is the same each time."""

    name: str
    place: int
    info: zipfile.ZipInfo
    archive: zipfile.ZipFile

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """The member's bytes. Raises an IngestError where it cannot or must not be read."""
        self._check()
        with tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES) as file:
            try:
                with self.archive.open(self.info) as packed:
                    _copy(packed, file)
            except DAMAGE as error:
                raise _reason(error) from None
            file.seek(0)
            yield file  # type: ignore[misc]  # a SpooledTemporaryFile reads like a BinaryIO

    def _check(self) -> None:
        if self.name.lower().endswith(".zip"):
            raise NotAPicture("A zip inside a zip is not opened.")
        if self.info.flag_bits & ENCRYPTED:
            raise Encrypted("This member of the zip is encrypted.")
        if self.info.compress_type not in (*FREE_OF_WINDOW, zipfile.ZIP_LZMA):
            raise UnknownCompression(f"This member of the zip is compressed by method {self.info.compress_type}.")
        if self.info.file_size > settings.MAX_UPLOAD_BYTES:
            raise PictureTooLarge(f"The picture has more than {settings.MAX_UPLOAD_BYTES:,} bytes.")
        if self.info.compress_type == zipfile.ZIP_LZMA and _window_bytes(self) > MAX_WINDOW_BYTES:
            raise UnknownCompression("Unpacking this member of the zip would take too much memory.")


def _reason(error: Exception) -> IngestError:
    if isinstance(error, OSError) and error.errno in storage.FULL:
        return StorageFull("There is no room to unpack the zip.", retry_after_s=30)
    return BrokenPicture("This member of the zip is damaged.")


@contextmanager
def members(file: BinaryIO | IO[bytes]) -> Iterator[list[Member]]:
    """The files in the zip, without folders and what systems put beside them. Raises BadArchive, ArchiveTooLarge.

    zipfile never reads more of a member than its header states, so the stated sizes bound the work.
    """
    try:
        _bound_directory(file)
        archive = zipfile.ZipFile(file)
    except DAMAGE:
        raise BadArchive("This zip cannot be read.") from None
    with archive:
        entries = archive.infolist()
        _refuse_overlaps(archive)
        found = [
            Member(shown_name(info), place, info, archive)
            for place, info in enumerate(entries)
            if not info.filename.endswith("/") and not is_junk(shown_name(info))
        ]
        _refuse_bombs([member.info for member in found])
        if not found:
            raise BadArchive("This zip holds no files.")
        yield found


def shown_name(info: zipfile.ZipInfo) -> str:
    """As a person sees it: by the flag for UTF-8; without it as UTF-8 if it is that, since Finder sets no flag."""
    name = info.orig_filename
    if not info.flag_bits & NAME_IS_UTF8:
        raw = name.encode("cp437")  # what zipfile took it for; each byte has a letter there
        try:
            name = raw.decode()
        except UnicodeDecodeError:
            name = raw.decode("cp437")
    return texts.file_name(name) or "unnamed"


def is_junk(name: str) -> bool:
    """What desktops put beside pictures, which nobody means to send."""
    *folders, last = name.lower().split("/")
    return "__macosx" in folders or last in JUNK or last.startswith("._")


# -- before the directory is read -------------------------------------------------------------------

END = struct.Struct("<4s4H2LH")
END_SIGNATURE = b"PK\x05\x06"
LOCATOR = struct.Struct("<4sLQL")
LOCATOR_SIGNATURE = b"PK\x06\x07"
END64 = struct.Struct("<4sQ2H2L4Q")
END64_SIGNATURE = b"PK\x06\x06"
ENTRY = struct.Struct("<4s24x3H12x")  # signature and the three lengths of what follows it
ENTRY_SIGNATURE = b"PK\x01\x02"


@dataclass(frozen=True)
class Directory:
    """What the end of the file states, found by the rules by which zipfile will look for it."""

    entries: int
    size: int
    starts_at: int


def _bound_directory(file: BinaryIO | IO[bytes]) -> None:
    """Refuse a directory of too many entries or bytes without reading it; count the entries rather than believe."""
    stated = _stated_directory(file)
    if stated.size > MAX_DIRECTORY_BYTES or stated.entries > MAX_ENTRIES:
        raise ArchiveTooLarge(f"The list of files in this zip is too long; {MAX_MEMBERS:,} are taken in at once.")
    if stated.starts_at < 0:
        raise BadArchive("The list of files in this zip does not lie where it should.")
    file.seek(stated.starts_at)
    if _count(file.read(stated.size)) > MAX_ENTRIES:
        raise ArchiveTooLarge(f"The list of files in this zip is too long; {MAX_MEMBERS:,} are taken in at once.")
    file.seek(0)


def _stated_directory(file: BinaryIO | IO[bytes]) -> Directory:
    length = file.seek(0, 2)
    tail_at = max(length - 2**16 - END.size, 0)
    file.seek(tail_at)
    tail = file.read()
    at = len(tail) - END.size
    if not (at >= 0 and tail[at : at + 4] == END_SIGNATURE and tail[-2:] == b"\0\0"):
        at = tail.rfind(END_SIGNATURE)
    if at < 0 or at + END.size > len(tail):
        raise BadArchive("This zip has no end; it was cut off.")
    _, _, _, _, entries, size, _, comment = END.unpack_from(tail, at)
    if comment > MAX_COMMENT_BYTES:
        raise BadArchive(f"The comment of this zip has {comment:,} bytes.")
    return _stated_64(file, tail_at + at) or Directory(entries, size, tail_at + at - size)


def _stated_64(file: BinaryIO | IO[bytes], end_at: int) -> Directory | None:
    """The record for large archives, which counts for more where there is one."""
    at = end_at - LOCATOR.size
    if at < 0 or _read_at(file, at, LOCATOR.size)[:4] != LOCATOR_SIGNATURE:
        return None
    at -= END64.size
    if at < 0:
        raise BadArchive("This zip cannot be read.")
    record = _read_at(file, at, END64.size)
    if len(record) < END64.size or record[:4] != END64_SIGNATURE:
        return None
    *_, entries, size, _ = END64.unpack(record)
    return Directory(entries, size, at - size)


def _read_at(file: BinaryIO | IO[bytes], at: int, size: int) -> bytes:
    file.seek(at)
    return file.read(size)


def _count(directory: bytes) -> int:
    at = count = 0
    while at + ENTRY.size <= len(directory) and count <= MAX_ENTRIES:
        signature, name, extra, comment = ENTRY.unpack_from(directory, at)
        if signature != ENTRY_SIGNATURE:
            raise BadArchive("The list of files in this zip is damaged.")
        at += ENTRY.size + name + extra + comment
        count += 1
    return count


# -- before a member is read ------------------------------------------------------------------------

LOCAL_HEADER_BYTES = 30
LZMA_HEADER = struct.Struct("<2sHBL")  # version, length of the properties, then the properties: a byte and the window


def _refuse_overlaps(archive: zipfile.ZipFile) -> None:
    """Each stretch of the file belongs to one member; sharing it is how a small zip unpacks to a huge one."""
    free_from = 0
    for info in sorted(archive.infolist(), key=lambda info: info.header_offset):
        if info.header_offset < free_from:
            raise BadArchive("Members of this zip lie over each other; it looks like a bomb.")
        free_from = info.header_offset + LOCAL_HEADER_BYTES + info.compress_size
    if free_from > archive.start_dir:
        raise BadArchive("A member of this zip is longer than the zip.")


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


def _window_bytes(member: Member) -> int:
    """How much memory LZMA is told to take for what it has unpacked already."""
    assert member.archive.fp is not None
    name, extra = struct.unpack("<26x2H", _read_at(member.archive.fp, member.info.header_offset, LOCAL_HEADER_BYTES))
    at = member.info.header_offset + LOCAL_HEADER_BYTES + name + extra
    head = _read_at(member.archive.fp, at, LZMA_HEADER.size)
    return int(LZMA_HEADER.unpack(head)[3]) if len(head) == LZMA_HEADER.size else 0


def _copy(packed: IO[bytes], file: IO[bytes]) -> None:
    while chunk := packed.read(CHUNK):
        file.write(chunk)
