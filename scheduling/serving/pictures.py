"""Turn encoded pictures into RGB pixels within bounds. Knows nothing of models or networks.

Rows and columns are those of the file: an EXIF orientation is not applied, so that boxes found in the
pixels fit the stored frame.
"""

import io
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import Image, UnidentifiedImageError

from scheduling.serving.contracts import (
    MAX_FRAME_BYTES,
    MAX_FRAME_PIXELS,
    MAX_JPEG_SCANS,
    MAX_SCANNED_PIXELS,
    BadFrame,
    Rgb,
    SizeWh,
)

FORMATS = ("JPEG", "PNG")

# Pillow's own limit is lower, only warns at first, and holds for the whole process.
Image.MAX_IMAGE_PIXELS = MAX_FRAME_PIXELS
warnings.simplefilter("error", Image.DecompressionBombWarning)


_START_OF_SCAN = b"\xff\xda"
"""Of a JPEG; in the scans themselves 0xFF is followed by something else (ITU-T T.81, B.1.1.5)."""


@dataclass(frozen=True, slots=True)
class PictureCost:
    """What decoding will take: pixels that are written, and those that are gone over, scan by scan."""

    size_wh: SizeWh
    scanned_pixels: int


def picture_size(data: bytes) -> SizeWh:
    """Width and height from the header, without decoding; raises `BadFrame`."""
    with _opened(data) as picture:
        return picture.size


def picture_cost(data: bytes) -> PictureCost:
    """What decoding will cost, without decoding; raises `BadFrame` where it is more than a picture may cost."""
    with _opened(data) as picture:
        width, height = picture.size
    return PictureCost((width, height), width * height * _scans(data))


def decode_picture(data: bytes) -> Rgb:
    """The whole picture as (height, width, 3) uint8 RGB; raises `BadFrame` if it is broken or too large."""
    with _opened(data) as picture:
        try:
            picture.load()
            plain = _eight_bits(picture)
            return np.array(plain if plain.mode == "RGB" else plain.convert("RGB"))
        except (OSError, SyntaxError, ValueError, MemoryError) as error:
            raise BadFrame(f"The picture cannot be decoded: {error}.") from error


def _opened(data: bytes) -> Image.Image:
    if not data:
        raise BadFrame("The picture is empty.")
    if len(data) > MAX_FRAME_BYTES:
        raise BadFrame(f"The picture has {len(data)} bytes; at most {MAX_FRAME_BYTES} are taken.")
    try:
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise BadFrame(f"These {len(data)} bytes are no {' or '.join(FORMATS)} picture.") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadFrame(f"The picture has more than {MAX_FRAME_PIXELS} pixels.") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise BadFrame(f"The picture's header cannot be read: {error}.") from error
    _refuse_many_scans(data, _within_bounds(picture).size)
    return picture


def _within_bounds(picture: Image.Image) -> Image.Image:
    width, height = picture.size
    if width * height > MAX_FRAME_PIXELS:
        picture.close()
        raise BadFrame(f"The picture has {width}x{height} pixels; at most {MAX_FRAME_PIXELS} are taken.")
    return picture


def _scans(data: bytes) -> int:
    """How often decoding goes over the whole picture: once, or once for each scan of a JPEG."""
    return max(1, data.count(_START_OF_SCAN)) if data.startswith(b"\xff\xd8") else 1


def _refuse_many_scans(data: bytes, size_wh: SizeWh) -> None:
    scans, pixels = _scans(data), size_wh[0] * size_wh[1]
    if scans > MAX_JPEG_SCANS:
        raise BadFrame(f"The picture is written in {scans} scans; at most {MAX_JPEG_SCANS} are taken.")
    if scans > 1 and scans * pixels > MAX_SCANNED_PIXELS:
        raise BadFrame(f"The picture has {pixels} pixels in {scans} scans, which takes too long to decode.")


def _eight_bits(picture: Image.Image) -> Image.Image:
    """A 16-bit grey picture scaled to 8 bits; Pillow's own conversion would clip it to white."""
    if not picture.mode.startswith("I"):
        return picture
    return Image.fromarray((np.asarray(picture).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8))
