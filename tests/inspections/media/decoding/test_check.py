"""What the decoder makes of each kind of file: the one upright picture of 8 bits, or a refusal with a sentence."""

import io
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from aivd_web.kernel.parts import part
from inspections.media.decoding.decoder import Decoder
from inspections.media.decoding.faults import Refused
from scheduling.serving.pictures import decode_picture
from tests import boards
from tests.boards import board, chunk, deep, deep_tiff, file_of, on_the_mark, pages, png_of, seen, stored_rows

EXIF_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF")


class Checked:
    """What was answered about the bytes, and the picture that people see of them."""

    def __init__(self, tmp_path: Path, data: bytes, bit_depth: str = "auto") -> None:
        path, out = tmp_path / "stored", tmp_path / "rendition"
        path.write_bytes(data)
        job = {"do": "check", "path": str(path), "bit_depth": bit_depth, "out": str(out)}
        self.answer = part(Decoder).ask(job | {"lock": str(tmp_path / "lock")})
        self.shown = out.read_bytes() if self.answer["rendition"] else data
        self.size_wh = (self.answer["width"], self.answer["height"])

    @property
    def pixels(self) -> Any:
        return seen(self.shown)


Check = Callable[..., Checked]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    return lambda data, bit_depth="auto": Checked(tmp_path, data, bit_depth)


def near(pixels: Any, expected: Any, by: int = 1) -> bool:
    return pixels.shape == expected.shape and int(np.abs(pixels.astype(int) - expected.astype(int)).max()) <= by


# -- orientation ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", EXIF_FORMATS)
def test_the_mark_lies_where_people_see_it(check: Check, format: str, orientation: int) -> None:
    found = check(file_of(stored_rows(board(3), orientation), format, orientation=orientation))
    assert found.size_wh == (boards.WIDTH, boards.HEIGHT)
    assert on_the_mark(found.pixels)
    assert bool(found.answer["rendition"]) == (orientation > 1 or format in ("WEBP", "TIFF"))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("format", ["PNG", "TIFF <", "TIFF >"])
def test_deep_pictures_are_turned_too(check: Check, format: str, channels: int, orientation: int) -> None:
    rows = stored_rows(deep(board(channels), 16), orientation)
    if format == "PNG":
        data = png_of(rows, chunks=[chunk(b"eXIf", boards.exif(orientation).removeprefix(b"Exif\0\0"))])
    else:
        data = deep_tiff(rows, order=format[-1], orientation=orientation)
    found = check(data)
    assert found.size_wh == (boards.WIDTH, boards.HEIGHT)
    assert near(found.pixels, board())


@pytest.mark.parametrize("at", [6, 8, 9, 10, 14, 20])
@pytest.mark.parametrize("orientation", [1, 6])
def test_metadata_that_is_damaged_is_read_by_nobody_after_us(check: Check, at: int, orientation: int) -> None:
    """A browser might see an orientation where we see none: the rendition has no metadata at all."""
    data = bytearray(file_of(board(3), "JPEG", orientation=orientation))
    data[data.index(b"Exif\0\0") + at] ^= 0xFF
    found = check(bytes(data))
    assert b"Exif" not in found.shown
    assert found.answer["rendition"] == "jpg"


# -- depth ------------------------------------------------------------------------------------------------

WRITERS: dict[str, Callable[[Any], bytes]] = {
    "png": png_of,
    "tiff little": lambda values: deep_tiff(values, order="<"),
    "tiff big": lambda values: deep_tiff(values, order=">"),
    "opencv tiff": lambda values: boards.by_opencv(values, ".tiff"),
    "opencv png": lambda values: boards.by_opencv(values, ".png"),
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_deep_values_become_the_same_8_bits_by_the_stations_depth(
    check: Check, writer: str, channels: int, bits: int
) -> None:
    found = check(WRITERS[writer](deep(board(channels), bits)), str(bits))
    assert (found.answer["bit_depth"], found.answer["trouble"]) == (bits, "")
    assert near(found.pixels, board())


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bits", [10, 12, 14])
def test_fewer_bits_are_not_guessed_and_can_still_be_looked_at(
    check: Check, writer: str, channels: int, bits: int
) -> None:
    found = check(WRITERS[writer](deep(board(channels), bits)))
    assert found.answer["bit_depth"] == 0
    assert f"{int(deep(board(), bits).max()):,}" in found.answer["trouble"]
    assert on_the_mark(found.pixels)


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("setting", ["8", "10", "12", "14"])
def test_values_beyond_the_stations_depth_are_never_clipped(check: Check, writer: str, setting: str) -> None:
    found = check(WRITERS[writer](deep(board(), 16)), setting)
    assert found.answer["bit_depth"] == 0
    assert setting in found.answer["trouble"]


@pytest.mark.parametrize("writer", WRITERS)
def test_16_bits_that_are_used_need_no_setting(check: Check, writer: str) -> None:
    assert check(WRITERS[writer](deep(board(), 16))).answer["bit_depth"] == 16


def test_colour_keeps_its_channels_in_order(check: Check) -> None:
    values = np.zeros((20, 30, 3), np.uint16)
    values[..., 0], values[..., 2] = 65_535, 257 * 77
    for data in (png_of(values), deep_tiff(values), deep_tiff(values, order=">")):
        found = check(data)
        assert Image.open(io.BytesIO(found.shown)).getpixel((5, 5)) == (255, 0, 77)


def test_a_tiff_whose_white_is_zero_is_turned_round(check: Check) -> None:
    found = check(deep_tiff(65_535 - deep(board(), 16), white_is_zero=True))
    assert near(found.pixels, board())


def test_8_bit_pictures_need_no_depth_on_any_station(check: Check) -> None:
    for setting in ("auto", "8", "12", "16"):
        assert check(file_of(board(), "PNG"), setting).answer["bit_depth"] == 8


# -- kinds of values ----------------------------------------------------------------------------------------


def saved(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def float_tiff() -> bytes:
    return saved(Image.fromarray(board().astype(np.float32) / 255), "TIFF")


EXOTIC = {
    "float grey": float_tiff,
    "32-bit grey": lambda: saved(Image.fromarray(board().astype(np.int32)), "TIFF"),
    "float colour": lambda: boards.by_opencv(board(3).astype(np.float32), ".tiff"),
    "double grey": lambda: boards.by_opencv(board().astype(np.float64), ".tiff"),
    "signed 16 bits": lambda: boards.by_opencv(deep(board(), 14).astype(np.int16), ".tiff"),
    "Lab": lambda: saved(Image.new("LAB", (20, 20)), "TIFF"),
}


@pytest.mark.parametrize("kind", EXOTIC)
def test_values_of_other_kinds_are_refused_with_a_sentence(check: Check, kind: str) -> None:
    with pytest.raises(Refused) as refused:
        check(EXOTIC[kind]())
    assert refused.value.code == "unsupported_samples"
    assert refused.value.detail.endswith(".")


COLOURS: dict[str, Callable[[], bytes]] = {
    "1 bit": lambda: saved(Image.fromarray(board() > 128), "PNG"),
    "1 bit tiff": lambda: saved(Image.fromarray(board() > 128), "TIFF", compression="group4"),
    "palette": lambda: saved(Image.fromarray(board(3)).quantize(4), "PNG"),
    "palette bmp": lambda: saved(Image.fromarray(board(3)).quantize(4), "BMP"),
    "CMYK jpeg": lambda: saved(Image.fromarray(board(3)).convert("CMYK"), "JPEG", quality=95),
    "CMYK tiff": lambda: saved(Image.fromarray(board(3)).convert("CMYK"), "TIFF"),
    "YCbCr tiff": lambda: saved(Image.fromarray(board(3)).convert("YCbCr"), "TIFF"),
    "grey jpeg": lambda: file_of(board(), "JPEG"),
    "lzw tiff": lambda: saved(Image.fromarray(board(3)), "TIFF", compression="tiff_lzw"),
    "jpeg tiff": lambda: saved(Image.fromarray(board(3)), "TIFF", compression="jpeg", quality=95),
    "lossless webp": lambda: saved(Image.fromarray(board(3)), "WEBP", lossless=True),
    "bmp": lambda: file_of(board(3), "BMP"),
}


@pytest.mark.parametrize("kind", COLOURS)
def test_every_colour_mode_is_converted_in_one_place(check: Check, kind: str) -> None:
    assert on_the_mark(check(COLOURS[kind]()).pixels)


# -- transparency -------------------------------------------------------------------------------------------


def see_through() -> Any:
    """The mark is opaque and dark, the rest is transparent whatever its colour: on white, only the mark is dark."""
    alpha = np.where(board() == boards.MARK, 255, 0).astype(np.uint8)
    return np.dstack([board(3) * 0 + 30, alpha])


def trns(*values: int) -> bytes:
    return chunk(b"tRNS", b"".join(value.to_bytes(2) for value in values))


def palette_with_hole() -> bytes:
    image = Image.fromarray((board() == boards.MARK).astype(np.uint8)).convert("P")
    image.putpalette([200, 0, 0, 30, 30, 30])
    return saved(image, "PNG", transparency=0)


TWO = np.where(board() == boards.MARK, 30, 90).astype(np.uint8)
TRANSPARENT: dict[str, Callable[[], bytes]] = {
    "RGBA png": lambda: saved(Image.fromarray(see_through()), "PNG"),
    "RGBA webp": lambda: saved(Image.fromarray(see_through()), "WEBP", lossless=True),
    "RGBA tiff": lambda: saved(Image.fromarray(see_through()), "TIFF"),
    "LA png": lambda: saved(Image.fromarray(see_through()).convert("LA"), "PNG"),
    "LA 16 bits": lambda: png_of(deep(see_through()[..., 2:], 16)),
    "RGBA 16 bits": lambda: png_of(deep(see_through(), 16)),
    "palette with a hole": palette_with_hole,
    "grey that is not there": lambda: png_of(TWO, chunks=[trns(90)]),
    "colour that is not there": lambda: png_of(np.dstack([TWO] * 3), chunks=[trns(90, 90, 90)]),
    "16-bit grey that is not there": lambda: png_of(deep(TWO, 16), chunks=[trns(90 * 257)]),
    "16-bit colour that is not there": lambda: png_of(deep(np.dstack([TWO] * 3), 16), chunks=[trns(*[90 * 257] * 3)]),
}


@pytest.mark.parametrize("kind", TRANSPARENT)
def test_transparency_is_flattened_on_white(check: Check, kind: str) -> None:
    found = check(TRANSPARENT[kind](), "16")
    assert found.answer["rendition"]
    pixels = found.pixels
    assert pixels[0, 0] == 255
    assert pixels[14, 70] < 110


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF"])
def test_a_picture_that_is_nothing_but_transparent_is_refused(check: Check, format: str) -> None:
    with pytest.raises(Refused, match="Every pixel") as refused:
        check(saved(Image.new("RGBA", (20, 20), (200, 10, 10, 0)), format))
    assert refused.value.code == "invisible_picture"


# -- several pictures ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 3, 7, 20])
@pytest.mark.parametrize("format", ["TIFF", "WEBP", "PNG"])
def test_several_pictures_in_one_file_are_refused_with_their_number(check: Check, format: str, count: int) -> None:
    with pytest.raises(Refused, match=f"holds {count} pictures") as refused:
        check(pages(format, count))
    assert refused.value.code == "several_pictures"


def test_a_jpeg_with_a_second_picture_behind_it_is_the_jpeg_that_it_begins_with(check: Check) -> None:
    first, second = Image.fromarray(board(3)), Image.new("RGB", (40, 30), (200, 10, 10))
    buffer = io.BytesIO()
    first.save(buffer, "MPO", save_all=True, append_images=[second], quality=95)
    found = check(buffer.getvalue())
    assert found.answer["media_type"] == "image/jpeg"
    assert found.size_wh == first.size
    with Image.open(io.BytesIO(found.shown)) as image:
        assert on_the_mark(np.asarray(image.convert("L")))


# -- formats and costs ----------------------------------------------------------------------------------------

Image.init()
FIVE = {"JPEG", "PNG", "WEBP", "TIFF", "BMP", "DIB", "MPO"}
NOT_WRITTEN = {"BLP", "BUFR", "GRIB", "HDF5", "WMF"}  # by a Pillow without more libraries
OTHERS = sorted(set(Image.SAVE) - FIVE - NOT_WRITTEN)


def other_file(format: str) -> bytes:
    if format == "IM":  # Pillow warns that it will write none any more
        return b"Image type: L image\r\nImage size (x*y): 8*8\r\n".ljust(511, b"\0") + b"\x1a" + bytes(64)
    for mode in ("RGB", "L"):
        try:
            return saved(Image.new(mode, (32, 32), 1), format)
        except (OSError, ValueError):
            continue
    return saved(Image.new("1", (32, 32), 1), format)


@pytest.mark.parametrize("format", OTHERS)
def test_pillows_other_formats_are_no_pictures_here(check: Check, format: str) -> None:
    with pytest.raises(Refused) as refused:
        check(other_file(format))
    assert refused.value.code == "not_a_picture"


def test_a_file_of_two_formats_is_opened_as_the_one_that_its_first_bytes_say(check: Check) -> None:
    """Pillow's reader of IM looks for its header behind a TIFF's; only the TIFF's has a part in it here."""
    tiff = deep_tiff(deep(board(), 16))
    im = other_file("IM")
    assert check(tiff + im).size_wh == (boards.WIDTH, boards.HEIGHT)
    with pytest.raises(Refused):
        check(im + tiff)


@pytest.mark.parametrize("scans", [101, 150, 400, 1_000])
def test_a_jpeg_of_many_scans_is_refused_before_it_is_decoded(check: Check, scans: int) -> None:
    with pytest.raises(Refused, match=f"{scans:,} scans") as refused:
        check(boards.many_scans(scans))
    assert refused.value.code == "picture_too_costly"


def test_a_progressive_jpeg_of_a_camera_is_taken(check: Check) -> None:
    assert on_the_mark(check(file_of(board(3), "JPEG", progressive=True)).pixels)


def test_scans_times_pixels_are_bounded_by_the_header(check: Check) -> None:
    large = boards.many_scans(60)
    at = large.index(b"\xff\xc2") + 5
    large = large[:at] + (9_000).to_bytes(2) + (9_000).to_bytes(2) + large[at + 4 :]
    with pytest.raises(Refused, match="too many to decode in time"):
        check(large)


def test_16_bit_colour_is_bounded_by_its_header(check: Check) -> None:
    small = png_of(deep(board(3), 16))
    header = small[16:24]
    large = small.replace(header, (7_300).to_bytes(4) + (7_300).to_bytes(4), 1)
    body = large[12:29]
    large = large[:29] + zlib.crc32(body).to_bytes(4) + large[33:]
    with pytest.raises(Refused, match="In 16-bit colour") as refused:
        check(large)
    assert refused.value.code == "picture_too_large"


def test_a_jpeg_of_12_bits_is_refused_by_name(check: Check) -> None:
    data = bytearray(file_of(board(), "JPEG"))
    data[data.index(b"\xff\xc0") + 4] = 12
    with pytest.raises(Refused, match="12 bits a value") as refused:
        check(bytes(data))
    assert refused.value.code == "unsupported_samples"


@pytest.mark.parametrize("format", ["TIFF", "WEBP", "BMP"])
def test_what_no_browser_and_no_node_takes_gets_a_rendition(check: Check, format: str) -> None:
    found = check(file_of(board(3), format))
    assert found.answer["rendition"] == ("jpg" if format == "WEBP" else "png")
    assert found.shown[:4] in (b"\x89PNG", b"\xff\xd8\xff\xe0")


# -- the node ---------------------------------------------------------------------------------------------

BEHIND = {
    "a second progressive picture": lambda: file_of(board(3), "JPEG", progressive=True) * 20,
    "a thousand markers": lambda: file_of(board(3), "JPEG") + b"\xff\xda\x00\x08" * 1_000,
    "markers in a comment": lambda: file_of(board(3), "JPEG", comment=b"\xff\xda" * 500),
    "a video": lambda: file_of(board(3), "JPEG") + np.random.default_rng(7).bytes(20_000_000),
}
TAKEN = {**COLOURS, **BEHIND}


@pytest.mark.parametrize("kind", TAKEN)
def test_whatever_the_door_takes_a_node_takes(check: Check, kind: str) -> None:
    found = check(TAKEN[kind]())
    pixels = decode_picture(found.shown)
    assert pixels.shape == (found.size_wh[1], found.size_wh[0], 3)
    assert on_the_mark(pixels[..., 0])
