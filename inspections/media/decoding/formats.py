"""Open a file as one of the five formats, and tell what it holds before it is decoded. Runs in the decoder's child.

The first bytes choose the one Pillow plugin that ever sees the file, so that nothing is checked as one format and
inspected as another. What decoding may cost is bounded here by the header: pixels, scans, pages, kinds of values.
"""

import re
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path

from PIL import BmpImagePlugin, ImageFile, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

from scheduling.serving.contracts import MAX_FRAME_PIXELS, MAX_JPEG_SCANS, MAX_SCANNED_PIXELS

from .faults import BROKEN, COSTLY, NOT_A_PICTURE, SAMPLES, SEVERAL, TOO_LARGE, Refused

MEDIA_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "TIFF": "image/tiff",
    "BMP": "image/bmp",
}
# The classes themselves and not Image.open: a JPEG with a second picture behind it (MPO) is then a plain JPEG, and
# nothing that was put into Pillow's registry or in place of its `open` has a part in it.
PLUGINS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
}
SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    (b"BM", "BMP"),
)
# What Pillow's decoders raise on damaged files.
DAMAGE = (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, OverflowError, struct.error, RuntimeError)
UNKNOWN_TO_TIFF = ("unknown pixel mode", "unknown data organization")

DOUBTFUL = "doubtful"
"""In `image.info`: Pillow warned of the metadata, which another reader may read in another way."""

BITS_PER_SAMPLE, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339
ORIENTATION = 274
UNSIGNED, WHITE_IS_ZERO, RGB, SHORT = 1, 0, 2, 3


@dataclass(frozen=True)
class Samples:
    """The values of a picture's pixels: `bits` each; `kept_bits` is PNG's sBIT, 0 where there is none."""

    bits: int = 8
    kept_bits: int = 0
    white_is_zero: bool = False

    @property
    def deep(self) -> bool:
        return self.bits > 8


def opened(path: Path) -> ImageFile.ImageFile:
    """The picture, its header read and found affordable, not decoded. Raises Refused."""
    name = sniffed(path)
    if name == "JPEG":
        refuse_costly_jpeg(path)
    try:
        with warnings.catch_warnings(record=True) as doubts:
            warnings.simplefilter("always")
            image = _read_header(name, path)
    except MemoryError:
        raise
    except DAMAGE as error:
        if str(error) in UNKNOWN_TO_TIFF:
            raise Refused(SAMPLES, "This TIFF keeps its values in a form that is not taken in.") from None
        raise Refused(BROKEN, "The picture's header cannot be read.") from None
    if doubts:
        image.info[DOUBTFUL] = True
    refuse_large(image.size)
    refuse_several(image)
    return image


def _read_header(name: str, path: Path) -> ImageFile.ImageFile:
    """By its open file: of a path Pillow maps the pixels of some TIFFs, and then mixes up the sides of turned ones."""
    return PLUGINS[name](path.open("rb"))


def sniffed(path: Path) -> str:
    """The format by the first bytes. Raises Refused."""
    with path.open("rb") as file:
        start = file.read(12)
    if start[:4] == b"RIFF" and start[8:] == b"WEBP":
        return "WEBP"
    for signature, name in SIGNATURES:
        if start.startswith(signature):
            return name
    raise Refused(NOT_A_PICTURE, "This file is not a supported picture.")


def refuse_large(size_wh: tuple[int, int]) -> None:
    width, height = size_wh
    if width * height > MAX_FRAME_PIXELS:
        raise Refused(
            TOO_LARGE, f"The picture has {width:,} x {height:,} pixels; at most {MAX_FRAME_PIXELS:,} are taken."
        )
    if width < 1 or height < 1:
        raise Refused(BROKEN, "The picture has no pixels.")


def refuse_several(image: ImageFile.ImageFile) -> None:
    try:
        pages = int(getattr(image, "n_frames", 1))
    except DAMAGE:
        raise Refused(BROKEN, "The picture's pages cannot be counted.") from None
    if pages > 1:
        kind = "pages" if image.format == "TIFF" else "animation frames"
        raise Refused(SEVERAL, f"The file holds {pages:,} pictures ({kind}); one file is one picture.")


# -- kinds of values ----------------------------------------------------------------------------------


def samples_of(image: ImageFile.ImageFile, path: Path) -> Samples:
    """Raises Refused for values that are no light that was counted: floating point, signed, 32 bits, Lab."""
    if image.format == "PNG":
        found = _samples_of_png(path)
    elif isinstance(image, TiffImagePlugin.TiffImageFile):
        found = _samples_of_tiff(image)
    else:
        found = Samples()
    if image.mode in ("F", "I", "LAB", "HSV"):
        raise Refused(SAMPLES, f"The picture's values are of a kind that is not taken in ({image.mode}).")
    return found


def _samples_of_png(path: Path) -> Samples:
    with path.open("rb") as file:
        header = file.read(33)
        bits, kept = header[24], 0
        while (chunk := file.read(8))[4:] not in (b"IDAT", b"IEND", b"") and len(chunk) == 8:
            length = int.from_bytes(chunk[:4])
            if chunk[4:] == b"sBIT" and 1 <= length <= 4:
                kept = max(file.read(length))
                length = 0
                file.seek(4, 1)
                continue
            file.seek(length + 4, 1)
    return Samples(bits=bits, kept_bits=kept if bits > 8 else 0)


def _samples_of_tiff(image: TiffImagePlugin.TiffImageFile) -> Samples:
    kinds = set(image.tag_v2.get(SAMPLE_FORMAT, (UNSIGNED,)))
    if kinds != {UNSIGNED}:
        raise Refused(SAMPLES, "The picture's values are signed or floating point; unsigned ones are taken.")
    bits = max(image.tag_v2.get(BITS_PER_SAMPLE, (1,)))
    photometric = image.tag_v2.get(PHOTOMETRIC, WHITE_IS_ZERO)
    deep_colour = bits > 8 and image.mode not in ("I;16", "I;16B")
    if deep_colour and (photometric != RGB or image.mode != "RGB" or "X;" in str(image.tile)):
        raise Refused(SAMPLES, f"A TIFF of {bits} bits is taken as grey or as three colours only.")
    return Samples(bits=bits, white_is_zero=bits > 8 and photometric == WHITE_IS_ZERO)


def without_orientation(data: bytes) -> tuple[bytes, int]:
    """A TIFF that says it is upright, and what it said before; 0 and the same bytes for anything else.

    OpenCV turns pictures of 16 bits itself, and fails where the sides change places.
    """
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(data[:4])
    if order is None:
        return data, 0
    changed = bytearray(data)
    at = struct.unpack_from(f"{order}I", data, 4)[0]
    for entry in range(at + 2, at + 2 + 12 * struct.unpack_from(f"{order}H", data, at)[0], 12):
        tag, kind = struct.unpack_from(f"{order}HH", data, entry)
        if tag == ORIENTATION and kind == SHORT:
            said = struct.unpack_from(f"{order}H", data, entry + 8)[0]
            struct.pack_into(f"{order}H", changed, entry + 8, 1)
            return bytes(changed), int(said)
    return data, 0


# -- JPEG ---------------------------------------------------------------------------------------------

MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])", re.DOTALL)
EOI, SOS, TEM = 0xD9, 0xDA, 0x01
SOI = 0xD8
SOF = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


def refuse_costly_jpeg(path: Path) -> None:
    """Count the scans of the first picture in the file: each is a pass over all of it. Raises Refused."""
    data = path.read_bytes()
    position, scans, pixels = 2, 0, 0
    while match := MARKER.search(data, position):
        kind, position = match[1][0], match.end()
        if kind == EOI:
            break
        if kind in (SOI, TEM):
            continue
        if kind in SOF:
            pixels = max(pixels, _frame_pixels(data, position))
        scans += kind == SOS
        position += int.from_bytes(data[position : position + 2])
    if scans > MAX_JPEG_SCANS:
        raise Refused(COSTLY, f"This JPEG has {scans:,} scans; at most {MAX_JPEG_SCANS} are taken.")
    if scans > 4 and scans * pixels > MAX_SCANNED_PIXELS:
        raise Refused(COSTLY, f"This JPEG of {pixels:,} pixels has {scans:,} scans: too many to decode in time.")


def _frame_pixels(data: bytes, position: int) -> int:
    header = data[position + 2 : position + 7]
    if len(header) == 5 and header[0] != 8:
        raise Refused(SAMPLES, f"This JPEG has {header[0]} bits a value; 8 are taken.")
    return int.from_bytes(header[1:3]) * int.from_bytes(header[3:5])
