"""What all writers do in the same way: put pictures and texts into an export's folder."""

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from .values import SPLITS, Split, StoredFrame


def by_split(frames: Sequence[StoredFrame]) -> Iterator[tuple[Split, list[StoredFrame]]]:
    """The splits that have frames."""
    for split in SPLITS:
        chosen = [frame for frame in frames if frame.split == split]
        if chosen:
            yield split, chosen


def put(source: str, target: Path) -> None:
    """A second name for the same bytes where the disk allows it, else a copy: an export costs no room."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def text(target: Path, content: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(content if content.endswith("\n") or not content else content + "\n", encoding="utf-8")


def stem(name: str) -> str:
    return os.path.splitext(name)[0]
