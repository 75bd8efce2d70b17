"""The picture store: content-addressed files that are on disk before anybody is told so.

Knows nothing of Frames beyond their sha256. Layout: frames/aa/bb/<sha256>, derived/... for what can be made again.
"""

import contextlib
import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from django.conf import settings

from aivd_web.kernel.parts import part

from .errors import EmptyBody, PictureTooLarge, StorageFull

CHUNK = 256 * 1024
FULL = {errno.ENOSPC, errno.EDQUOT}


class HasSha256(Protocol):
    @property
    def sha256(self) -> str: ...


class HasTemplate(Protocol):
    template_sha256: str


@dataclass(frozen=True)
class Received:
    """Bytes on disk under a temporary name, hashed and counted."""

    path: Path
    sha256: str
    bytes: int


class DurableFolders:
    """Folders whose names this process has made durable, once each."""

    def __init__(self) -> None:
        self._durable: set[Path] = set()

    def make(self, folder: Path) -> None:
        """Create `folder` and make its name durable in each parent up to the store's.

        Each process syncs the parents itself: another may have created the folder and not have synced yet.
        """
        if folder in self._durable and folder.is_dir():
            return
        folder.mkdir(parents=True, exist_ok=True)
        for parent in folder.parents:
            _sync(parent)
            if parent == settings.MEDIA_DIR:
                break
        self._durable.add(folder)


def picture_path(frame: HasSha256) -> Path:
    return _path_of(frame.sha256)


def template_path(station: HasTemplate) -> Path | None:
    return _path_of(station.template_sha256) if station.template_sha256 else None


def derived_path(frame: HasSha256, name: str) -> Path:
    """Where a picture made from `frame` is cached, for example its thumbnail."""
    return settings.MEDIA_DIR / "derived" / frame.sha256[:2] / frame.sha256[2:4] / f"{frame.sha256}-{name}"


@contextmanager
def received(data: BinaryIO | bytes, *, max_bytes: int) -> Iterator[Received]:
    """Write `data` to a temporary file beside the store; it is gone again unless `keep` moved it.

    Raises EmptyBody, PictureTooLarge or StorageFull.
    """
    incoming = settings.MEDIA_DIR / "incoming"
    incoming.mkdir(parents=True, exist_ok=True)
    with _full_disk_said():
        descriptor, name = tempfile.mkstemp(dir=incoming)
        try:
            with os.fdopen(descriptor, "wb") as file:
                sha256, size = _copy(data, file, max_bytes)
            yield Received(Path(name), sha256, size)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)


def keep(upload: Received) -> Path:
    """Make the upload durable under its hash: fsync, rename, fsync of the folder. Twice is the same as once."""
    target = _path_of(upload.sha256)
    part(DurableFolders).make(target.parent)
    if not target.exists():
        _sync(upload.path)
        os.rename(upload.path, target)
    _sync(target.parent)  # also where another process has just renamed it there and not come to this line yet
    return target


def _path_of(sha256: str) -> Path:
    return settings.MEDIA_DIR / "frames" / sha256[:2] / sha256[2:4] / sha256


def _copy(data: BinaryIO | bytes, file: BinaryIO, max_bytes: int) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    for chunk in _chunks(data):
        size += len(chunk)
        if size > max_bytes:
            raise PictureTooLarge(f"The picture has more than {max_bytes:,} bytes.")
        digest.update(chunk)
        file.write(chunk)
    if size == 0:
        raise EmptyBody("The body is empty.")
    return digest.hexdigest(), size


def _chunks(data: BinaryIO | bytes) -> Iterator[bytes]:
    if isinstance(data, bytes | bytearray | memoryview):
        yield bytes(data)
        return
    while chunk := data.read(CHUNK):
        yield chunk


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _full_disk_said() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise StorageFull("There is no room for the picture.", retry_after_s=30) from None
        raise
