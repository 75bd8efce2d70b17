"""ms-swift grounding: JSONL with `images`, `messages` and `objects` (`ref`, `bbox`), one picture a line.

`bbox` holds x1, y1, x2, y2 in pixels, or in shares where `bbox_type` is "norm1". In messages `<ref-object>` and
`<bbox>` stand for the next of each. https://swift.readthedocs.io/en/latest/Customization/Custom-dataset.html
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from . import writing
from .geometry import BadGeometry, box_of_corners, rounded
from .reading import SPLIT_WORDS, UNREADABLE, class_trouble, sorted_out, split_of_path, trouble, unlabelled
from .sources import PictureIndex, Source, folder_of, stem_of
from .values import Found, LabelledFrame, Place, ReadOptions, Region, StoredFrame, Trouble, UnreadableSource

MAX_LINE_BYTES = 4 * 1024**2
QUESTION = "<image>List every defect of this part as JSON: its class, its box, and what you see."


def read(source: Source, options: ReadOptions) -> Iterator[Found]:
    """The frame of each line of each JSONL file."""
    index, seen = PictureIndex(source), set[str]()
    files = index.ending_with(".jsonl")
    if not files:
        raise UnreadableSource("There is no JSONL file here.", hint="ms-swift keeps one picture a line in it.")
    for name in files:
        try:
            with source.opened(name) as file:
                for number, line in _lines(file):
                    yield from _frame(index, line, Place(name, number), options, seen)
        except UNREADABLE as error:
            yield trouble(error, Place(name))
    yield from unlabelled(index, seen, options, custom="skip")


def _lines(file: Any) -> Iterator[tuple[int, bytes]]:
    """One at a time; a line that is too long is given cut, and so is no JSON."""
    number = 0
    while line := file.readline(MAX_LINE_BYTES):
        number += 1
        if line.strip():
            yield number, line
        while line and not line.endswith(b"\n"):
            line = file.readline(MAX_LINE_BYTES)


def _frame(index: PictureIndex, line: bytes, place: Place, options: ReadOptions, seen: set[str]) -> Iterator[Found]:
    try:
        row = json.loads(line)
        images = row["images"]
        stated = images[0]["path"] if isinstance(images[0], dict) else images[0]
        picture = index.find(str(stated), near=folder_of(place.file))
    except UNREADABLE as error:
        yield trouble(error, place)
        return
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        yield Trouble("broken_labels", place, "This line is no JSON object with 'images'.", "Write it again.")
        return
    if picture in seen:
        yield Trouble("duplicate_name", place, f"The picture '{picture}' is labelled twice.", "Label it once.")
        return
    seen.add(picture)
    objects = row.get("objects") if isinstance(row.get("objects"), dict) else {}
    regions, troubles = sorted_out(_regions(objects, _texts(row), place, options))
    yield from troubles
    unit = "share" if objects.get("bbox_type") == "norm1" else "pixels"
    split = SPLIT_WORDS.get(stem_of(place.file).lower()) or split_of_path(picture)
    lost = len(troubles)
    yield LabelledFrame(picture, regions, place, split, unit=unit, left_out=lost)  # type: ignore[arg-type]


def _regions(
    objects: dict[str, Any], texts: list[dict[str, object]], place: Place, options: ReadOptions
) -> Iterator[Region | Trouble]:
    names, boxes = objects.get("ref") or [], objects.get("bbox") or []
    if not (isinstance(names, list) and isinstance(boxes, list) and len(names) in (1, len(boxes))) and boxes:
        yield Trouble("bad_record", place, f"There are {len(boxes)} boxes and not as many names in 'ref'.")
        return
    images = objects.get("image_id") or []
    for number, box in enumerate(boxes):
        here = Place(place.file, place.line, f"bbox[{number}]")
        if number < len(images) and images[number] not in (0, None):
            continue  # a region of another picture of this line
        name = names[number if len(names) > 1 else 0]
        if wrong := class_trouble(name, here, options):
            yield wrong
            continue
        try:
            x1, y1, x2, y2 = (float(value) for value in box)
            text = texts[number] if len(texts) == len(boxes) and texts[number] else None
            yield Region(name, box_of_corners(x1, y1, x2, y2), text=text, place=here)
        except (TypeError, ValueError) as error:
            bad = error if isinstance(error, BadGeometry) else BadGeometry("A bbox is a list of x1, y1, x2 and y2.")
            yield trouble(bad, here)


def _texts(row: dict[str, Any]) -> list[dict[str, object]]:
    """What the assistant's answer says of each region besides class and box, where it is the JSON that we write."""
    try:
        answer = next(one["content"] for one in row["messages"] if one["role"] == "assistant")
        entries = json.loads(answer.replace("<bbox>", "null"))
        return [{k: v for k, v in entry.items() if k not in ("defect_class", "box")} for entry in entries]
    except (KeyError, TypeError, ValueError, StopIteration, AttributeError, RecursionError):
        return []


def write(out: Path, frames: Sequence[StoredFrame], classes: Sequence[str]) -> None:
    """`SPLIT.jsonl` and `images/...`."""
    for split, chosen in writing.by_split(frames):
        for frame in chosen:
            writing.put(frame.source, out / "images" / frame.picture)
        writing.text(out / f"{split}.jsonl", "\n".join(json.dumps(_row(frame)) for frame in chosen))


def _row(frame: StoredFrame) -> dict[str, Any]:
    boxes = [_corners(region) for region in frame.regions]
    entries = [f'{{"defect_class": "<ref-object>", "box": <bbox>{_more(region)}}}' for region in frame.regions]
    return {
        "messages": [
            {"role": "user", "content": QUESTION},
            {"role": "assistant", "content": f"[{', '.join(entries)}]"},
        ],
        "images": [f"images/{frame.picture}"],
        "objects": {"ref": [region.class_name for region in frame.regions], "bbox": boxes, "bbox_type": "real"},
    }


def _corners(region: Region) -> list[float]:
    x, y, w, h = region.box_xywh
    return [rounded(x), rounded(y), rounded(x + w), rounded(y + h)]


def _more(region: Region) -> str:
    return "".join(f", {json.dumps(key)}: {json.dumps(value)}" for key, value in (region.text or {}).items())
