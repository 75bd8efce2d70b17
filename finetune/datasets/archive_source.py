"""An uploaded zip as a source of an import. What bounds an archive of pictures bounds this one too."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from aivd_web.kernel.errors import AivdError
from finetune.datasets.formats.sources import UnsafeName, inside
from finetune.datasets.formats.values import UnreadableSource
from inspections.media import archives


class ArchiveSource:
    """The members by their names; two of one name are one too many, and the second is left out."""

    def __init__(self, members: list[archives.Member]) -> None:
        self._members: dict[str, archives.Member] = {}
        for member in members:
            try:
                self._members.setdefault(inside(member.name), member)
            except UnsafeName:
                continue  # it leads out of the archive; nothing is unpacked to a name, so nothing else can come of it

    def names(self) -> Iterator[str]:
        return iter(self._members)

    @contextmanager
    def opened(self, name: str) -> Iterator[BinaryIO]:
        member = self._members.get(name)
        if member is None:
            raise FileNotFoundError(2, "It is not in the archive", name)
        try:
            with member.opened() as file:
                yield file
        except AivdError as error:
            raise OSError(5, error.detail, name) from None


@contextmanager
def opened(path: Path) -> Iterator[ArchiveSource]:
    """Raises UnreadableSource for what is no zip, is too large, or looks like a bomb."""
    with path.open("rb") as file:
        try:
            with archives.members(file) as members:
                yield ArchiveSource(members)
        except archives.BadArchive as error:
            raise UnreadableSource(error.detail, hint=error.hint) from None
        except archives.ArchiveTooLarge as error:
            raise UnreadableSource(
                error.detail, hint="Send it in parts, or use 'manage.py import_dataset' on the server."
            ) from None
