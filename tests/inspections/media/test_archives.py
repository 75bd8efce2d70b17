"""Zips as desktops make them, and as nobody should: names, junk, bombs, and directories that lie."""

import io
import struct
import zipfile
import zlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inspections.media import archives
from inspections.media.archives import ArchiveTooLarge, BadArchive
from inspections.media.errors import IngestError


def zip_of(*members: tuple[Any, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def names(content: bytes) -> list[str]:
    with archives.members(io.BytesIO(content)) as found:
        return [member.name for member in found]


def codes(content: bytes) -> list[str]:
    """What each member's reading ends in."""
    ends = []
    with archives.members(io.BytesIO(content)) as found:
        for member in found:
            try:
                with member.opened() as file:
                    file.read()
                    ends.append("ok")
            except IngestError as error:
                ends.append(error.code)
    return ends


def without_flag(content: bytes) -> bytes:
    """As Finder writes it: names in UTF-8, and no flag that says so."""
    data = bytearray(content)
    for signature, at_flag in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(signature)
        while at >= 0:
            data[at + at_flag + 1] &= ~0x08
            at = data.find(signature, at + 4)
    return bytes(data)


# -- names ------------------------------------------------------------------------------------------


def test_a_name_that_begins_with_a_nul_is_a_file_like_another() -> None:
    """zipfile ends a name at a NUL, so this one is empty for it."""
    content = zip_of(("*a.jpg", b"a"), ("b.jpg", b"b")).replace(b"*a.jpg", b"\0a.jpg")
    assert len(names(content)) == 2
    assert len(codes(content)) == 2


@pytest.mark.parametrize("name", ["Prüfung/Gehäuse 5.jpg", "部品/左.png", "Корпус.jpg", "plain/a.jpg"])
def test_names_are_shown_as_a_person_sees_them(name: str) -> None:
    assert names(zip_of((name, b"x"))) == [name]
    assert names(without_flag(zip_of((name, b"x")))) == [name]


def test_a_name_of_an_old_tool_is_read_in_its_old_letters() -> None:
    content = zip_of(("Gehxuse.jpg", b"x")).replace(b"Gehxuse", b"Geh\x84use")
    assert names(content) == ["Gehäuse.jpg"]


def test_equal_names_in_folders_stay_distinct() -> None:
    content = zip_of(*((f"cam{n}/img.jpg", bytes([n])) for n in range(3)))
    assert names(content) == ["cam0/img.jpg", "cam1/img.jpg", "cam2/img.jpg"]


@pytest.mark.parametrize(
    "junk",
    ["__MACOSX/._a.jpg", "day/__MACOSX/x", "._a.jpg", "day/._a.jpg", "Thumbs.db", "day/THUMBS.DB", "desktop.ini",
     ".DS_Store", "day/.DS_Store", "Day/Desktop.ini"],
)  # fmt: skip
def test_what_desktops_put_beside_pictures_is_passed_over(junk: str) -> None:
    with archives.members(io.BytesIO(zip_of((junk, b"x"), ("a.jpg", b"y")))) as found:
        assert [(member.name, member.place) for member in found] == [("a.jpg", 1)]


def test_a_hidden_picture_is_still_a_picture() -> None:
    assert names(zip_of((".a.jpg", b"x"))) == [".a.jpg"]


# -- members that cannot be read --------------------------------------------------------------------


def damaged(method: int) -> bytes:
    """The first of two members is broken in its packed bytes."""
    body = bytes(range(256)) * 20
    data = bytearray(zip_of(("a.bmp", body), ("b.bmp", body[::-1]), method=method))
    for at in range(45, 75):
        data[at] ^= 0xA5
    return bytes(data)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_member_has_its_code_and_the_other_is_read(method: int) -> None:
    first, second = codes(damaged(method))
    assert first in ("broken_picture", "unknown_compression")
    assert second == "ok"


def stated(content: bytes, *, flags: int | None = None, method: int | None = None, size: int | None = None) -> bytes:
    """The first member with other words in both of its headers."""
    data = bytearray(content)
    for at, shift in ((data.find(b"PK\x03\x04"), 0), (data.find(b"PK\x01\x02"), 2)):
        if flags is not None:
            struct.pack_into("<H", data, at + 6 + shift, flags)
        if method is not None:
            struct.pack_into("<H", data, at + 8 + shift, method)
        if size is not None:
            struct.pack_into("<L", data, at + 22 + shift, size)
    return bytes(data)


TWO = zip_of(("a.bmp", b"a" * 500), ("b.bmp", b"b" * 500), method=zipfile.ZIP_DEFLATED)


def test_an_encrypted_member_says_so() -> None:
    assert codes(stated(TWO, flags=1)) == ["encrypted", "ok"]


@pytest.mark.parametrize("method", [1, 6, 9, 93, 95, 97, 98, 99, 65535])
def test_a_compression_that_nobody_knows_says_so(method: int) -> None:
    assert codes(stated(TWO, method=method)) == ["unknown_compression", "ok"]


def test_lzma_with_a_window_of_gigabytes_is_not_begun() -> None:
    data = bytearray(zip_of(("a.bmp", b"a" * 5000), ("b.bmp", b"b"), method=zipfile.ZIP_LZMA))
    struct.pack_into("<L", data, 30 + len("a.bmp") + 5, 0xFFFF_FFF0)
    assert codes(bytes(data)) == ["unknown_compression", "ok"]


def test_a_member_over_the_cap_is_not_unpacked(settings: Any) -> None:
    settings.MAX_UPLOAD_BYTES = 1_000
    assert codes(zip_of(("a.bmp", bytes(1_001)), ("b.bmp", b"b"))) == ["picture_too_large", "ok"]


# -- what is bounded before it is parsed ------------------------------------------------------------


def entry(name: bytes = b"a.jpg", *, offset: int = 0, size: int = 0) -> bytes:
    head = struct.pack(
        "<4s6H3L5H2L", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, size, size, len(name), 0, 0, 0, 0, 0, offset
    )
    return head + name


def end(*, entries: int, size: int, offset: int = 0, comment: bytes = b"") -> bytes:
    count = min(entries, 0xFFFF)
    return struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, size, offset, len(comment)) + comment


def end64(*, entries: int, size: int, offset: int) -> bytes:
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, entries, entries, size, offset)
    return record + struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1)


class Watched(io.BytesIO):
    """Knows the most that was read at once."""

    most = 0

    def read(self, size: int | None = -1) -> bytes:
        found = super().read(size)
        self.most = max(self.most, len(found))
        return found


def refused(content: bytes, error: type[IngestError]) -> Watched:
    file = Watched(content)
    with pytest.raises(error) as caught, archives.members(file):
        pass
    assert caught.value.hint
    return file


def test_a_million_entries_are_refused_before_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def parses(*args: Any) -> None:
        raise AssertionError("the directory was parsed")

    monkeypatch.setattr(zipfile, "ZipFile", parses)
    directory = entry() * 200_000
    for tail in (
        end(entries=0xFFFF, size=len(directory)),
        end(entries=1, size=len(directory)),  # it does not have to say how many
        end64(entries=1_000_000, size=len(directory), offset=0) + end(entries=1, size=46),
        end64(entries=1, size=len(directory), offset=0) + end(entries=1, size=46),
    ):
        assert refused(directory + tail, ArchiveTooLarge).most < 100_000


def test_more_entries_than_stated_are_counted() -> None:
    directory = entry(b"a") * (archives.MAX_ENTRIES + 1)
    refused(directory + end(entries=1, size=len(directory)), ArchiveTooLarge)


@pytest.mark.parametrize(
    "content",
    [
        b"PK\x03\x04",
        b"PK\x05\x06",
        end(entries=0, size=100),
        end(entries=1, size=46),
        end(entries=0, size=0, comment=b"x" * 60_000),
        entry() + end(entries=1, size=51, offset=2**31),
        end64(entries=1, size=2**40, offset=0)[-20:] + end(entries=1, size=46),
        end64(entries=2**60, size=0, offset=2**63) + end(entries=0xFFFF, size=2**32 - 1, offset=2**32 - 1),
        b"\x00" * 100 + end(entries=3, size=90),
        TWO[:-30],
        TWO + b"PK\x05\x06",
    ],
    ids=range(11),
)
def test_an_end_that_lies_is_refused(content: bytes) -> None:
    with pytest.raises(IngestError) as caught, archives.members(io.BytesIO(content)):
        pass
    assert caught.value.code in ("bad_archive", "archive_too_large")


def overlapping(members: int) -> bytes:
    """Each entry of the directory points at the same packed bytes, as the known bombs do."""
    body = bytes(1024 * 1024)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(body) + packer.flush()
    local = struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, 0, 8, 0, 0, zlib.crc32(body), len(packed), len(body), 1, 0)
    content, directory = local + b"a" + packed, b""
    for _ in range(members):
        directory += struct.pack(
            "<4s6H3L5H2L",
            b"PK\x01\x02",
            20,
            20,
            0,
            8,
            0,
            0,
            zlib.crc32(body),
            len(packed),
            len(body),
            1,
            0,
            0,
            0,
            0,
            0,
            0,
        )
        directory += b"a"
    return content + directory + end(entries=members, size=len(directory), offset=len(content))


def test_members_that_lie_over_each_other_are_refused() -> None:
    assert len(names(overlapping(1))) == 1
    for members in (2, 3, 50):
        refused(overlapping(members), BadArchive)


def test_a_member_longer_than_the_zip_is_refused() -> None:
    content = bytearray(zip_of(("a.bmp", b"x" * 100)))
    struct.pack_into("<2L", content, content.find(b"PK\x01\x02") + 20, 10_000, 10_000)
    refused(bytes(content), BadArchive)


GOOD = zip_of(("Prüfung/a.bmp", b"a" * 300), ("b.bmp", bytes(3000)), ("c/", b""), method=zipfile.ZIP_DEFLATED)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), max_size=12), st.integers(0, 40))
def test_whatever_is_changed_in_a_zip_it_is_read_or_refused_with_a_code(
    changes: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(GOOD)
    for at, value in changes:
        data[at] = value
    content = bytes(data[: len(data) - cut])
    try:
        ends = codes(content)
    except IngestError as error:
        ends = [error.code]
    assert ends


@given(st.binary(max_size=400), st.sampled_from([b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"]))
def test_whatever_begins_like_a_zip_is_refused_with_a_code(rest: bytes, start: bytes) -> None:
    with pytest.raises(IngestError), archives.members(io.BytesIO(start + rest)):
        pass
