"""Pascal VOC: an XML file a picture. Pixels are counted from 1 and both corners belong to the box.

Documents that declare types or entities are refused: labels need none, and they let a small file grow to a huge one.
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.parsers import expat
from xml.sax.saxutils import escape

from . import writing
from .geometry import BadGeometry, box_of_corners, rounded
from .reading import Labels, class_trouble, file_by_file, trouble
from .sources import NoSuchPicture, PictureIndex, Source, folder_of, read_text, stem_of
from .values import BrokenLabels, Found, Place, ReadOptions, Region, StoredFrame, Trouble, UnreadableSource

CORNERS = ("xmin", "ymin", "xmax", "ymax")


def read(source: Source, options: ReadOptions) -> Iterator[Found]:
    """The frame of each XML file."""
    none = UnreadableSource("There is no XML file here.", hint="Pascal VOC has one for each picture.")
    return file_by_file(source, options, _labels, ending=".xml", none=none)


def _labels(source: Source, index: PictureIndex, name: str, options: ReadOptions) -> Labels:
    root = parsed(read_text(source, name))
    regions = (_region(element, name, options) for element in root.iter("object"))
    return Labels(_picture(index, root, name), regions, _size(root))


def parsed(text: str) -> ElementTree.Element:
    """The document, each element with its `line`. Raises BrokenLabels."""
    builder, parser = ElementTree.TreeBuilder(), expat.ParserCreate()

    def start(tag: str, attributes: dict[str, str]) -> None:
        builder.start(tag, {"line": str(parser.CurrentLineNumber)})

    def doctype(*_: object) -> None:
        raise BrokenLabels("The file declares a document type, which labels do not need.", parser.CurrentLineNumber)

    parser.StartElementHandler = start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(text, True)
        return builder.close()
    except expat.ExpatError as error:
        raise BrokenLabels("This is not XML.", error.lineno) from None
    except AssertionError:
        raise BrokenLabels("The file is empty.", 1) from None


def _picture(index: PictureIndex, root: ElementTree.Element, name: str) -> str:
    """By the file name inside; where that has another ending or is gone, the picture that is called like the XML."""
    near = folder_of(name)
    folders = ("JPEGImages", "images", f"{folder_of(near)}/JPEGImages".lstrip("/"))
    stated = (root.findtext("filename") or "").strip()
    try:
        return index.find(stated, near=near, folders=folders)
    except NoSuchPicture:
        return index.with_stem(stem_of(name), folders=(near, *folders))


def _size(root: ElementTree.Element) -> tuple[int, int] | None:
    try:
        width, height = int(root.findtext("size/width") or 0), int(root.findtext("size/height") or 0)
    except ValueError:
        return None
    return (width, height) if width > 0 and height > 0 else None


def _region(element: ElementTree.Element, file: str, options: ReadOptions) -> Region | Trouble:
    place = Place(file, int(element.get("line", "1")))
    name = (element.findtext("name") or "").strip()
    if wrong := class_trouble(name, place, options):
        return wrong
    try:
        x1, y1, x2, y2 = (float(element.findtext(f"bndbox/{corner}") or "") for corner in CORNERS)
    except ValueError:
        return Trouble("bad_region", place, "The object has no box of four numbers.", "The region was left out.")
    try:
        return Region(name, box_of_corners(x1 - 1, y1 - 1, x2, y2), place=place)
    except BadGeometry as error:
        return trouble(error, place)


def write(out: Path, frames: Sequence[StoredFrame], classes: Sequence[str]) -> None:
    """`Annotations/`, `JPEGImages/` and the lists of `ImageSets/Main/`."""
    for frame in frames:
        writing.put(frame.source, out / "JPEGImages" / frame.picture)
        writing.text(out / "Annotations" / f"{writing.stem(frame.picture)}.xml", _document(frame))
    for split, chosen in writing.by_split(frames):
        stems = "\n".join(writing.stem(frame.picture) for frame in chosen)
        writing.text(out / "ImageSets" / "Main" / f"{split}.txt", stems)


def _document(frame: StoredFrame) -> str:
    objects = "".join(_object(region) for region in frame.regions)
    return (
        f"<annotation>\n  <folder>JPEGImages</folder>\n  <filename>{escape(frame.picture)}</filename>\n"
        f"  <size><width>{frame.width}</width><height>{frame.height}</height><depth>3</depth></size>\n"
        f"  <segmented>0</segmented>\n{objects}</annotation>\n"
    )


def _object(region: Region) -> str:
    x, y, w, h = region.box_xywh
    corners = zip(CORNERS, (x + 1, y + 1, x + w, y + h), strict=True)
    box = "".join(f"<{name}>{rounded(value)}</{name}>" for name, value in corners)
    return (
        f"  <object>\n    <name>{escape(region.class_name)}</name>\n    <pose>Unspecified</pose>\n"
        f"    <truncated>0</truncated>\n    <difficult>0</difficult>\n    <bndbox>{box}</bndbox>\n  </object>\n"
    )
