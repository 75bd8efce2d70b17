"""Pictures of a Dataset come in by the door of all others: bounded, decoded to the end, kept by their sha256.

They are no Frames and make no Steps. How a picture looks is kept as a hash of 64 bits, so that pictures that are nearly
the same can be kept in one split.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from django.conf import settings
from PIL import Image

from aivd_web.kernel.errors import AivdError
from inspections.media import pictures, renditions, storage
from inspections.media.errors import IngestError, UnscaledPicture

LOOK_SIDE = 32
LOOK_KEPT = 8


@dataclass
class KeptPicture:
    """What a DatasetItem keeps of a picture in the store; the names are those of its columns."""

    sha256: str
    media_type: str
    width: int
    height: int
    bit_depth: int
    has_rendition: bool


def take_in(data: BinaryIO, *, bit_depth: str = "auto") -> KeptPicture:
    """Store a picture. Raises IngestError: what cannot be scaled with certainty is nothing to learn from."""
    with (
        storage.received(data, max_bytes=settings.MAX_UPLOAD_BYTES) as upload,
        pictures.checked(upload.path, bit_depth=bit_depth) as (picture, rendition),
    ):
        if picture.trouble:
            raise UnscaledPicture(picture.trouble)
        storage.keep(upload)
        kept = KeptPicture(
            upload.sha256,
            picture.media_type,
            picture.width,
            picture.height,
            picture.bit_depth,
            picture.has_rendition,
        )
        pictures.keep_rendition(kept, picture, rendition)
    return kept


def look_of(kept: KeptPicture) -> str:
    """The perceptual hash as 16 hexadecimal digits: the signs of the 63 lowest frequencies of a small grey copy.

    The copy is a thumbnail that the decoder made, so nothing unknown is opened here. Nothing where it cannot be made.
    """
    try:
        with Image.open(io.BytesIO(renditions.thumbnail_path(kept).read_bytes())) as thumbnail:  # type: ignore[arg-type]
            grey = np.asarray(thumbnail.convert("L").resize((LOOK_SIDE, LOOK_SIDE), Image.Resampling.BOX), float)
    except (AivdError, OSError):
        return ""
    low = np.asarray(cv2.dct(grey))[:LOOK_KEPT, :LOOK_KEPT].ravel()
    bits = low > np.median(low[1:])
    bits[0] = False  # the mean brightness says nothing of what is seen
    return f"{int(''.join('1' if bit else '0' for bit in bits), 2):016x}"


def shown_file(kept: renditions.Stored) -> Path:
    """The file of the upright picture, which regions are measured in. Raises AivdError."""
    try:
        path = renditions.shown_path(kept)
    except renditions.BadMedia as bad:
        raise IngestError(str(bad), hint="Import the picture again.") from None
    if not path.exists():
        raise IngestError("The stored picture is missing.", hint="Import the picture again.")
    return path
