"""DeepPCB: a tested board, its aligned template without defects, and `x1 y1 x2 y2 type` a line.

Two layouts are read: the authors' own (`ID_test.jpg`, `ID_temp.jpg`, `GROUP_not/ID.txt`) and the plain one
(`images/ID`, `templates/ID`, `labels/ID.txt`). Pictures whose numbers begin alike are of one board.
https://github.com/tangsanli5201/DeepPCB
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import writing
from .geometry import BadGeometry, box_of_corners, rounded
from .reading import UNREADABLE, class_trouble, sorted_out, split_lists, trouble
from .sources import NoSuchPicture, PictureIndex, Source, folder_of, read_text, stem_of
from .values import Found, LabelledFrame, Place, ReadOptions, Region, StoredFrame, Trouble, UnreadableSource

TYPES = {1: "open", 2: "short", 3: "mousebite", 4: "spur", 5: "copper", 6: "pin-hole"}
NUMBERS = {name: number for number, name in TYPES.items()}
SHOTS_DIGITS = 3
"""The last digits of a picture's number count the cuts of one board."""
_NUMBER = re.compile(r"^\d{6,}$")


def read(source: Source, options: ReadOptions) -> Iterator[Found]:
    """The frame of each label file, with its template where there is one."""
    index = PictureIndex(source)
    labels = [name for name in index.ending_with(".txt") if _is_label(name)]
    if not labels:
        raise UnreadableSource("There is no folder 'labels' here, and none whose name ends in '_not'.")
    splits = split_lists(source, index)
    for name in labels:
        stem = stem_of(name)
        try:
            picture = _tested(index, name)
            lines = read_text(source, name).splitlines()
        except UNREADABLE as error:
            yield trouble(error, Place(name))
            continue
        regions, troubles = sorted_out(
            _region(line, Place(name, number), options) for number, line in enumerate(lines, start=1) if line.strip()
        )
        yield from troubles
        template, lost = _template(index, picture), len(troubles)
        yield LabelledFrame(
            picture, regions, Place(name), splits.get(stem), board_of(stem), template=template, left_out=lost
        )


def board_of(stem: str) -> str:
    """The number of the board that a picture was cut from; nothing where the name does not say."""
    return stem[:-SHOTS_DIGITS] if _NUMBER.match(stem) else ""


def _is_label(name: str) -> bool:
    folder = folder_of(name).split("/")[-1]
    return folder == "labels" or folder.endswith("_not")


def _tested(index: PictureIndex, label: str) -> str:
    """Raises NoSuchPicture."""
    folder, stem = folder_of(label), stem_of(label)
    for beside in (folder.removesuffix("_not"), f"{folder_of(folder)}/images".lstrip("/")):
        found = index.in_folder(f"{stem}_test", beside) or index.in_folder(stem, beside)
        if found is not None:
            return found
    raise NoSuchPicture(f"There is no picture for '{label}'.")


def _template(index: PictureIndex, picture: str) -> str | None:
    folder, stem = folder_of(picture), stem_of(picture)
    if stem.endswith("_test"):
        return index.in_folder(f"{stem.removesuffix('_test')}_temp", folder)
    return index.in_folder(stem, f"{folder_of(folder)}/templates".lstrip("/"))


def _region(line: str, place: Place, options: ReadOptions) -> Region | Trouble:
    try:
        x1, y1, x2, y2, kind = (float(word) for word in line.replace(",", " ").split())
    except ValueError:
        return Trouble("broken_labels", place, f"'{line[:60]}' is not x1 y1 x2 y2 type.", "Write five numbers.")
    if kind not in TYPES:
        return Trouble("unknown_class", place, f"There is no type {kind:g}.", "Types are 1 to 6.")
    name = TYPES[int(kind)]
    if wrong := class_trouble(name, place, options):
        return wrong
    try:
        return Region(name, box_of_corners(x1, y1, x2, y2), place=place)
    except BadGeometry as error:
        return trouble(error, place)


def write(out: Path, frames: Sequence[StoredFrame], classes: Sequence[str]) -> None:
    """The plain layout. Raises UnreadableSource for classes that the format has no number for."""
    unknown = [name for name in classes if name not in NUMBERS]
    if unknown:
        raise UnreadableSource(
            f"DeepPCB has no type for the class '{unknown[0]}'.", hint="Choose COCO, YOLO, VOC or labelme."
        )
    for frame in frames:
        writing.put(frame.source, out / "images" / frame.picture)
        if frame.template_source:
            ending = Path(frame.template or frame.picture).suffix
            writing.put(frame.template_source, out / "templates" / f"{writing.stem(frame.picture)}{ending}")
        writing.text(out / "labels" / f"{writing.stem(frame.picture)}.txt", "\n".join(map(_line, frame.regions)))
    for split, chosen in writing.by_split(frames):
        writing.text(out / f"{split}.txt", "\n".join(writing.stem(frame.picture) for frame in chosen))


def _line(region: Region) -> str:
    x, y, w, h = region.box_xywh
    return " ".join(f"{rounded(value):g}" for value in (x, y, x + w, y + h)) + f" {NUMBERS[region.class_name]}"
