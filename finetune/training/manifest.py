"""Read a sealed dataset: `dataset.json` and `manifest.jsonl` in one folder, and find what is wrong before training.

`dataset.json`: {"digest", "product", "classes": [names]}. `manifest.jsonl`, a frame a line: {"frame", "picture",
"sha256", "width", "height", "split", "template" or null, "regions": [{"box": [x, y, w, h], "polygon" or null,
"class", "text": {field: text} or null, "source"}]}. `detector.jsonl`, where there is one, holds what the edge
detector found: {"frame", "boxes": [{"box", "class", "score"}]}. A region of class "no defect" is a place that a
person cleared. Knows no model.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from finetune.training.faults import TrainingFault
from scheduling.serving.answers import NO_DEFECT, TEXT_FIELDS
from scheduling.serving.contracts import BadFrame, BoxXyxy, Rgb
from scheduling.serving.pictures import decode_picture

SPLITS: Final = ("train", "val", "test")
SLACK_PX: Final = 1.0
"""A box may stand out of its frame by this much: annotators round."""

SEAL_AGAIN: Final = "Correct it in the dataset, seal a new version and start the run on that."


@dataclass(frozen=True)
class DetectorBox:
    """What the edge detector found at a place: its box in pixels, the class it named, its score."""

    box_xyxy: BoxXyxy
    defect_class: str
    score: float


@dataclass(frozen=True)
class MarkedRegion:
    """A region of a frame as people know it. `text` holds those of an answer's texts that somebody wrote."""

    box_xyxy: BoxXyxy
    defect_class: str
    text: Mapping[str, str]


@dataclass(frozen=True)
class ManifestFrame:
    """One frame; `picture` and `template` are files that exist or not: see `read_picture`."""

    id: str
    picture: Path
    sha256: str
    size_wh: tuple[int, int]
    split: str
    template: Path | None
    regions: tuple[MarkedRegion, ...]
    detected: tuple[DetectorBox, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """A sealed dataset."""

    folder: Path
    digest: str
    product: str
    classes: tuple[str, ...]
    frames: tuple[ManifestFrame, ...] = field(repr=False)

    def of(self, split: str) -> list[ManifestFrame]:
        return [frame for frame in self.frames if frame.split == split]


def read_manifest(folder: Path) -> Manifest:
    """The dataset in `folder`, checked as far as that goes without opening pictures. Raises TrainingFault."""
    about = _read_json(folder / "dataset.json")
    classes = about.get("classes")
    if not isinstance(classes, list) or not classes or not all(isinstance(name, str) and name for name in classes):
        raise TrainingFault("bad_dataset", "dataset.json names no classes.", SEAL_AGAIN)
    detected = _detected(folder / "detector.jsonl")
    frames = [_frame(folder, row, number, detected) for number, row in _rows(folder / "manifest.jsonl")]
    manifest = Manifest(
        folder, str(about.get("digest", "")), str(about.get("product", "")), tuple(classes), tuple(frames)
    )
    _check_splits(manifest)
    _check_classes(manifest)
    return manifest


def check_pictures(manifest: Manifest) -> None:
    """Open every picture that training and judging will need. Raises TrainingFault that names the first bad one."""
    for frame in manifest.frames:
        read_picture(frame)
        if frame.template is not None:
            _decode(frame.template, frame.template.name)


def read_picture(frame: ManifestFrame) -> Rgb:
    """The frame's pixels; a file that is missing, changed, corrupt or of another size is a TrainingFault."""
    picture = _decode(frame.picture, frame.picture.name, frame.sha256)
    found = (picture.shape[1], picture.shape[0])
    if found != frame.size_wh:
        raise TrainingFault(
            "bad_picture",
            f"{frame.picture.name} has {found[0]}x{found[1]} px, the manifest says {frame.size_wh[0]}x"
            f"{frame.size_wh[1]}.",
            SEAL_AGAIN,
        )
    return picture


def read_template(frame: ManifestFrame) -> Rgb | None:
    """The frame's golden template; None where it has none, or one of another size."""
    if frame.template is None:
        return None
    template = _decode(frame.template, frame.template.name)
    return template if (template.shape[1], template.shape[0]) == frame.size_wh else None


def _decode(path: Path, name: str, sha256: str = "") -> Rgb:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TrainingFault("bad_picture", f"{name} cannot be read: {error.strerror}.", SEAL_AGAIN) from error
    if sha256 and hashlib.sha256(content).hexdigest() != sha256:
        raise TrainingFault("bad_picture", f"{name} is not the picture that was sealed.", SEAL_AGAIN)
    try:
        return decode_picture(content)
    except BadFrame as error:
        raise TrainingFault("bad_picture", f"{name} is no readable picture: {error}", SEAL_AGAIN) from error


def _check_splits(manifest: Manifest) -> None:
    for split in SPLITS:
        if not manifest.of(split):
            raise TrainingFault(
                "no_split",
                f"The dataset has no frame in its {split} split.",
                "Seal a version with train, val and test frames: a model is proven on frames it never saw.",
            )


def _check_classes(manifest: Manifest) -> None:
    seen = Counter(region.defect_class for frame in manifest.of("train") for region in frame.regions)
    for name in manifest.classes:
        if not seen[name]:
            raise TrainingFault(
                "class_without_samples",
                f"The class {name!r} has no region in the train split.",
                "Add frames with it, or leave the class out of the dataset.",
            )
    if unknown := sorted(set(seen) - {*manifest.classes, NO_DEFECT}):
        raise TrainingFault("unknown_class", f"Regions name {unknown[0]!r}, which dataset.json does not.", SEAL_AGAIN)


def _frame(
    folder: Path, row: Mapping[str, Any], number: int, detected: Mapping[str, tuple[DetectorBox, ...]]
) -> ManifestFrame:
    where = f"manifest.jsonl line {number}"
    try:
        name, split = str(row["frame"]), str(row["split"])
        size = int(row["width"]), int(row["height"])
        picture, template = folder / str(row["picture"]), row.get("template")
        regions = tuple(_region(region, name, size, where) for region in row["regions"])
        sha256 = str(row.get("sha256") or "")
    except (KeyError, TypeError, ValueError) as error:
        raise TrainingFault("bad_dataset", f"{where} lacks or garbles {error}.", SEAL_AGAIN) from error
    if split not in SPLITS:
        raise TrainingFault("bad_dataset", f"{where}: the split is {split!r}, not train, val or test.", SEAL_AGAIN)
    golden = folder / str(template) if template else None
    return ManifestFrame(name, picture, sha256, size, split, golden, regions, detected.get(name, ()))


def _region(row: Mapping[str, Any], frame: str, size_wh: tuple[int, int], where: str) -> MarkedRegion:
    box, polygon = row.get("box"), row.get("polygon")
    if polygon is not None and len(polygon) < 3:
        raise TrainingFault(
            "bad_polygon",
            f"{where}, frame {frame}: a polygon has {len(polygon)} points; it needs at least three.",
            SEAL_AGAIN,
        )
    corners = _corners_of_polygon(polygon) if box is None and polygon is not None else _corners(box)
    x0, y0, x1, y1 = corners
    outside = x0 < -SLACK_PX or y0 < -SLACK_PX or x1 > size_wh[0] + SLACK_PX or y1 > size_wh[1] + SLACK_PX
    if outside or not (x1 > x0 and y1 > y0):
        shown = ", ".join(f"{value:g}" for value in corners)
        raise TrainingFault(
            "bad_box",
            f"{where}, frame {frame}: the box ({shown}) does not lie inside {size_wh[0]}x{size_wh[1]} px.",
            SEAL_AGAIN,
        )
    text = row.get("text") or {}
    kept = {name: str(text[name]) for name in TEXT_FIELDS if text.get(name)}
    return MarkedRegion(corners, str(row["class"]), kept)


def _corners(box: Any) -> BoxXyxy:
    x, y, width, height = (float(value) for value in box)
    return x, y, x + width, y + height


def _corners_of_polygon(polygon: Any) -> BoxXyxy:
    xs, ys = [float(point[0]) for point in polygon], [float(point[1]) for point in polygon]
    return min(xs), min(ys), max(xs), max(ys)


def _detected(path: Path) -> dict[str, tuple[DetectorBox, ...]]:
    if not path.exists():
        return {}
    found = {}
    for number, row in _rows(path):
        try:
            boxes = (DetectorBox(_corners(one["box"]), str(one["class"]), float(one["score"])) for one in row["boxes"])
            found[str(row["frame"])] = tuple(boxes)
        except (KeyError, TypeError, ValueError) as error:
            raise TrainingFault("bad_dataset", f"{path.name} line {number} lacks {error}.", SEAL_AGAIN) from error
    return found


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingFault("bad_dataset", f"{path.name} cannot be read.", SEAL_AGAIN) from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise TrainingFault("bad_dataset", f"{path.name} line {number} is not JSON.", SEAL_AGAIN) from error
        if not isinstance(row, dict):
            raise TrainingFault("bad_dataset", f"{path.name} line {number} is no JSON object.", SEAL_AGAIN)
        yield number, row


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingFault("bad_dataset", f"{path.name} is missing or is not JSON.", SEAL_AGAIN) from error
    if not isinstance(found, dict):
        raise TrainingFault("bad_dataset", f"{path.name} is no JSON object.", SEAL_AGAIN)
    return found
