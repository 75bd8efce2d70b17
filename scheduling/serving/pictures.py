"""Turn encoded pictures into RGB pixels within bounds. Knows nothing of models or networks.

Rows and columns are those of the file: an EXIF orientation is not applied, so that boxes found in the
pixels fit the stored frame.
"""

import io
import warnings

import numpy as np
from PIL import Image, UnidentifiedImageError

from scheduling.serving.contracts import MAX_FRAME_BYTES, MAX_FRAME_PIXELS, BadFrame, Rgb, SizeWh

FORMATS = ("JPEG", "PNG")

# Pillow's own limit is lower, only warns at first, and holds for the whole process.
Image.MAX_IMAGE_PIXELS = MAX_FRAME_PIXELS
warnings.simplefilter("error", Image.DecompressionBombWarning)


def picture_size(data: bytes) -> SizeWh:
    """Width and height from the header, without decoding; raises `BadFrame`."""
    with _opened(data) as picture:
        return picture.size


def decode_picture(data: bytes) -> Rgb:
    """The whole picture as (height, width, 3) uint8 RGB; raises `BadFrame` if it is broken or too large."""
    with _opened(data) as picture:
        try:
            picture.load()
            return np.array(_eight_bits(picture).convert("RGB"))
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
    return _within_bounds(picture)


def _within_bounds(picture: Image.Image) -> Image.Image:
    width, height = picture.size
    if width * height > MAX_FRAME_PIXELS:
        picture.close()
        raise BadFrame(f"The picture has {width}x{height} pixels; at most {MAX_FRAME_PIXELS} are taken.")
    return picture


def _eight_bits(picture: Image.Image) -> Image.Image:
    """A 16-bit grey picture scaled to 8 bits; Pillow's own conversion would clip it to white."""
    if not picture.mode.startswith("I"):
        return picture
    return Image.fromarray((np.asarray(picture).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8))
