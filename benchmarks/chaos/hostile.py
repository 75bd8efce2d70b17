"""Uploads that no honest sender sends, as many as wanted from a seed. Knows no server.

Each kind is what public reports tell of: mutated and cut files, polyglots, lengths that are not true, bombs, hostile
metadata, archives; and a few that are small to send and costly to decode.
"""

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

from PIL import Image

FORMATS = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "TIFF": "image/tiff", "BMP": "image/bmp"}


@dataclass(frozen=True)
class Upload:
    """One request. `claims` is the Content-Length that it states where that is not the truth."""

    kind: str
    data: bytes
    content_type: str = "image/jpeg"
    headers: Mapping[str, bytes] = field(default_factory=dict)
    claims: int | None = None


def uploads(count: int, costly: int, *, seed: int) -> Iterator[Upload]:
    """`count` uploads, `costly` of them of the kinds that are dear to decode, in an order made by chance."""
    rng = random.Random(seed)
    order = [True] * costly + [False] * (count - costly)
    rng.shuffle(order)
    dear, cheap = list(COSTLY), list(CHEAP)
    numbers = {True: 0, False: 0}
    for is_costly in order:
        makers = dear if is_costly else cheap
        yield makers[numbers[is_costly] % len(makers)](rng)
        numbers[is_costly] += 1


@cache
def small(format: str) -> bytes:
    image = Image.effect_noise((96, 80), 60).convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, format)
    return buffer.getvalue()


def good(rng: random.Random) -> tuple[bytes, str]:
    name = rng.choice(list(FORMATS))
    return small(name), FORMATS[name]


# -- files ------------------------------------------------------------------------------------------


def mutated(rng: random.Random) -> Upload:
    data, content_type = good(rng)
    changed = bytearray(data)
    for _ in range(rng.choice((1, 3, 30, 300))):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return Upload("mutated", bytes(changed), content_type)


def cut(rng: random.Random) -> Upload:
    data, content_type = good(rng)
    return Upload("cut", data[: rng.randrange(len(data))], content_type)


def spliced(rng: random.Random) -> Upload:
    """The head of one format, the body of another."""
    (one, content_type), (other, _) = good(rng), good(rng)
    at = rng.choice((2, 4, 8, 12, 40, 200))
    return Upload("spliced", one[:at] + other[rng.choice((0, at)) :], content_type)


def polyglot(rng: random.Random) -> Upload:
    data, content_type = good(rng)
    page = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/><script>alert(1)</script>"
    return rng.choice(
        [
            Upload("polyglot", page + data, "image/svg+xml"),
            Upload("polyglot", b"GIF89a" + data, "image/gif"),
            Upload("polyglot", data + zipped({"a.jpg": data}), content_type),
            Upload("polyglot", b"%PDF-1.4\n" + data, "application/pdf"),
            Upload("polyglot", b"Image type: L\r\n".ljust(511, b"\0") + b"\x1a" + data, "image/tiff"),
            Upload("polyglot", data, "text/html; charset=utf-16"),
        ]
    )


def noise(rng: random.Random) -> Upload:
    start = rng.choice([b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"RIFF\xff\xff\xff\xffWEBP", b"II*\0", b"BM"])
    return Upload("noise", start + rng.randbytes(rng.choice((0, 1, 50, 5_000))), rng.choice(list(FORMATS.values())))


def wrong_length(rng: random.Random) -> Upload:
    data, content_type = good(rng)
    claims = rng.choice((0, 1, len(data) // 2, len(data) + 1, len(data) + 10_000, 2**31, 2**63))
    return Upload("wrong length", data, content_type, claims=claims)


def lying_header(rng: random.Random) -> Upload:
    """A few bytes that say that they are an enormous picture."""
    side = rng.choice((20_000, 60_000, 2**31 - 1))
    if rng.random() < 0.5:
        return Upload("bomb", png(side, side, b"\0" * 64), "image/png")
    header = b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54 + 64, 0, 0, 54, 40, side, side, 1, 24, 0, 0, 0, 0, 0, 0)
    return Upload("bomb", header + b"\0" * 64, "image/bmp")


# -- what is said about a file ----------------------------------------------------------------------


def hostile_metadata(rng: random.Random) -> Upload:
    data, content_type = good(rng)
    words = [
        b"0001-01-01T00:00:00+01:00", b"9999-12-31T23:59:59-05:00", b"-0001-01-01T00:00:00Z", b"infinity",
        b"2026-02-30T00:00:00Z", "Gehäuse-Nr 5".encode(), "Деталь".encode(), b"A\xed\xa0\xbd", b"\xff\xfe\xfd",
        b"x" * 7_000, b"../../etc/passwd", b"'; DROP TABLE inspections_frame; --", b"%00", b"\x7f", b"{{7*7}}",
        b"2026-01-01T00:00:00+99:99", b"1e400", b"NaN",
    ]  # fmt: skip
    names = ["X-Captured-At", "X-Part-Id", "X-File-Name", "Idempotency-Key", "Accept", "Content-Encoding", "Range"]
    headers = {name: rng.choice(words) for name in rng.sample(names, rng.randint(1, 3))}
    return Upload("metadata", data, content_type, headers)


def hostile_form(rng: random.Random) -> Upload:
    data, _ = good(rng)
    boundary = rng.choice([b"x", b"x" * 70, b"-", b""])
    name = rng.choice([b"file", b"", b"a" * 500, b"\xff\xfe", b'a";x="', b"../../x"])
    part = b'--x\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\n\r\n%s\r\n' % (name, name, data)
    body = part * rng.choice((1, 3)) + rng.choice([b"--x--\r\n", b"", b"--x", b"--y--"])
    return Upload("form", body, f"multipart/form-data; boundary={boundary.decode()}")


def hostile_exif(rng: random.Random) -> Upload:
    """An APP1 or APP2 segment of nonsense, or one that is longer than the file."""
    body = b"Exif\0\0" + rng.choice([b"II*\0\x08\0\0\0", b"MM\0*\xff\xff\xff\xff", b""]) + rng.randbytes(200)
    length = rng.choice((len(body) + 2, 2, 65_535))
    jpeg = small("JPEG")
    marker = rng.choice((b"\xff\xe1", b"\xff\xe2", b"\xff\xed"))
    return Upload("metadata", jpeg[:2] + marker + struct.pack(">H", length) + body + jpeg[2:])


# -- archives ---------------------------------------------------------------------------------------


def zipped(members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def hostile_zip(rng: random.Random) -> Upload:
    data, _ = good(rng)
    methods = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    archive = bytearray(
        rng.choice(
            [
                zipped({"../../../etc/cron.d/x.jpg": data, "C:\\x.jpg": data, "/abs.png": data}, rng.choice(methods)),
                zipped({f"{n}.png": b"not a picture" for n in range(200)}),
                zipped({"a.zip": zipped({"b.zip": zipped({"c.jpg": data})})}),
                zipped({"zeros.bmp": bytes(20_000_000)}),
                zipped({"good.jpg": small("JPEG"), "bad.jpg": data[:50]}, rng.choice(methods)),
                zipped({}),
            ]
        )
    )
    if rng.random() < 0.6:
        for _ in range(rng.choice((1, 5, 50))):
            archive[rng.randrange(len(archive))] = rng.randrange(256)
    if rng.random() < 0.2:
        del archive[rng.randrange(len(archive)) :]
    return Upload("zip", bytes(archive), rng.choice(["application/zip", "application/zip", "image/jpeg"]))


# -- small to send, dear to decode ------------------------------------------------------------------


def png(width: int, height: int, packed: bytes, *, depth: int = 8, colour: int = 0) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


@cache
def _flat_rows(row_bytes: int, rows: int) -> bytes:
    packer = zlib.compressobj(9)
    row = bytes(1 + row_bytes)
    return b"".join(packer.compress(row) for _ in range(rows)) + packer.flush()


def flat_png(rng: random.Random) -> Upload:
    """148 megapixels of one grey in a few hundred kilobytes."""
    side = 12_165
    return Upload("flat png", png(side, side, _flat_rows(side, side)), "image/png")


@cache
def _progressive(side: int) -> tuple[bytes, bytes]:
    """A progressive JPEG without its end, and its last scan."""
    buffer = io.BytesIO()
    Image.new("L", (side, side), 77).save(buffer, "JPEG", progressive=True, quality=60)
    data = buffer.getvalue()[:-2]
    return data, data[data.rindex(b"\xff\xda") :]


def many_scans(rng: random.Random) -> Upload:
    """Each scan makes a decoder go over the whole picture again."""
    data, scan = _progressive(2_000)
    return Upload("many scans", data + scan * 1_000 + b"\xff\xd9", "image/jpeg")


def deep_tiff(rng: random.Random) -> Upload:
    """Every strip is the same few bytes: a small file that unpacks to hundreds of megabytes of float or 16 bits."""
    side, rows = rng.choice((9_000, 12_000)), 100
    bits, kind, samples = rng.choice(((32, 3, 1), (16, 1, 1), (16, 1, 4)))
    strip = _strip(side * samples * bits // 8, rows)
    strips = side // rows
    at = 8
    data = b"II*\0" + struct.pack("<I", at + len(strip) + 8 * strips) + strip
    offsets, counts = len(data), len(data) + 4 * strips
    data += struct.pack("<I", at) * strips + struct.pack("<I", len(strip)) * strips
    tags = [
        (256, 4, 1, side), (257, 4, 1, side), (258, 3, 1, bits), (259, 3, 1, 8), (262, 3, 1, 2 if samples > 1 else 1),
        (273, 4, strips, offsets), (277, 3, 1, samples), (278, 4, 1, rows), (279, 4, strips, counts), (339, 3, 1, kind),
    ]  # fmt: skip
    body = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return Upload("deep tiff", data + struct.pack("<H", len(tags)) + body + b"\0\0\0\0", "image/tiff")


@cache
def _strip(row_bytes: int, rows: int) -> bytes:
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(row_bytes)) for _ in range(rows)) + packer.flush()


Maker = Callable[[random.Random], Upload]
CHEAP: tuple[Maker, ...] = (
    mutated, cut, spliced, polyglot, noise, wrong_length, lying_header, hostile_metadata, hostile_form, hostile_exif,
    hostile_zip,
)  # fmt: skip
COSTLY: tuple[Maker, ...] = (flat_png, many_scans, deep_tiff)
