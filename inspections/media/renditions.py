"""Files made from stored pictures: what people and models see of them, thumbnails, crops, the golden template.

All can be deleted at any time and are made again by the decoder when they are next asked for. One conversion makes
them: whoever looks at a picture looks at this, in the pixels that boxes are measured in.
"""

import base64
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from aivd_web.kernel.errors import Unavailable
from inspections.media.decoding.depth import WINDOW
from inspections.models import Frame, Station

from . import storage
from .errors import DecoderBusy, IngestError
from .pictures import Picture, asked, examined, rendition_path

THUMBNAIL_PX = 480
THUMBNAIL_QUALITY = 82
CROP_QUALITY = 95
WAIT_S = 10.0
BoxXyxy = tuple[float, float, float, float]


class BadMedia(Exception):
    """The stored picture is missing or cannot be read any more."""


class Stored(Protocol):
    """A picture in the store, as far as a rendition needs to know it."""

    sha256: str
    bit_depth: int
    has_rendition: bool


class HasTemplate(Protocol):
    """What says which golden template is used, and how it is read."""

    @property
    def template_sha256(self) -> str: ...

    @property
    def bit_depth(self) -> str: ...


def shown_path(stored: Stored) -> Path:
    """The file of the picture as people see it. Raises BadMedia, or Unavailable while the decoder is busy."""
    if not stored.has_rendition:
        return storage.picture_path(stored)
    target = rendition_path(stored, stored.bit_depth)
    if not target.exists():
        _make_again(stored, target)
    return target


def shown_bytes(stored: Stored) -> bytes:
    try:
        return shown_path(stored).read_bytes()
    except OSError as error:
        raise BadMedia(f"The stored picture cannot be read: {error.strerror}.") from None


def shown_name(stored: Stored) -> str:
    """Changes with the bytes at `shown_path`; an ETag."""
    return f"{stored.sha256}-upright-{stored.bit_depth}" if stored.has_rendition else stored.sha256


def thumbnail_path(frame: Frame) -> Path:
    """A JPEG, at most 480 px on its longest side. Raises Unavailable where it cannot be made."""
    target = storage.derived_path(frame, f"{frame.bit_depth}-{THUMBNAIL_PX}.jpg")
    if not target.exists():
        try:
            job = {"do": "thumbnail", "path": str(shown_path(frame)), "side_px": THUMBNAIL_PX}
            _made(target, lambda out: _ask(job | {"out": str(out), "quality": THUMBNAIL_QUALITY}))
        except BadMedia:
            raise Unavailable("The thumbnail cannot be made now.", retry_after_s=30) from None
    return target


def lower_bytes(frame: Frame, quality: int) -> bytes:
    """The picture as a JPEG of that quality, encoded once; as it is where that is smaller. Raises as `shown_bytes`."""
    target = storage.derived_path(frame, f"{frame.bit_depth}-jpeg-{quality}.jpg")
    if not target.exists():
        job = {"do": "lower", "path": str(shown_path(frame)), "quality": quality}
        _made(target, lambda out: _ask(job | {"out": str(out)}))
    try:
        lower = target.read_bytes()
    except OSError as error:
        raise BadMedia(f"The picture of lower quality cannot be read: {error.strerror}.") from None
    shown = shown_bytes(frame)
    return lower if len(lower) < len(shown) else shown


def context_crops(frame: Frame, boxes_xyxy: Sequence[BoxXyxy], *, quality: int = CROP_QUALITY) -> list[bytes]:
    """A JPEG of each region with its surroundings. Raises BadMedia, or Unavailable while the decoder is busy."""
    return _cuts(shown_path(frame), frame.station.context_ratio, boxes_xyxy, quality) if boxes_xyxy else []


def template_crops(frame: Frame, boxes_xyxy: Sequence[BoxXyxy], *, quality: int = CROP_QUALITY) -> list[bytes]:
    """The same windows of the golden template, cut by the same code; b"" for each where the Station has none."""
    if not boxes_xyxy or not frame.station.template_sha256:
        return [b""] * len(boxes_xyxy)
    return _cuts(template_shown_path(frame.station), frame.station.context_ratio, boxes_xyxy, quality)


def _cuts(path: Path, context_ratio: float, boxes_xyxy: Sequence[BoxXyxy], quality: int) -> list[bytes]:
    job = {
        "do": "cut",
        "path": str(path),
        "boxes_xyxy": [list(box) for box in boxes_xyxy],
        "context_ratio": context_ratio,
        "quality": quality,
    }
    return [base64.b64decode(crop) for crop in _ask(job)["crops"]]


def template_bytes(station: Station) -> bytes:
    """The golden template as a Node takes it, or b"" where there is none. It goes the way of every frame.

    Raises BadMedia where it cannot be read or scaled: no frame is judged without the template that it should have.
    """
    if not station.template_sha256:
        return b""
    try:
        return template_shown_path(station).read_bytes()
    except OSError as error:
        raise BadMedia(f"The golden template cannot be read: {error.strerror}.") from None


def template_size(station: HasTemplate) -> int:
    """The bytes of what `template_bytes` gives, 0 where there is none; of the stored file until that is made."""
    if not station.template_sha256:
        return 0
    for path in (template_target(station), storage.picture_path(_Template(station.template_sha256))):
        with suppress(OSError):
            return path.stat().st_size
    return 0


def template_shown_path(station: Station) -> Path:
    """The file of the template as people see it, by the station's bit depth. Raises BadMedia or Unavailable."""
    template, target = _Template(station.template_sha256), template_target(station)
    if not target.exists():
        _made(target, lambda out: _make_template(template, station.bit_depth, out))
    return target


def template_target(station: HasTemplate) -> Path:
    return storage.derived_path(_Template(station.template_sha256), f"template-{station.bit_depth}")


@dataclass
class _Template:
    sha256: str


def _make_template(template: _Template, bit_depth: str, out: Path) -> None:
    """A copy also where the stored bytes would do: then the file's being there says that they were looked at."""
    stored = storage.picture_path(template)
    picture = _examined(stored, bit_depth, out)
    if picture.trouble:
        raise BadMedia(f"The golden template cannot be scaled. {picture.trouble}")
    if not picture.has_rendition:
        shutil.copyfile(stored, out)


def _make_again(stored: Stored, target: Path) -> None:
    """As it was made when the picture came in: by the bits that were used then, not by what a station says today."""

    def make(out: Path) -> None:
        picture = _examined(storage.picture_path(stored), str(stored.bit_depth or WINDOW), out)
        if picture.bit_depth != stored.bit_depth or not picture.has_rendition:
            raise BadMedia("The stored picture is not what it was when it came in.")

    _made(target, make)


def _examined(path: Path, bit_depth: str, out: Path) -> Picture:
    with _media_trouble():
        return examined(path, bit_depth=bit_depth, rendition=out, lock="store", wait_s=WAIT_S)


@contextmanager
def _media_trouble() -> Iterator[None]:
    """What the door would tell a sender is here a trouble of what is stored."""
    try:
        yield
    except DecoderBusy as busy:
        raise Unavailable(busy.detail, retry_after_s=busy.retry_after_s) from None
    except IngestError as error:
        raise BadMedia(f"The stored picture cannot be decoded. {error.detail}") from None


def _ask(job: dict[str, Any]) -> dict[str, Any]:
    with _media_trouble():
        return asked(job, lock="store", wait_s=WAIT_S)


def _made(target: Path, make: Callable[[Path], object]) -> None:
    """Under another name first, so that nobody is shown half a file; two makers end in the same picture."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        made = Path(folder) / "made"
        make(made)
        os.replace(made, target)
