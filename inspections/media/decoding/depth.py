"""How many bits of a deep value the camera uses, and the table that makes 8 bits of them. Pure arithmetic.

Nothing is clipped: what cannot be scaled with certainty gets no bits and a sentence, and is shown through a window.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

AUTO = "auto"
WINDOW = "window"
"""Instead of a station's setting: make what people see of a picture that could not be scaled."""

CONTAINER_BITS = 16
SURE_ABOVE = 2**14 - 1
"""Cameras use 10, 12, 14 or 16 bits of a 16-bit value; a greater value than this can only be one of 16."""

VALUES = 2**CONTAINER_BITS
WINDOW_SHARES = (0.5, 99.5)
"""Percentiles of the values that become black and white in what people see of an unscaled picture."""

Table = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Depth:
    """`bits` of the picture's values are used; 0 where that is not certain, and then `trouble` says why."""

    bits: int
    trouble: str = ""


def depth_of(setting: str, *, greatest: int, file_bits: int = CONTAINER_BITS, kept_bits: int = 0) -> Depth:
    """What the station's `setting` and the file's own words make of values up to `greatest`.

    `file_bits` are the bits of a value in the file: fewer than 16 are the file's word for it. `kept_bits` is PNG's
    sBIT: values were scaled up to 16 bits from so many, and values beyond those cannot be meant otherwise.
    """
    if setting == WINDOW:
        return Depth(0, "It is shown through a window of its values.")
    if setting != AUTO:
        return _stated(int(setting), greatest, file_bits)
    if file_bits < CONTAINER_BITS:
        return Depth(file_bits)
    if greatest > SURE_ABOVE or (kept_bits and greatest >= 2**kept_bits):
        return Depth(CONTAINER_BITS)
    return Depth(
        0,
        f"The picture has 16-bit values up to {greatest:,}: whether the camera uses 10, 12, 14 or 16 bits cannot "
        "be told by it. Set the bit depth of the station.",
    )


def _stated(bits: int, greatest: int, file_bits: int) -> Depth:
    if file_bits < CONTAINER_BITS and file_bits != bits:
        return Depth(0, f"The station's bit depth is {bits}, and the picture says {file_bits} of itself.")
    if greatest >= 2**bits:
        return Depth(
            0, f"The station's bit depth is {bits}, values up to {2**bits - 1:,}; the picture has one of {greatest:,}."
        )
    return Depth(bits)


def scale_table(bits: int) -> Table:
    """For each value its 8 bits, rounded: 0 stays 0, the greatest value of `bits` becomes 255."""
    values = np.arange(VALUES, dtype=np.float64) * (255.0 / (2**bits - 1))
    table: Table = np.minimum(np.rint(values), 255).astype(np.uint8)
    return table


def window_table(values: npt.NDArray[np.uint16]) -> Table:
    """Stretch what there is over black to white, for people; a picture of one value becomes grey."""
    low, high = _percentiles(values)
    if high <= low:
        return np.full(VALUES, 128, np.uint8)
    stretched = (np.arange(VALUES, dtype=np.float64) - low) * (255.0 / (high - low))
    table: Table = np.rint(stretched.clip(0, 255)).astype(np.uint8)
    return table


def _percentiles(values: npt.NDArray[np.uint16]) -> tuple[int, int]:
    counts: npt.NDArray[Any] = np.bincount(values.ravel(), minlength=VALUES)
    share = np.cumsum(counts) * (100.0 / values.size)
    low, high = (int(np.searchsorted(share, edge)) for edge in WINDOW_SHARES)
    return low, high
