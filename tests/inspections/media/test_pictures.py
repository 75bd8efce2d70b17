"""Which bytes are a picture."""

import io
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from inspections.media.decoding.formats import MEDIA_TYPES
from inspections.media.errors import BrokenPicture, NotAPicture, PictureTooLarge
from inspections.media.pictures import check_picture
from tests.cast import picture
from tests.threads import together


def saved(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "picture"
    path.write_bytes(data)
    return path


def png_header(width: int, height: int) -> bytes:
    """A PNG that says it is this large and has no pixels."""
    fields = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", fields) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("format", MEDIA_TYPES)
def test_five_formats_are_taken(tmp_path: Path, format: str) -> None:
    found = check_picture(saved(tmp_path, picture(1, size_wh=(33, 21), format=format)))
    assert (found.media_type, found.width, found.height) == (MEDIA_TYPES[format], 33, 21)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpegs_of_every_colour_mode_are_taken(tmp_path: Path, mode: str) -> None:
    buffer = io.BytesIO()
    Image.new(mode, (40, 30)).save(buffer, "JPEG")
    assert check_picture(saved(tmp_path, buffer.getvalue())).width == 40


@pytest.mark.parametrize(
    ("width", "height"), [(20_000, 20_000), (10_300, 10_300), (60_000, 60_000)], ids=["400M", "106M", "3600M"]
)
def test_a_bomb_is_refused_by_its_header(tmp_path: Path, width: int, height: int) -> None:
    with pytest.raises(PictureTooLarge, match="at most 104,857,600 are taken"):
        check_picture(saved(tmp_path, png_header(width, height)))


@pytest.mark.parametrize(
    "data",
    [b"\0" * 50, b"%PDF-1.7", b"PK\x03\x04" + bytes(40), b"GIF89a" + bytes(40), b"<html></html>", b"\xff\xd8"],
    ids=["zeros", "pdf", "zip", "gif", "html", "two bytes of a jpeg"],
)
def test_other_bytes_are_no_picture(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(NotAPicture):
        check_picture(saved(tmp_path, data))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
def test_a_file_that_ends_early_is_refused_wherever_it_ends(tmp_path: Path, format: str) -> None:
    buffer = io.BytesIO()
    Image.effect_noise((120, 90), 80).convert("RGB").save(buffer, format)
    whole = buffer.getvalue()
    for share in (0.2, 0.5, 0.8, 0.95):
        with pytest.raises((BrokenPicture, NotAPicture)):
            check_picture(saved(tmp_path, whole[: int(len(whole) * share)]))


def test_many_threads_may_check_at_once(tmp_path: Path) -> None:
    good, bomb = saved(tmp_path, picture(1)), tmp_path / "bomb"
    bomb.write_bytes(png_header(12_300, 12_300))

    def check(index: int) -> object:
        return check_picture(bomb if index % 2 else good)

    for index, answer in enumerate(together(20, check)):
        assert isinstance(answer, PictureTooLarge) == bool(index % 2), answer
