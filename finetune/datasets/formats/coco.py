"""COCO: one JSON file with `images`, `annotations` and `categories` for each split. https://cocodataset.org/#format-data

`bbox` is left, top, width, height in pixels. A segmentation of one polygon is kept; several parts become their box.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from . import writing
from .geometry import BadGeometry, box_around, checked_box
from .json_records import Record, records
from .reading import SPLIT_WORDS, UNREADABLE, class_trouble, sorted_out, split_of_path, trouble, unlabelled
from .sources import MAX_LABEL_BYTES, PictureIndex, Source, folder_of, read_text, stem_of
from .values import Found, LabelledFrame, Place, ReadOptions, Region, Split, StoredFrame, Trouble, UnreadableSource

HINT = "A COCO file is an object with the lists 'images', 'annotations' and 'categories'."


def read(source: Source, options: ReadOptions) -> Iterator[Found]:
    """The frames of every COCO file in the source."""
    index, seen = PictureIndex(source), set[str]()
    files = index.ending_with(".json")
    if not files:
        raise UnreadableSource("There is no JSON file here.", hint=HINT)
    for name in files:
        try:
            yield from _CocoFile(name, index, options, seen).frames(read_text(source, name, most=MAX_LABEL_BYTES))
        except UNREADABLE as error:
            yield trouble(error, Place(name))
    yield from unlabelled(index, seen, options, custom="skip")


class _CocoFile:
    """One file: categories, pictures and regions by their ids, in whatever order the file has them."""

    def __init__(self, name: str, index: PictureIndex, options: ReadOptions, seen: set[str]) -> None:
        self.name, self.index, self.options, self.seen = name, index, options, seen
        self.classes: dict[Any, str] = {}
        self.images: dict[Any, Record] = {}
        self.regions: dict[Any, list[Record]] = {}

    def frames(self, text: str) -> Iterator[Found]:
        for record in records(text):
            yield from self._take(record)
        if not self.images:
            yield Trouble("no_pictures", Place(self.name), "The file names no pictures.", HINT)
        for key, record in self.images.items():
            yield from self._frame(key, record)
        for key, orphans in self.regions.items():
            if key not in self.images:
                yield Trouble("no_picture", self._place(orphans[0]), f"No picture has the id {key!r:.40}.")

    def _take(self, record: Record) -> Iterator[Trouble]:
        value = record.value
        if record.section not in ("images", "annotations", "categories"):
            return
        key = "image_id" if record.section == "annotations" else "id"
        if not isinstance(value, dict) or not isinstance(value.get(key), int | str):
            yield Trouble("bad_record", self._place(record), f"The record has no '{key}'.", HINT)
        elif record.section == "categories":
            self.classes[value["id"]] = value.get("name", "")
        elif record.section == "annotations":
            self.regions.setdefault(value["image_id"], []).append(record)
        elif value["id"] in self.images:
            yield Trouble("duplicate_id", self._place(record), f"Two pictures have the id {value['id']!r:.40}.")
        else:
            self.images[value["id"]] = record

    def _frame(self, key: Any, record: Record) -> Iterator[Found]:
        place, stated = self._place(record), str(record.value.get("file_name", ""))
        regions, troubles = sorted_out(map(self._region, self.regions.get(key, ())))
        yield from troubles
        near = folder_of(self.name)
        try:
            folders = ("images", f"images/{stem_of(self.name)}", stem_of(self.name).removeprefix("instances_"))
            picture = self.index.find(stated, near=near, folders=folders)
        except UNREADABLE as error:
            yield trouble(error, place)
            return
        if picture in self.seen:
            yield Trouble("duplicate_name", place, f"The picture '{picture}' is labelled twice.", "Label it once.")
            return
        self.seen.add(picture)
        size, split = _size(record.value), self._split(picture)
        yield LabelledFrame(picture, regions, place, split, stated_wh=size, left_out=len(troubles))

    def _region(self, record: Record) -> Region | Trouble | None:
        value, place = record.value, self._place(record)
        name = self.classes.get(value.get("category_id"))
        if name is None:
            detail = f"No category has the id {value.get('category_id')!r:.40}."
            return Trouble("unknown_class", place, detail, "Add it to 'categories'.")
        if wrong := class_trouble(name, place, self.options):
            return wrong
        if value.get("iscrowd") == 1:
            return Trouble("crowd", place, "A crowd is no single region; it was left out.")
        try:
            polygon = _polygon(value.get("segmentation"))
            box = _box(value["bbox"]) if value.get("bbox") else box_around(polygon or ())
        except BadGeometry as error:
            return trouble(error, place)
        return Region(name, box, polygon, _text(value), place)

    def _split(self, picture: str) -> Split | None:
        words = stem_of(self.name).lower().replace(".", "_").split("_")
        named = next(
            (SPLIT_WORDS[w.rstrip("0123456789")] for w in words if w.rstrip("0123456789") in SPLIT_WORDS), None
        )
        return named or split_of_path(self.name) or split_of_path(picture)

    def _place(self, record: Record) -> Place:
        return Place(self.name, record.line, f"{record.section}[{record.index}]")


def _size(value: Any) -> tuple[int, int] | None:
    width, height = value.get("width"), value.get("height")
    return (width, height) if isinstance(width, int) and isinstance(height, int) and width and height else None


def _box(value: Any) -> tuple[float, float, float, float]:
    if not (isinstance(value, list) and len(value) == 4 and all(isinstance(one, int | float) for one in value)):
        raise BadGeometry("A bbox is a list of left, top, width and height.")
    return checked_box((float(value[0]), float(value[1]), float(value[2]), float(value[3])))


def _polygon(value: Any) -> tuple[tuple[float, float], ...] | None:
    """The only part of a segmentation; run-lengths and several parts have none."""
    if not isinstance(value, list) or len(value) != 1:
        return None
    flat = value[0]
    if not (isinstance(flat, list) and len(flat) % 2 == 0 and all(isinstance(one, int | float) for one in flat)):
        raise BadGeometry("A polygon is a list of x and y in turn.")
    points = tuple(zip(map(float, flat[::2]), map(float, flat[1::2]), strict=True))
    box_around(points)
    return points


def _text(value: Any) -> dict[str, object] | None:
    """Our own addition to an annotation; other tools pass over it."""
    text = value.get("text")
    return text if isinstance(text, dict) and text else None


def write(out: Path, frames: Sequence[StoredFrame], classes: Sequence[str]) -> None:
    """`annotations/SPLIT.json` and `images/...`; ids begin at 1."""
    ids = {name: number for number, name in enumerate(classes, start=1)}
    for split, chosen in writing.by_split(frames):
        body: dict[str, Any] = {
            "images": [],
            "annotations": [],
            "categories": [{"id": number, "name": name} for name, number in ids.items()],
        }
        for number, frame in enumerate(chosen, start=1):
            writing.put(frame.source, out / "images" / frame.picture)
            size = {"width": frame.width, "height": frame.height}
            body["images"].append({"id": number, "file_name": frame.picture, **size})
            for region in frame.regions:
                body["annotations"].append(_annotation(len(body["annotations"]) + 1, number, ids, region))
        writing.text(out / "annotations" / f"{split}.json", json.dumps(body, indent=1))


def _annotation(number: int, image: int, ids: dict[str, int], region: Region) -> dict[str, Any]:
    x, y, w, h = region.box_xywh
    outline = [value for point in region.polygon for value in point] if region.polygon else []
    return {
        "id": number,
        "image_id": image,
        "category_id": ids[region.class_name],
        "bbox": [x, y, w, h],
        "area": w * h,
        "iscrowd": 0,
        "segmentation": [outline] if outline else [],
        **({"text": dict(region.text)} if region.text else {}),
    }
