"""The versions of a node's describer: its own, which is always there, and those that were brought to it.

A version is a folder named by the digest of its files. It is checked against that digest and looked through before
anything opens it. A few are resident, more lie on the node's own disk; whichever was used longest ago leaves first.
Knows no Triton.
"""

import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from scheduling.serving.bringing import MAX_VERSION_BYTES, BringStep
from scheduling.serving.contracts import Describer
from scheduling.serving.describers.adapters import FILES, Adapter
from scheduling.serving.model_folder import RefusedFiles

RESIDENT, KEPT = 4, 32
UPLOADS = 8


class VersionRefused(Exception):
    """The version cannot be served here; the text is a sentence that says why."""


class VersionShelf:
    """`adapted` opens a version over the node's own model. Safe to use from several threads."""

    def __init__(
        self,
        folder: Path,
        adapted: Callable[[Adapter], Describer],
        *,
        resident: int = RESIDENT,
        kept: int = KEPT,
    ) -> None:
        self._stored, self._arriving = folder / "stored", folder / "arriving"
        for part in (self._stored, self._arriving):
            part.mkdir(parents=True, exist_ok=True)
        self._adapted, self._most_resident, self._most_kept = adapted, resident, kept
        self._resident: OrderedDict[str, Describer] = OrderedDict()
        self._used: OrderedDict[str, None] = OrderedDict()  # those on disk, the one used last at the end
        self._lock, self._opening = threading.Lock(), threading.Lock()

    # -- answering ----------------------------------------------------------------------------------

    def has(self, digest: str) -> bool:
        with self._lock:
            return digest in self._used

    def resident(self, digest: str) -> Describer | None:
        """The version, if it is in memory."""
        with self._lock:
            found = self._resident.get(digest)
            if found is not None:
                self._resident.move_to_end(digest)
                self._used.move_to_end(digest)
            return found

    def open(self, digest: str) -> Describer:
        """The version, read from disk where it is not in memory, which takes a moment. Raises VersionRefused."""
        with self._opening:
            found = self.resident(digest)
            if found is not None:
                return found
            try:
                opened = self._opened(self._stored / digest, digest)
            except VersionRefused:
                self._forget(digest)  # what was damaged on this disk can be brought again
                raise
            with self._lock:
                self._resident[digest] = opened
                self._used[digest] = None
                self._used.move_to_end(digest)
                while len(self._resident) > self._most_resident:
                    self._resident.popitem(last=False)
                self._forget_oldest()
            return opened

    def _opened(self, folder: Path, digest: str) -> Describer:
        try:
            adapter = Adapter.read(folder)
            if adapter.digest != digest:
                raise RefusedFiles(f"its files have the digest {adapter.digest[:12]}, so they were changed on the way")
            return self._adapted(adapter)
        except Exception as error:  # whatever a damaged file makes of reading it, it is not served
            said = str(error) if isinstance(error, RefusedFiles) else f"{type(error).__name__}: {error}"
            raise VersionRefused(f"Version {digest[:12]} cannot be served here: {said}") from error

    def _forget_oldest(self) -> None:
        """Hold the lock. What is resident was used later than what is only on disk, or just now."""
        while len(self._used) > max(self._most_kept, self._most_resident):
            digest, _ = self._used.popitem(last=False)
            self._resident.pop(digest, None)
            shutil.rmtree(self._stored / digest, ignore_errors=True)

    # -- arriving -----------------------------------------------------------------------------------

    def put(self, step: BringStep, piece: bytes) -> None:
        """Keep a piece of a file. Raises VersionRefused."""
        if step.file not in FILES:
            raise VersionRefused(f"{step.file[:60]!r} is no file of a version: {', '.join(FILES)} are.")
        if step.offset + len(piece) > MAX_VERSION_BYTES:
            raise VersionRefused(f"A version has at most {MAX_VERSION_BYTES} bytes.")
        folder = self._arriving / step.upload
        if not folder.is_dir():
            self._drop_stale_uploads()
            folder.mkdir(exist_ok=True)
        with (folder / step.file).open("r+b" if (folder / step.file).exists() else "w+b") as file:
            file.seek(step.offset)
            file.write(piece)

    def seal(self, step: BringStep, digest: str) -> None:
        """Check what arrived, take it in and open it. Raises VersionRefused, and then nothing of it is left."""
        arrived = self._arriving / step.upload
        try:
            if not self.has(digest):
                self._check(arrived, digest)
                target = self._stored / digest
                shutil.rmtree(target, ignore_errors=True)
                arrived.rename(target)
            self.open(digest)
        finally:
            shutil.rmtree(arrived, ignore_errors=True)

    def _check(self, folder: Path, digest: str) -> None:
        try:
            found = Adapter.read(folder).digest
        except (RefusedFiles, OSError) as error:
            raise VersionRefused(f"Version {digest[:12]} cannot be served here: {error}") from error
        if found != digest:
            raise VersionRefused(f"Version {digest[:12]} arrived with the digest {found[:12]}: it was changed.")

    def _forget(self, digest: str) -> None:
        with self._lock:
            self._resident.pop(digest, None)
            self._used.pop(digest, None)
        shutil.rmtree(self._stored / digest, ignore_errors=True)

    def _drop_stale_uploads(self) -> None:
        """Transfers that broke off leave their pieces: the oldest go."""
        uploads = sorted(self._arriving.iterdir(), key=lambda path: path.stat().st_mtime)
        for folder in uploads[: max(0, len(uploads) - UPLOADS + 1)]:
            shutil.rmtree(folder, ignore_errors=True)
