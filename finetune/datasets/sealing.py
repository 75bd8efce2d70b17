"""Seal a dataset: a folder with its pictures and a manifest that never changes, named by the manifest's digest.

    dataset.json     {"digest", "number", "product", "classes": [names], "counts", "seed", ...}
    manifest.jsonl   one frame a line: {"frame", "picture", "sha256", "width", "height", "split", "template", "regions":
                     [{"box": [x, y, w, h], "polygon": [[x, y], ...] or null, "class", "text", "source"}]}
    detector.jsonl   where frames came from reviews: what the detector had found on them, right or wrong:
                     {"frame", "boxes": [{"box": [x, y, w, h], "class", "score"}]}
    pictures/        upright pictures of 8 bits, by their sha256; templates among them

The folder is made under another name first and renamed when it is whole; sealing twice gives the same digest.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from finetune.datasets import pictures, splits
from finetune.datasets.errors import Unsealable
from finetune.datasets.splits import Candidate, Division
from finetune.models import Dataset, DatasetItem, DatasetVersion
from inspections.media import renditions
from inspections.models import DefectClass, Detection

FOLDER = "datasets"
MANIFEST = "manifest.jsonl"
DETECTED = "detector.jsonl"
HEAD = "dataset.json"
FORMAT = 1
CHUNK = 1024 * 1024
SIGNATURES = (
    (b"\x89PNG", ".png"),
    (b"\xff\xd8", ".jpg"),
    (b"RIFF", ".webp"),
    (b"BM", ".bmp"),
    (b"II", ".tif"),
    (b"MM", ".tif"),
)


@dataclass(frozen=True)
class SealOptions:
    """`shares` of train, val and test. `accept_gaps`: seal although a class has no sample in one of them."""

    seed: int = 0
    shares: Mapping[str, float] | None = None
    keep_stated: bool = True
    accept_gaps: bool = False


def seal(*, dataset: Dataset, by: str, options: SealOptions = SealOptions()) -> DatasetVersion:
    """Freeze what the dataset holds now. Raises Unsealable with every reason at once, or AivdError for a picture."""
    items = list(dataset.items.prefetch_related("regions__defect_class"))
    division = divided(items, options)
    classes = _classes(dataset, items)
    check(items, division, classes, accept_gaps=options.accept_gaps)
    counts = _counts(items, division)
    root = settings.MEDIA_DIR / FOLDER
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".sealing-") as made:
        lines = [_line(item, division.splits[str(item.pk)], Path(made)) for item in items]
        digest = _write_manifest(Path(made), lines, _detected(items))
        head = {
            "format": FORMAT,
            "digest": digest,
            "dataset": dataset.name,
            "product": dataset.product,
            "classes": classes,
            "counts": counts,
            "seed": options.seed,
        }
        _write(Path(made) / HEAD, json.dumps(head, indent=2) + "\n")
        folder = _put(Path(made), root / digest)
    return _row(dataset, digest, folder, classes, counts, division, options, by)


@transaction.atomic
def _row(
    dataset: Dataset,
    digest: str,
    folder: str,
    classes: list[str],
    counts: dict[str, Any],
    division: Division,
    options: SealOptions,
    by: str,
) -> DatasetVersion:
    """Numbered under the dataset's lock; what is sealed already under this digest is not sealed again."""
    Dataset.objects.select_for_update(no_key=True).get(pk=dataset.pk)
    last = dataset.versions.order_by("-number").first()
    if last is not None and last.digest == digest:
        return last
    return DatasetVersion.objects.create(
        dataset=dataset,
        number=last.number + 1 if last else 1,
        digest=digest,
        folder=folder,
        seed=options.seed,
        classes=classes,
        counts=counts,
        notes=_notes(division),
        sealed_by=by,
    )


def folder_of(version: DatasetVersion) -> Path:
    return Path(settings.MEDIA_DIR) / version.folder


# -- what goes where --------------------------------------------------------------------------------


def divided(items: Sequence[DatasetItem], options: SealOptions) -> Division:
    candidates = [
        Candidate(
            key=str(item.pk),
            classes=Counter(region.defect_class.name for region in item.regions.all()),
            group=item.group,
            look=item.look,
            stated=item.stated_split,
        )
        for item in items
    ]
    return splits.divide(
        candidates, seed=options.seed, shares=options.shares or splits.SHARES, keep_stated=options.keep_stated
    )


def check(
    items: Sequence[DatasetItem], division: Division, classes: Sequence[str], *, accept_gaps: bool = False
) -> None:
    """Raises Unsealable: what a training would only find out later."""
    wrong = []
    present = Counter(division.splits.values())
    for split in splits.SHARES:
        if not present[split]:
            wrong.append(f"No frame is in the split '{split}'.")
    by_class = _by_class(items, division)
    for name in classes if not accept_gaps else ():
        lacking = [split for split in ("train", "test") if present[split] and not by_class[name][split]]
        if lacking:
            wrong.append(f"The class '{name}' has no sample in {' and '.join(lacking)}.")
    if not classes:
        wrong.append("No frame shows a defect, so there is nothing to learn.")
    if wrong:
        raise Unsealable(
            " ".join(wrong), hint="Add frames of other boards or parts, or accept the gaps where a class is that rare."
        )


def _by_class(items: Sequence[DatasetItem], division: Division) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for item in items:
        for region in item.regions.all():
            found.setdefault(region.defect_class.name, Counter())[division.splits[str(item.pk)]] += 1
    return found


def _classes(dataset: Dataset, items: Sequence[DatasetItem]) -> list[str]:
    """Those that occur, in the order of the line's vocabulary."""
    present = {region.defect_class.name for item in items for region in item.regions.all()}
    names = DefectClass.objects.filter(line_id=dataset.line_id).order_by("position", "name")
    return [name for name in names.values_list("name", flat=True) if name in present]


def _counts(items: Sequence[DatasetItem], division: Division) -> dict[str, Any]:
    counts: dict[str, Any] = {}
    for item in items:
        split = counts.setdefault(
            division.splits[str(item.pk)], {"frames": 0, "without_defects": 0, "regions": Counter()}
        )
        regions = item.regions.all()
        split["frames"] += 1
        split["without_defects"] += not regions
        split["regions"].update(region.defect_class.name for region in regions)
    return counts


def _notes(division: Division) -> list[str]:
    if not division.leaks:
        return []
    return [f"The splits that the source states tear {division.leaks} groups of alike or related pictures apart."]


# -- the folder -------------------------------------------------------------------------------------


def _line(item: DatasetItem, split: str, made: Path) -> str:
    """The frame's line of the manifest, its files put into the folder. Raises AivdError for a missing picture."""
    picture, sha256 = _put_picture(made, pictures.shown_file(item))
    template = None
    if item.template_sha256:
        template, _ = _put_picture(made, _template_file(item))
    row = {
        "frame": str(item.pk),
        "picture": picture,
        "sha256": sha256,
        "width": item.width,
        "height": item.height,
        "split": split,
        "template": template,
        "group": item.group,
        "regions": [
            {
                "box": list(region.box_xywh),
                "polygon": region.polygon,
                "class": region.defect_class.name,
                "text": region.text,
                "source": region.source,
            }
            for region in item.regions.all()
        ],
    }
    return json.dumps(row, sort_keys=True, ensure_ascii=False, allow_nan=False)


def _template_file(item: DatasetItem) -> Path:
    """Raises AivdError."""
    if item.template_bit_depth is None and item.frame is not None:
        return renditions.template_shown_path(item.frame.station)
    kept = _Template(item.template_sha256, item.template_bit_depth or 8, item.template_has_rendition)
    return pictures.shown_file(kept)


@dataclass
class _Template:
    """A golden template as the store knows it."""

    sha256: str
    bit_depth: int
    has_rendition: bool


def _put_picture(made: Path, source: Path) -> tuple[str, str]:
    """A second name for the file under its own sha256: no byte is copied where the disk allows that."""
    sha256 = _sha256(source)
    name = f"pictures/{sha256}{_suffix(source)}"
    target = made / name
    target.parent.mkdir(exist_ok=True)
    if not target.exists():
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)
    return name, sha256


def _suffix(path: Path) -> str:
    """By the bytes: readers of the field go by a file's ending."""
    with path.open("rb") as file:
        head = file.read(4)
    return next((suffix for signature, suffix in SIGNATURES if head.startswith(signature)), "")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_manifest(made: Path, lines: Sequence[str], detected: Sequence[str]) -> str:
    """The digest is that of both files, one after the other."""
    text, found = "\n".join(lines) + "\n", "".join(f"{line}\n" for line in detected)
    _write(made / MANIFEST, text)
    if found:
        _write(made / DETECTED, found)
    return hashlib.sha256((text + found).encode()).hexdigest()


def _detected(items: Sequence[DatasetItem]) -> list[str]:
    """A line for each reviewed frame; its boxes beside the Marks are how a detector's errors are learned."""
    boxes: dict[Any, list[dict[str, Any]]] = {item.frame_id: [] for item in items if item.frame_id}
    for one in Detection.objects.filter(frame__in=boxes).select_related("defect_class").order_by("frame", "index"):
        box = [one.x1, one.y1, one.x2 - one.x1, one.y2 - one.y1]
        boxes[one.frame_id].append({"box": box, "class": one.defect_class.name, "score": one.score})
    rows = ({"frame": str(item.pk), "boxes": boxes[item.frame_id]} for item in items if item.frame_id)
    return [json.dumps(row, sort_keys=True, ensure_ascii=False, allow_nan=False) for row in rows]


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _put(made: Path, target: Path) -> str:
    """Rename the whole folder to its digest; where it is there already it is the same one."""
    if not target.exists():
        made.chmod(0o755)
        os.rename(made, target)
        made.mkdir()  # for the temporary folder to remove
    return f"{FOLDER}/{target.name}"
