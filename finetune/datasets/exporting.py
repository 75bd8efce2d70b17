"""Write a sealed version out in one of the field's formats: what came in can leave."""

import json
from pathlib import Path
from typing import Any

from finetune.datasets import sealing
from finetune.datasets.errors import BadSource, UnknownFormat
from finetune.datasets.formats import FORMATS
from finetune.datasets.formats.values import Region, StoredFrame, UnreadableSource
from finetune.models import DatasetVersion


def export(*, version: DatasetVersion, format: str, out: Path) -> int:
    """Fill the empty folder `out`; returns the number of frames. Raises UnknownFormat, or BadSource where the format
    cannot say what the version holds or the folder is in use."""
    if format not in FORMATS:
        raise UnknownFormat(f"There is no format '{format[:40]}'.", hint=f"Choose one of {', '.join(FORMATS)}.")
    if out.exists() and any(out.iterdir()):
        raise BadSource(f"'{out.name}' is not empty.", hint="Give a new folder.")
    out.mkdir(parents=True, exist_ok=True)
    folder = sealing.folder_of(version)
    with (folder / sealing.MANIFEST).open(encoding="utf-8") as lines:
        frames = [_stored(folder, json.loads(line)) for line in lines]
    try:
        FORMATS[format].write(out, frames, version.classes)
    except UnreadableSource as error:
        raise BadSource(error.detail, hint=error.hint) from None
    return len(frames)


def _stored(folder: Path, row: dict[str, Any]) -> StoredFrame:
    """A frame by its id, so that no two pictures have one name in the export."""
    template = row["template"]
    return StoredFrame(
        picture=f"{row['frame']}{Path(row['picture']).suffix}",
        source=str(folder / row["picture"]),
        width=row["width"],
        height=row["height"],
        split=row["split"],
        regions=tuple(_region(each) for each in row["regions"]),
        template=template,
        template_source=str(folder / template) if template else None,
    )


def _region(row: dict[str, Any]) -> Region:
    x, y, w, h = row["box"]
    polygon = tuple((px, py) for px, py in row["polygon"]) if row["polygon"] else None
    return Region(row["class"], (x, y, w, h), polygon, row["text"])
