"""Small JPEGs of stored frames, made on first use and kept. They can be deleted at any time."""

import os
import tempfile
import threading
from pathlib import Path

from PIL import Image

from aivd_web.kernel.errors import Unavailable
from inspections.models import Frame

from . import storage

LONGEST_SIDE_PX = 480
QUALITY = 82
# A frame at the pixel cap takes about half a gigabyte while it is open, so only a few are at a time.
_decoding = threading.BoundedSemaphore(2)
WAIT_S = 20


def thumbnail_path(frame: Frame) -> Path:
    """The frame's thumbnail, at most 480 px on its longest side. Raises Unavailable where it cannot be made."""
    target = storage.derived_path(frame, f"{LONGEST_SIDE_PX}.jpg")
    if not target.exists():
        _make(storage.picture_path(frame), target)
    return target


def _make(source: Path, target: Path) -> None:
    if not _decoding.acquire(timeout=WAIT_S):
        raise Unavailable("Too many thumbnails are being made.", retry_after_s=5)
    try:
        with Image.open(source, formats=("JPEG", "PNG", "WEBP", "TIFF", "BMP")) as image:
            image.draft("RGB", (LONGEST_SIDE_PX, LONGEST_SIDE_PX))
            image.thumbnail((LONGEST_SIDE_PX, LONGEST_SIDE_PX))
            small = image.convert("RGB")
        _save(small, target)
    except OSError:
        raise Unavailable("The thumbnail cannot be made now.", retry_after_s=30) from None
    finally:
        _decoding.release()


def _save(small: Image.Image, target: Path) -> None:
    """Under another name first, so that nobody is shown half a file; two makers end in the same picture."""
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            small.save(file, "JPEG", quality=QUALITY, optimize=True)
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
