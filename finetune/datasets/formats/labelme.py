"""labelme: a JSON file a picture with polygons, rectangles and circles. https://github.com/wkentaro/labelme"""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from . import writing
from .geometry import BadGeometry, box_around, box_of_corners, check_finite
from .json_records import Record, records
from .reading import Labels, class_trouble, file_by_file, trouble
from .sources import MAX_LABEL_BYTES, NoSuchPicture, PictureIndex, Source, folder_of, read_text, stem_of
from .values import BrokenLabels, Found, Place, Point, ReadOptions, Region, StoredFrame, Trouble, UnreadableSource

CIRCLE_POINTS = 32


def read(source: Source, options: ReadOptions) -> Iterator[Found]:
    """The frame of each JSON file."""
    none = UnreadableSource("There is no JSON file here.", hint="labelme writes one for each picture.")
    return file_by_file(source, options, _labels, ending=".json", none=none)


def _labels(source: Source, index: PictureIndex, name: str, options: ReadOptions) -> Labels:
    found = list(records(read_text(source, name, most=MAX_LABEL_BYTES)))  # may hold a copy of the picture
    head = {record.section: record.value for record in found if record.section != "shapes"}
    picture = _picture(index, head.get("imagePath"), name)
    regions = (_region(one, name, options) for one in found if one.section == "shapes")
    return Labels(picture, regions, _size(head.get("imageWidth"), head.get("imageHeight")))


def _size(width: Any, height: Any) -> tuple[int, int] | None:
    if isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0:
        return (width, height)
    return None


def _picture(index: PictureIndex, stated: Any, name: str) -> str:
    """By `imagePath`; where the files were moved apart, the picture that is called like the JSON."""
    if not isinstance(stated, str):
        raise BrokenLabels("There is no 'imagePath'; this is no file of labelme.", 1)
    try:
        return index.find(stated, near=folder_of(name), folders=("images",))
    except NoSuchPicture:
        return index.with_stem(stem_of(name), folders=(folder_of(name), "images"))


def _region(record: Record, file: str, options: ReadOptions) -> Region | Trouble:
    place, shape = Place(file, record.line, f"shapes[{record.index}]"), record.value
    if not isinstance(shape, dict):
        return Trouble("bad_record", place, "A shape is an object.")
    if wrong := class_trouble(shape.get("label"), place, options):
        return wrong
    kind = shape.get("shape_type") or "polygon"
    try:
        points = _points(shape.get("points"))
        if kind == "polygon":
            return Region(shape["label"], box_around(points), points, place=place)
        if kind == "rectangle":
            return Region(shape["label"], _rectangle(points), place=place)
        if kind == "circle":
            outline = _circle(points)
            return Region(shape["label"], box_around(outline), outline, place=place)
    except BadGeometry as error:
        return trouble(error, place)
    return Trouble("unknown_shape", place, f"A '{kind!s:.20}' has no area; it was left out.", "Draw a polygon.")


def _points(value: Any) -> tuple[Point, ...]:
    if not isinstance(value, list):
        raise BadGeometry("The shape has no points.")
    for point in value:
        if not (isinstance(point, list) and len(point) == 2 and all(isinstance(one, int | float) for one in point)):
            raise BadGeometry("A point is a list of x and y.")
    return tuple((float(x), float(y)) for x, y in value)


def _rectangle(points: Sequence[Point]) -> tuple[float, float, float, float]:
    if len(points) != 2:
        raise BadGeometry(f"A rectangle has two points, this one has {len(points)}.")
    (ax, ay), (bx, by) = points
    return box_of_corners(min(ax, bx), min(ay, by), max(ax, bx), max(ay, by))


def _circle(points: Sequence[Point]) -> tuple[Point, ...]:
    """labelme keeps the centre and a point of the rim."""
    if len(points) != 2:
        raise BadGeometry(f"A circle has two points, this one has {len(points)}.")
    (cx, cy), rim = points
    check_finite((cx, cy, *rim))
    radius = math.dist((cx, cy), rim)
    angles = [2 * math.pi * step / CIRCLE_POINTS for step in range(CIRCLE_POINTS)]
    return tuple((cx + radius * math.cos(angle), cy + radius * math.sin(angle)) for angle in angles)


def write(out: Path, frames: Sequence[StoredFrame], classes: Sequence[str]) -> None:
    """JSON beside the pictures, in a folder for each split, as labelme opens them."""
    for frame in frames:
        folder = out / frame.split
        writing.put(frame.source, folder / frame.picture)
        body: dict[str, object] = {
            "version": "5.5.0",
            "flags": {},
            "shapes": [_shape(region) for region in frame.regions],
            "imagePath": Path(frame.picture).name,
            "imageData": None,
            "imageHeight": frame.height,
            "imageWidth": frame.width,
        }
        writing.text(folder / f"{writing.stem(frame.picture)}.json", json.dumps(body, indent=1))


def _shape(region: Region) -> dict[str, Any]:
    x, y, w, h = region.box_xywh
    points = [list(point) for point in region.polygon] if region.polygon else [[x, y], [x + w, y + h]]
    kind = "polygon" if region.polygon else "rectangle"
    return {"label": region.class_name, "points": points, "group_id": None, "shape_type": kind, "flags": {}}
