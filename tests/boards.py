"""Small pictures with one mark at a known place, written in every way in which cameras and desktops write them."""

import io
import struct
import zlib
from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

WIDTH, HEIGHT = 96, 64
GROUND, MARK = 40, 220
MARK_XYXY = (60.0, 8.0, 84.0, 20.0)
Array = npt.NDArray[Any]


def board(channels: int = 1) -> Array:
    """Upright, uint8, dark with one bright mark; (h, w) or (h, w, channels)."""
    values = np.full((HEIGHT, WIDTH), GROUND, np.uint8)
    x1, y1, x2, y2 = (int(edge) for edge in MARK_XYXY)
    values[y1:y2, x1:x2] = MARK
    return values if channels == 1 else np.dstack([values] * channels)


def deep(values: Array, bits: int) -> Array:
    """The same light in 16-bit values of which `bits` are used."""
    return np.rint(values.astype(np.float64) * ((2**bits - 1) / 255)).astype(np.uint16)


def stored_rows(upright: Array, orientation: int) -> Array:
    """The rows that a file must hold for `orientation` to turn them into `upright`."""
    rows = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a.swapaxes(0, 1), 2),
        8: lambda a: np.rot90(a, -1),
    }[orientation](upright)
    return np.ascontiguousarray(rows)


def exif(orientation: int) -> bytes:
    found = Image.Exif()
    found[0x0112] = orientation
    return found.tobytes()


def file_of(values: Array, format: str, *, orientation: int = 1, **options: Any) -> bytes:
    """An 8-bit file by Pillow; `orientation` only by its tag."""
    buffer = io.BytesIO()
    if format == "TIFF":
        options["tiffinfo"] = {0x0112: orientation}
    elif format != "BMP":
        options["exif"] = exif(orientation)
    if format in ("JPEG", "WEBP"):
        options.setdefault("quality", 95)
    Image.fromarray(values).save(buffer, format, **options)
    return buffer.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_of(values: Array, *, chunks: Iterable[bytes] = ()) -> bytes:
    """A PNG of 8 or 16 bits with 1 to 4 channels, written by hand: Pillow writes no 16-bit colour."""
    height, width = values.shape[:2]
    channels = 1 if values.ndim == 2 else values.shape[2]
    bits = 16 if values.dtype == np.uint16 else 8
    header = struct.pack(">IIBBBBB", width, height, bits, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    rows = values.astype(">u2" if bits == 16 else np.uint8).reshape(height, -1)
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    parts = [chunk(b"IHDR", header), *chunks, chunk(b"IDAT", body), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def deep_tiff(values: Array, *, order: str = "<", orientation: int = 1, white_is_zero: bool = False) -> bytes:
    """A plain 16-bit TIFF, grey or RGB, in either byte order."""
    height, width = values.shape[:2]
    channels = 1 if values.ndim == 2 else 3
    data = values.astype(f"{order}u2").tobytes()
    bits_at = 8
    data_at = bits_at + 2 * channels + (channels % 2) * 2
    photometric = 2 if channels == 3 else (0 if white_is_zero else 1)
    bits = (258, 3, channels, bits_at) if channels > 1 else (258, 3, 1, 16)
    tags = [
        (256, 4, 1, width), (257, 4, 1, height), bits, (259, 3, 1, 1), (262, 3, 1, photometric), (273, 4, 1, data_at),
        (274, 3, 1, orientation), (277, 3, 1, channels), (278, 4, 1, height), (279, 4, 1, len(data)),
    ]  # fmt: skip
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", data_at + len(data))
    head += struct.pack(f"{order}H", 16) * channels
    head += bytes(data_at - len(head))
    folder = struct.pack(f"{order}H", len(tags))
    for tag, kind, count, value in tags:
        short = kind == 3 and count == 1
        folder += struct.pack(f"{order}HHI", tag, kind, count)
        folder += struct.pack(f"{order}HH" if short else f"{order}I", *((value, 0) if short else (value,)))
    return head + data + folder + bytes(4)


def by_opencv(values: Array, suffix: str) -> bytes:
    return bytes(cv2.imencode(suffix, values)[1].tobytes())


def pages(format: str, count: int = 2) -> bytes:
    """The first page is clean, the others have the mark."""
    first, *rest = [Image.fromarray(np.full_like(board(3), GROUND))] + [
        Image.fromarray(np.roll(board(3), -3 * index, axis=1)) for index in range(count - 1)
    ]
    buffer = io.BytesIO()
    first.save(buffer, format, save_all=True, append_images=rest)
    return buffer.getvalue()


def many_scans(count: int) -> bytes:
    """A progressive JPEG whose last scan is there again and again, `count` scans in all."""
    plain = file_of(board(3), "JPEG", progressive=True)
    last = plain.rindex(b"\xff\xda")
    have = plain.count(b"\xff\xda")
    return plain[:last] + plain[last:-2] * (count - have + 1) + plain[-2:]


def seen(data: bytes) -> Array:
    """The pixels of a picture that needs no further word: what a browser would draw."""
    with Image.open(io.BytesIO(data)) as image:
        assert image.getexif().get(0x0112, 1) == 1
        assert image.mode in ("L", "RGB")
        return np.asarray(image.convert("L"))


def on_the_mark(pixels: Array, box_xyxy: tuple[float, float, float, float] = MARK_XYXY) -> bool:
    """Whether the box holds the bright mark, and what is beside it does not."""
    scale = pixels.shape[1] / WIDTH
    x1, y1, x2, y2 = (round(edge * scale) for edge in box_xyxy)
    middle = pixels[y1 + 3 : y2 - 3, x1 + 3 : x2 - 3]
    outside = pixels.astype(int).sum() - pixels[y1 - 3 : y2 + 3, x1 - 3 : x2 + 3].astype(int).sum()
    around = outside / (pixels.size - (y2 - y1 + 6) * (x2 - x1 + 6))
    return bool(middle.mean() > 180 and around < 80)
