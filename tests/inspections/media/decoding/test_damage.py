"""Files that are damaged, cut or put together in any way: each gets an answer, and the decoder lives on."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inspections.media.decoding import faults
from inspections.media.decoding.decoder import Decoder
from inspections.media.decoding.faults import Refused
from scheduling.serving.pictures import decode_picture
from tests import boards
from tests.boards import board, deep, deep_tiff, file_of, png_of

FILES = [
    file_of(board(3), "JPEG", orientation=6),
    file_of(board(3), "JPEG", progressive=True),
    file_of(board(3), "PNG"),
    file_of(board(3), "WEBP"),
    file_of(board(3), "TIFF", orientation=8),
    file_of(board(3), "TIFF", compression="tiff_lzw"),
    file_of(board(3), "BMP"),
    png_of(deep(board(), 16)),
    png_of(deep(board(4), 16)),
    deep_tiff(deep(board(3), 16), order=">", orientation=5),
    boards.by_opencv(deep(board(), 12), ".tiff"),
    boards.pages("TIFF"),
]


@pytest.fixture(scope="module")
def pool() -> Iterator[Decoder]:
    made = Decoder(children=1, wall_s=60.0)
    yield made
    made.close()


def outcome(pool: Decoder, job: dict[str, Any]) -> dict[str, Any] | Refused:
    try:
        return pool.ask(job)
    except Refused as refused:
        return refused


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A few bytes changed, the end cut off, or two files behind each other."""
    data = bytearray(draw(st.sampled_from(FILES)))
    header = draw(st.booleans())
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, min(len(data), 200 if header else len(data)) - 1))
        data[at] = draw(st.integers(0, 255))
    if draw(st.integers(0, 3)) == 0:
        del data[draw(st.integers(1, len(data))) :]
    if draw(st.integers(0, 5)) == 0:
        data += draw(st.sampled_from(FILES))
    return bytes(data)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=damaged(), bit_depth=st.sampled_from(("auto", "8", "12", "16", "window")))
def test_any_file_gets_an_answer_and_what_is_taken_a_node_takes(pool: Decoder, data: bytes, bit_depth: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "stored", Path(folder) / "out"
        path.write_bytes(data)
        job = {"do": "check", "path": str(path), "out": str(out), "lock": f"{folder}/lock", "bit_depth": bit_depth}
        answer = outcome(pool, job)
        if isinstance(answer, Refused):
            assert answer.code in faults.CODES
            assert answer.detail.endswith(".")
            return
        shown = out.read_bytes() if answer["rendition"] else data
        assert decode_picture(shown).shape == (answer["height"], answer["width"], 3)
        assert (answer["bit_depth"] == 0) == bool(answer["trouble"])
