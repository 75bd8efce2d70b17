"""How many bits of a deep value are used: certain, or said not to be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspections.media.decoding.depth import depth_of, scale_table, window_table

SETTINGS = ("auto", "8", "10", "12", "14", "16")


@given(
    setting=st.sampled_from(SETTINGS),
    greatest=st.integers(0, 65_535),
    file_bits=st.sampled_from((12, 16)),
    kept_bits=st.integers(0, 16),
)
def test_no_value_lies_beyond_the_bits_that_are_used(
    setting: str, greatest: int, file_bits: int, kept_bits: int
) -> None:
    """So nothing is ever clipped to white."""
    greatest = min(greatest, 2**file_bits - 1)
    found = depth_of(setting, greatest=greatest, file_bits=file_bits, kept_bits=kept_bits)
    assert bool(found.trouble) == (found.bits == 0)
    assert not found.bits or greatest < 2**found.bits


@pytest.mark.parametrize(
    ("setting", "greatest", "more", "bits"),
    [
        ("auto", 16_384, {}, 16),
        ("auto", 65_535, {}, 16),
        ("auto", 16_383, {}, 0),
        ("auto", 4_095, {}, 0),
        ("auto", 0, {}, 0),
        ("auto", 4_095, {"file_bits": 12}, 12),
        ("auto", 4_096, {"kept_bits": 12}, 16),
        ("auto", 4_095, {"kept_bits": 12}, 0),
        ("12", 4_095, {}, 12),
        ("12", 4_096, {}, 0),
        ("16", 900, {}, 16),
        ("16", 900, {"file_bits": 12}, 0),
        ("8", 256, {}, 0),
        ("8", 255, {}, 8),
        ("window", 65_535, {}, 0),
    ],
)
def test_what_is_certain(setting: str, greatest: int, more: dict[str, int], bits: int) -> None:
    assert depth_of(setting, greatest=greatest, **more).bits == bits


def test_the_reason_has_the_numbers() -> None:
    assert depth_of("auto", greatest=4_095).trouble == (
        "The picture has 16-bit values up to 4,095: whether the camera uses 10, 12, 14 or 16 bits cannot be told by "
        "it. Set the bit depth of the station."
    )
    assert depth_of("12", greatest=52_171).trouble == (
        "The station's bit depth is 12, values up to 4,095; the picture has one of 52,171."
    )


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_black_stays_black_white_becomes_white_and_order_is_kept(bits: int) -> None:
    table = scale_table(bits)
    assert (table[0], table[2**bits - 1]) == (0, 255)
    assert (np.diff(table[: 2**bits].astype(int)) >= 0).all()


@pytest.mark.parametrize("value", [0, 1, 4_095, 65_535])
def test_a_picture_of_one_value_is_shown_grey(value: int) -> None:
    assert window_table(np.full((4, 4), value, np.uint16))[value] == 128
