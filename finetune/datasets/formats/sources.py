"""Where an import reads from: a folder, or anything else that has names and bytes. Nothing outside it is ever opened.

Label files name pictures in every imaginable way: from the label's folder, from the root, with a folder that is no
longer there. `PictureIndex` finds the one that is meant, and refuses to guess between two.
"""

import os
import posixpath
import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from .values import UnreadableSource

PICTURE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
MAX_LABEL_BYTES = 512 * 1024**2
MAX_SMALL_LABEL_BYTES = 16 * 1024**2
MAX_NAMES = 1_000_000
_DRIVE = re.compile(r"^[A-Za-z]:")


class Source(Protocol):
    """Files by their names with `/` between folders, relative to the root."""

    def names(self) -> Iterable[str]: ...

    def opened(self, name: str) -> AbstractContextManager[BinaryIO]: ...


class UnsafeName(ValueError):
    """A name that is absolute or leads out of the source."""


class NoSuchPicture(ValueError):
    """No picture, or more than one, is called so."""


class TooMuchText(ValueError):
    """A label file is longer than any that a person or a tool has reason to write."""


class FolderSource:
    """A folder on this machine. Links are followed only to what lies inside it."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        if not self.root.is_dir():
            raise UnreadableSource(f"'{root}' is not a folder.", hint="Give the folder that holds the pictures.")

    def names(self) -> Iterator[str]:
        for count, name in enumerate(self._walk()):
            if count >= MAX_NAMES:
                raise UnreadableSource(f"'{self.root.name}' holds more than {MAX_NAMES:,} files.")
            yield name

    def _walk(self) -> Iterator[str]:
        for folder, folders, files in os.walk(self.root):
            folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
            near = Path(folder).relative_to(self.root)
            yield from ((near / name).as_posix() for name in sorted(files) if not name.startswith("."))

    def opened(self, name: str) -> AbstractContextManager[BinaryIO]:
        path = (self.root / inside(name)).resolve()
        if not path.is_relative_to(self.root):
            raise UnsafeName(f"'{name}' leads out of the folder.")
        return cast("AbstractContextManager[BinaryIO]", path.open("rb"))


def inside(name: str, *, near: str = "") -> str:
    """`name` as seen from the folder `near`, as a plain name below the root. Raises UnsafeName."""
    plain = name.strip().replace("\\", "/")
    if plain.startswith("/") or _DRIVE.match(plain) or "\x00" in plain:
        raise UnsafeName(f"'{name}' is an absolute path.")
    joined = posixpath.normpath(posixpath.join(near, plain))
    if joined == ".." or joined.startswith("../"):
        raise UnsafeName(f"'{name}' leads out of the source.")
    return joined


def folder_of(name: str) -> str:
    return posixpath.dirname(name)


def stem_of(name: str) -> str:
    return posixpath.splitext(posixpath.basename(name))[0]


def is_picture(name: str) -> bool:
    return name.lower().endswith(PICTURE_ENDINGS)


def read_text(source: Source, name: str, *, most: int = MAX_SMALL_LABEL_BYTES) -> str:
    """A label file as text. Raises TooMuchText, UnicodeDecodeError or OSError."""
    with source.opened(name) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise TooMuchText(f"The file has more than {most:,} bytes.")
    return data.decode("utf-8-sig")


class PictureIndex:
    """All names of a source once, and the pictures among them by folder, name and stem."""

    def __init__(self, source: Source) -> None:
        self.names = list(source.names())
        self.pictures = [name for name in self.names if is_picture(name)]
        self._known = set(self.pictures)
        self._by_base: dict[str, list[str]] = {}
        self._by_stem: dict[str, list[str]] = {}
        for name in self.pictures:
            self._by_base.setdefault(posixpath.basename(name), []).append(name)
            self._by_stem.setdefault(stem_of(name), []).append(name)

    def find(self, stated: str, *, near: str = "", folders: Iterable[str] = ()) -> str:
        """The picture that a label file in the folder `near` calls `stated`. Raises UnsafeName or NoSuchPicture."""
        tries = [inside(stated, near=near)]
        tries += [inside(stated, near=folder) for folder in ("", *folders)]
        for name in tries:
            if name in self._known:
                return name
        return self._only(self._by_base.get(posixpath.basename(tries[0]), []), stated)

    def with_stem(self, stem: str, *, folders: Iterable[str] = ()) -> str:
        """The picture of this name without its ending, in one of `folders` if there is one. Raises NoSuchPicture."""
        found = self._by_stem.get(stem, [])
        for folder in folders:
            here = [name for name in found if folder_of(name) == folder]
            if here:
                return self._only(here, stem)
        return self._only(found, stem)

    def in_folder(self, stem: str, folder: str) -> str | None:
        """The picture of this name without its ending in just this folder, if there is one."""
        return next((name for name in self._by_stem.get(stem, []) if folder_of(name) == folder), None)

    def ending_with(self, *endings: str) -> list[str]:
        return [name for name in self.names if name.lower().endswith(endings)]

    def _only(self, found: list[str], stated: str) -> str:
        if len(found) == 1:
            return found[0]
        if not found:
            raise NoSuchPicture(f"The picture '{stated}' is not there.")
        raise NoSuchPicture(f"'{stated}' may be any of {len(found)} pictures: {', '.join(sorted(found)[:3])}.")
