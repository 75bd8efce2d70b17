"""The neutral values between the formats: a picture by name with its Regions, and what was wrong on the way.

Every reader gives these one after the other, and every writer takes them, so a format never meets another.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

BoxXywh = tuple[float, float, float, float]
Point = tuple[float, float]
Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


@dataclass(frozen=True)
class Place:
    """Where in the source something stands. `line` counts from 1; `entry` names a record where a line is too long."""

    file: str
    line: int | None = None
    entry: str = ""

    def __str__(self) -> str:
        line = f":{self.line}" if self.line is not None else ""
        return f"{self.file}{line}" + (f" ({self.entry})" if self.entry else "")


@dataclass(frozen=True)
class Trouble:
    """One thing of the source that was not taken, and why. The rest goes on."""

    code: str
    place: Place
    detail: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.detail}" + (f" {self.hint}" if self.hint else "")


@dataclass(frozen=True)
class Region:
    """A labelled Region, x right, y down: `box_xywh` is left, top, width, height; `polygon` has three points or more.

    In a frame whose `unit` is "share" all numbers are shares of the picture's width and height.
    """

    class_name: str
    box_xywh: BoxXywh
    polygon: tuple[Point, ...] | None = None
    text: Mapping[str, object] | None = None
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True)
class LabelledFrame:
    """A picture of the source with its Regions; none of them says that it has no defect.

    `group` names what must stay in one split (a board, a sequence); `stated_wh` is what the labels say of its size.
    `left_out` counts the labels that could not be taken: a frame that has lost all of them is not free of defects.
    """

    picture: str
    regions: tuple[Region, ...]
    place: Place = field(compare=False)
    split: Split | None = None
    group: str = ""
    template: str | None = None
    stated_wh: tuple[int, int] | None = field(default=None, compare=False)
    unit: Literal["pixels", "share"] = "pixels"
    left_out: int = field(default=0, compare=False)


Found = LabelledFrame | Trouble


@dataclass(frozen=True)
class ReadOptions:
    """`classes`: the only names that are known, where the asker has some. `unlabelled`: what a picture is that no
    label file speaks of; empty is the format's own custom."""

    classes: tuple[str, ...] = ()
    unlabelled: Literal["", "good", "skip"] = ""


@dataclass(frozen=True)
class StoredFrame:
    """A frame that is written out. `picture` is its name in the export, `source` the file with its bytes."""

    picture: str
    source: str
    width: int
    height: int
    split: Split
    regions: tuple[Region, ...]
    template: str | None = None
    template_source: str | None = None


class UnreadableSource(Exception):
    """The source as a whole cannot be read: there is nothing to go on with."""

    def __init__(self, detail: str, *, hint: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint


class BrokenLabels(ValueError):
    """A label file is not in its format; `line` is where that shows."""

    def __init__(self, detail: str, line: int) -> None:
        super().__init__(detail)
        self.line = line
