"""The one conversion: any picture that is taken, as people see it. Upright, 8 bits, flattened. Runs in the child.

Node, crops, thumbnail, viewer and boxes all use what this makes, or the stored file where that is it already.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile

from scheduling.serving.contracts import MAX_FRAME_BYTES, BadFrame
from scheduling.serving.pictures import picture_cost

from . import depth, formats
from .faults import BROKEN, INVISIBLE, TOO_LARGE, Refused
from .formats import DAMAGE, Samples

GROUND = (255, 255, 255)
"""What lies under transparent pixels: white, as on a sheet of paper."""

ORIENTATION = 0x0112
PLAIN_MODES = ("L", "RGB")
PLAIN_FORMATS = ("JPEG", "PNG")
DRAFT_SIZE = (80, 80)
MAX_DEEP_COLOUR_PIXELS = 50 * 2**20
"""Two decoders' pixels of one such picture are in memory at once, to be compared."""

Values = npt.NDArray[np.uint16]
Array = npt.NDArray[Any]

TURNS: dict[int, Callable[[Array], Array]] = {
    2: np.fliplr,
    3: lambda rows: np.rot90(rows, 2),
    4: np.flipud,
    5: lambda rows: rows.swapaxes(0, 1),
    6: lambda rows: np.rot90(rows, -1),
    7: lambda rows: np.rot90(rows, 2).swapaxes(0, 1),
    8: lambda rows: np.rot90(rows, 1),
}
TRANSPOSED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Upright:
    """The picture as people see it, and how many bits of its values were used (0: not certain, see `trouble`)."""

    image: Image.Image
    bits: int = 8
    trouble: str = ""


def is_drafted(image: ImageFile.ImageFile, path: Path) -> bool:
    """Whether to look at it costs little memory however large it is: a baseline JPEG that is upright already."""
    if image.format != "JPEG" or image.mode not in PLAIN_MODES or "progressive" in image.info:
        return False
    if formats.DOUBTFUL in image.info:
        return False
    return orientation(image) == 1 and _node_takes(path)


def is_plain(image: ImageFile.ImageFile, samples: Samples, path: Path) -> bool:
    """Whether the stored bytes are already what people see, in a form that a node takes. Decodes it to its end.

    A JPEG is decoded at an eighth of its size: that reads every byte, so a cut-off file is found, for a fraction of
    the time.
    """
    if image.format not in PLAIN_FORMATS or samples.deep or formats.DOUBTFUL in image.info or not _node_takes(path):
        return False
    if image.format == "JPEG" and image.mode in PLAIN_MODES and orientation(image) == 1:
        image.draft("L", DRAFT_SIZE)
        loaded(image)
        return True
    loaded(image)
    return image.mode in PLAIN_MODES and "transparency" not in image.info and orientation(image) == 1


def _node_takes(path: Path) -> bool:
    """By the node's own words: it counts what stands behind a JPEG too, such as the second picture of an MPO."""
    if path.stat().st_size > MAX_FRAME_BYTES:
        return False
    try:
        picture_cost(path.read_bytes())
    except BadFrame:
        return False
    return True


def orientation(image: Image.Image) -> int:
    """1 to 8; 0 where the metadata cannot be read, so that a picture without it has to be made."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            metadata = image.getexif()
            if image.info.get("exif") and not len(metadata):
                return 0
            found = int(metadata.get(ORIENTATION, 1))
    except MemoryError:
        raise
    except Exception:  # metadata may be anything; nobody else shall read it in another way
        return 0
    return found if 1 <= found <= 8 else 0


def loaded(image: ImageFile.ImageFile) -> None:
    try:
        image.load()
    except DAMAGE:
        raise Refused(BROKEN, "The picture cannot be decoded to its end.") from None


def made_upright(image: ImageFile.ImageFile, samples: Samples, path: Path, setting: str) -> Upright:
    """`setting` is the station's bit depth. Raises Refused."""
    if samples.deep and not _is_grey(image) and image.width * image.height > MAX_DEEP_COLOUR_PIXELS:
        raise Refused(TOO_LARGE, f"In 16-bit colour a picture has at most {MAX_DEEP_COLOUR_PIXELS:,} pixels.")
    loaded(image)
    if samples.deep:
        return _deep(image, samples, path, setting)
    turned = TRANSPOSED.get(orientation(image))
    flat = _flat(image)
    return Upright(flat if turned is None else flat.transpose(turned))


def _flat(image: Image.Image) -> Image.Image:
    """Grey or RGB, on the ground."""
    if image.mode in PLAIN_MODES and "transparency" not in image.info:
        return image
    if not image.has_transparency_data:
        return image.convert("L" if image.mode == "1" else "RGB")
    if image.mode in ("La", "RGBa"):
        image = image.convert({"La": "LA", "RGBa": "RGBA"}[image.mode])
    return _on_ground(image.convert("RGBA"))


def _on_ground(image: Image.Image) -> Image.Image:
    alpha = image.getchannel("A")
    if alpha.getextrema()[1] == 0:
        raise Refused(INVISIBLE, "Every pixel of the picture is transparent.")
    ground = Image.new("RGB", image.size, GROUND)
    ground.paste(image.convert("RGB"), mask=alpha)
    return ground


# -- more than 8 bits -----------------------------------------------------------------------------------


def _deep(image: ImageFile.ImageFile, samples: Samples, path: Path, setting: str) -> Upright:
    values = _grey(image) if _is_grey(image) else _colours(image, path)
    light = values if values.ndim == 2 else values[..., :3]
    found = depth.depth_of(setting, greatest=int(light.max()), file_bits=samples.bits, kept_bits=samples.kept_bits)
    table = depth.scale_table(found.bits) if found.bits else depth.window_table(light)
    if samples.white_is_zero:
        table = np.flip(np.arange(256, dtype=np.uint8))[table]
    return Upright(_eight_bits(values, table, image.info.get("transparency")), found.bits, found.trouble)


def _is_grey(image: Image.Image) -> bool:
    return image.mode.startswith("I;16")


def _grey(image: ImageFile.ImageFile) -> Values:
    values = np.asarray(image).astype(np.uint16, copy=False)
    return TURNS.get(orientation(image), np.asarray)(values)


def _colours(image: ImageFile.ImageFile, path: Path) -> Values:
    """(height, width, 3 or 4) upright. Pillow keeps only the high bytes of these, so OpenCV reads them.

    Both must have read the same picture: the high bytes are compared.
    """
    import cv2  # large, and few pictures need it

    data, turned = formats.without_orientation(path.read_bytes())
    high = TURNS.get(orientation(image), np.asarray)(np.asarray(image))  # a TIFF's is turned already
    read = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if read is None or read.dtype != np.uint16 or read.ndim != 3:
        raise Refused(BROKEN, "The picture's 16-bit values cannot be read.")
    values: Array = TURNS.get(turned or orientation(image), np.asarray)(read)
    values = values[..., ::-1] if values.shape[2] == 3 else values[..., [2, 1, 0, 3]]
    if values.shape[:2] != high.shape[:2] or any(
        not np.array_equal(values[..., channel] >> 8, high[..., channel]) for channel in range(3)
    ):
        raise Refused(BROKEN, "Two decoders read different pictures from this file.")
    return values.astype(np.uint16, copy=False)


def _alpha(values: Values, transparent: object) -> npt.NDArray[np.uint8] | None:
    """How opaque each pixel is; None where all are. `transparent` is PNG's value or colour that is not there."""
    if values.ndim == 3 and values.shape[2] == 4:
        return (values[..., 3] >> 8).astype(np.uint8)
    if values.ndim == 2 and isinstance(transparent, int):
        return np.where(values == transparent, 0, 255).astype(np.uint8)
    if values.ndim == 3 and isinstance(transparent, tuple):
        return np.where((values == np.array(transparent)).all(axis=2), 0, 255).astype(np.uint8)
    return None


def _eight_bits(values: Values, table: depth.Table, transparent: object) -> Image.Image:
    alpha = _alpha(values, transparent)
    small = Image.fromarray(table[values if values.ndim == 2 else values[..., :3]])
    if alpha is None:
        return small
    small = small.convert("RGB")
    small.putalpha(Image.fromarray(alpha))
    return _on_ground(small)
