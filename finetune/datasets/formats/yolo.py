"""YOLO: `data.yaml` with the class names, `images/...` and beside them `labels/...` with one region a line.

A line is the class's number, then centre x, centre y, width, height, or a polygon's x and y in turn; all are shares of
the picture. By the format's custom a picture without labels shows no defect. https://docs.ultralytics.com/datasets/detect
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from . import writing
from .geometry import BadGeometry, box_around, checked_box
from .reading import UNREADABLE, class_trouble, sorted_out, split_of_path, trouble
from .sources import PictureIndex, Source, folder_of, read_text, stem_of
from .values import Found, LabelledFrame, Place, ReadOptions, Region, StoredFrame, Trouble, UnreadableSource

HINT = "A YOLO data set has a data.yaml with 'names', and a folder 'labels' beside each folder 'images'."


def read(source: Source, options: ReadOptions) -> Iterator[Found]:
    """Every picture with the labels beside it."""
    index = PictureIndex(source)
    names = _class_names(source, index)
    texts = set(index.ending_with(".txt"))
    spoken_of = set[str]()
    for picture in index.pictures:
        label = next((name for name in _label_names(picture) if name in texts), None)
        if label is None:
            if options.unlabelled != "skip":
                yield LabelledFrame(picture, (), Place(picture), split_of_path(picture), unit="share")
            continue
        if label in spoken_of:
            yield Trouble("duplicate_name", Place(label), f"Two pictures share these labels; '{picture}' was left out.")
            continue
        spoken_of.add(label)
        yield from _frame(source, picture, label, names, options)
    for label in sorted(texts - spoken_of):
        if "labels" in folder_of(label).split("/"):
            yield Trouble("no_picture", Place(label), "There is no picture for these labels.")


def _label_names(picture: str) -> list[str]:
    """Where its labels may lie: in `labels/` for `images/`, or beside it."""
    parts = folder_of(picture).split("/")
    places = [parts]
    if "images" in parts:
        at = len(parts) - 1 - parts[::-1].index("images")
        places.insert(0, [*parts[:at], "labels", *parts[at + 1 :]])
    return ["/".join([*filter(None, folder), f"{stem_of(picture)}.txt"]) for folder in places]


def _class_names(source: Source, index: PictureIndex) -> dict[int, str]:
    files = [name for name in index.ending_with(".yaml", ".yml") if folder_of(name).count("/") < 2]
    for name in files:
        try:
            found = yaml.safe_load(read_text(source, name))
        except yaml.YAMLError as error:
            line = getattr(getattr(error, "problem_mark", None), "line", None)
            where = f" in line {line + 1}" if line is not None else ""
            raise UnreadableSource(f"'{name}' is no YAML{where}.", hint=HINT) from None
        except UNREADABLE as error:
            raise UnreadableSource(trouble(error, Place(name)).detail, hint=HINT) from None
        names = found.get("names") if isinstance(found, dict) else None
        if isinstance(names, list):
            return {number: str(each) for number, each in enumerate(names)}
        if isinstance(names, dict) and all(isinstance(key, int) for key in names):
            return {key: str(each) for key, each in names.items()}
    raise UnreadableSource("No data.yaml names the classes.", hint=HINT)


def _frame(source: Source, picture: str, label: str, names: dict[int, str], options: ReadOptions) -> Iterator[Found]:
    try:
        lines = read_text(source, label).splitlines()
    except UNREADABLE as error:
        yield trouble(error, Place(label))
        return
    regions, troubles = sorted_out(
        _region(line, Place(label, number), names, options)
        for number, line in enumerate(lines, start=1)
        if line.strip()
    )
    yield from troubles
    split = split_of_path(picture)
    yield LabelledFrame(picture, regions, Place(label), split, unit="share", left_out=len(troubles))


def _region(line: str, place: Place, names: dict[int, str], options: ReadOptions) -> Region | Trouble:
    try:
        first, *values = [float(word) for word in line.split()]
    except ValueError:
        return Trouble("broken_labels", place, f"'{line[:60]}' is no list of numbers.", HINT)
    name: Any = names.get(int(first)) if first == first and abs(first) < 1e6 and first == int(first) else None
    if name is None:
        return Trouble("unknown_class", place, f"The class number {first:g} is not in data.yaml.", "Add its name.")
    if wrong := class_trouble(name, place, options):
        return wrong
    try:
        if len(values) == 4:
            x, y, w, h = values
            return Region(name, checked_box((x - w / 2, y - h / 2, w, h)), place=place)
        if len(values) % 2:
            raise BadGeometry(f"The line has {len(values)} numbers: four make a box, more in pairs a polygon.")
        points = tuple(zip(values[::2], values[1::2], strict=True))
        return Region(name, box_around(points), points, place=place)
    except BadGeometry as error:
        return trouble(error, place)


def write(out: Path, frames: Sequence[StoredFrame], classes: Sequence[str]) -> None:
    """Boxes only: a trainer that meets one polygon among boxes drops one of both kinds."""
    numbers = {name: number for number, name in enumerate(classes)}
    names = dict(enumerate(classes))
    splits = {str(split): f"images/{split}" for split, _ in writing.by_split(frames)}
    listing: dict[str, object] = {"path": ".", **splits, "names": names}
    writing.text(out / "data.yaml", yaml.safe_dump(listing, sort_keys=False))
    for frame in frames:
        writing.put(frame.source, out / "images" / frame.split / frame.picture)
        lines = [_line(region, numbers, frame) for region in frame.regions]
        writing.text(out / "labels" / frame.split / f"{writing.stem(frame.picture)}.txt", "\n".join(lines))


def _line(region: Region, numbers: dict[str, int], frame: StoredFrame) -> str:
    x, y, w, h = region.box_xywh
    shares = ((x + w / 2) / frame.width, (y + h / 2) / frame.height, w / frame.width, h / frame.height)
    return " ".join([str(numbers[region.class_name]), *(f"{value:.8f}" for value in shares)])
