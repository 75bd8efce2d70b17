"""Tell whether bytes are a whole picture that may be taken in, and have made what people see of it. Opens no file."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from aivd_web.kernel.parts import part
from inspections.media.decoding import faults
from inspections.media.decoding.decoder import Decoder
from inspections.media.decoding.depth import AUTO
from inspections.media.decoding.faults import Refused

from . import storage
from .errors import (
    BrokenPicture,
    DecoderBusy,
    IngestError,
    InvisiblePicture,
    NotAPicture,
    PictureTooCostly,
    PictureTooLarge,
    SeveralPictures,
    UnscaledPicture,
    UnsupportedSamples,
)

ERRORS: dict[str, type[IngestError]] = {
    faults.NOT_A_PICTURE: NotAPicture,
    faults.BROKEN: BrokenPicture,
    faults.TOO_LARGE: PictureTooLarge,
    faults.SEVERAL: SeveralPictures,
    faults.SAMPLES: UnsupportedSamples,
    faults.COSTLY: PictureTooCostly,
    faults.INVISIBLE: InvisiblePicture,
    faults.BUSY: DecoderBusy,
}
BUSY_AGAIN_S = 5
"""How long a sender waits for a decoder before it is asked to come again."""


@dataclass(frozen=True)
class Picture:
    """What came in. `width` and `height` are those of the upright picture, which everything is measured in.

    `has_rendition`: the bytes are not what people see, so an upright picture of 8 bits stands in for them.
    `bit_depth`: bits of its values that are used; 0 where that is not certain, and then `trouble` is the sentence
    that says why: such a picture can be looked at and cannot be inspected.
    """

    media_type: str
    width: int
    height: int
    bit_depth: int = 8
    has_rendition: bool = False
    trouble: str = ""


def check_picture(path: Path, *, bit_depth: str = AUTO) -> Picture:
    """Decode the file at `path` to its end. Raises IngestError: which ones, ERRORS says."""
    with checked(path, bit_depth=bit_depth) as (picture, _):
        return picture


def check_template(path: Path, *, bit_depth: str) -> Picture:
    """As `check_picture`; what could only be looked at is no golden template. Raises IngestError."""
    picture = check_picture(path, bit_depth=bit_depth)
    if picture.trouble:
        raise UnscaledPicture(picture.trouble)
    return picture


@contextmanager
def checked(path: Path, *, bit_depth: str) -> Iterator[tuple[Picture, Path]]:
    """The picture that came in, and the file of its rendition, which is gone afterwards unless it was moved."""
    rendition = path.with_name(f"{path.name}.rendition")
    try:
        yield examined(path, bit_depth=bit_depth, rendition=rendition), rendition
    finally:
        rendition.unlink(missing_ok=True)


def examined(
    path: Path, *, bit_depth: str, rendition: Path, lock: str = "door", wait_s: float | None = None
) -> Picture:
    """What the file at `path` holds; where its bytes are not what people see, that is written to `rendition`."""
    job = {"do": "check", "path": str(path), "bit_depth": bit_depth, "out": str(rendition)}
    answer = asked(job, lock=lock, wait_s=wait_s)
    return Picture(
        media_type=answer["media_type"],
        width=answer["width"],
        height=answer["height"],
        bit_depth=answer["bit_depth"],
        has_rendition=bool(answer["rendition"]),
        trouble=answer["trouble"],
    )


def asked(job: Mapping[str, Any], *, lock: str, wait_s: float | None) -> dict[str, Any]:
    """Have the decoder do it. Very large pictures under one `lock` take turns. Raises IngestError."""
    turns = {"lock": str(settings.MEDIA_DIR / f".large-{lock}")}
    try:
        return part(Decoder).ask({**job, **turns}, wait_s=wait_s)
    except Refused as refused:
        again_s = BUSY_AGAIN_S if refused.code == faults.BUSY else None
        raise ERRORS[refused.code](refused.detail, retry_after_s=again_s) from None


def keep_rendition(stored: storage.HasSha256, picture: Picture, made: Path) -> None:
    """Put what `checked` made where it is looked for. It can be made again, so nothing waits for the disk."""
    if picture.has_rendition:
        target = rendition_path(stored, picture.bit_depth)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(made, target)


def rendition_path(stored: storage.HasSha256, bit_depth: int) -> Path:
    return storage.derived_path(stored, f"upright-{bit_depth}")
