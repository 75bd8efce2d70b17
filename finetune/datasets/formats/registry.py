"""The formats by name. Add one: a file with `read` and `write`, a line here, a row in the table of its test."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import coco, deeppcb, labelme, swift, voc, yolo
from .sources import Source
from .values import Found, ReadOptions, StoredFrame

Reader = Callable[[Source, ReadOptions], Iterator[Found]]
Writer = Callable[[Path, Sequence[StoredFrame], Sequence[str]], None]


@dataclass(frozen=True)
class Format:
    """`read` gives frames and troubles one after the other; `write` fills a folder."""

    name: str
    title: str
    read: Reader
    write: Writer


_ALL = (
    Format("coco", "COCO", coco.read, coco.write),
    Format("yolo", "YOLO", yolo.read, yolo.write),
    Format("voc", "Pascal VOC", voc.read, voc.write),
    Format("deeppcb", "DeepPCB", deeppcb.read, deeppcb.write),
    Format("labelme", "labelme", labelme.read, labelme.write),
    Format("swift", "ms-swift JSONL", swift.read, swift.write),
)
FORMATS: Mapping[str, Format] = {each.name: each for each in _ALL}
