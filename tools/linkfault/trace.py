"""How fast a link is at each moment: a constant, or a recorded trace that repeats. Pure; knows no sockets.

A trace is a CSV file with the columns `second` and `down_kbit_s`, one row a second, as in the 5G production
dataset of Raca et al. (MMSys 2020).
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

FLOOR_BYTES_S = 1_000.0
"""8 kbit/s: a trace's outages are long, but they end."""


class LinkRate(Protocol):
    """A link's capacity over time; moments are in seconds of one clock."""

    def at(self, moment: float) -> float:
        """Bytes a second at that moment; may be infinite."""
        ...

    def finish(self, start: float, size_bytes: float) -> float:
        """When the last of `size_bytes` has left that began to leave at `start`."""
        ...


@dataclass(frozen=True, slots=True)
class ConstantRate:
    bytes_s: float

    def at(self, moment: float) -> float:
        return self.bytes_s

    def finish(self, start: float, size_bytes: float) -> float:
        return start + size_bytes / self.bytes_s


@dataclass(frozen=True, slots=True)
class TraceRate:
    """`bytes_s[i]` holds during second i after `started_at`; after the last second it begins again."""

    bytes_s: Sequence[float]
    started_at: float

    def at(self, moment: float) -> float:
        return self.bytes_s[int(moment - self.started_at) % len(self.bytes_s)]

    def finish(self, start: float, size_bytes: float) -> float:
        offset, left = start - self.started_at, size_bytes
        while True:
            second = int(offset)
            rate = self.bytes_s[second % len(self.bytes_s)]
            carried = rate * (second + 1 - offset)
            if carried >= left:
                return self.started_at + offset + left / rate
            left -= carried
            offset = second + 1.0


def load_trace(path: Path, *, started_at: float) -> TraceRate:
    """Raises ValueError when the file is no trace, OSError when it cannot be read."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    try:
        rates = [max(float(row["down_kbit_s"]) * 1000 / 8, FLOOR_BYTES_S) for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a trace with a column down_kbit_s: {error}") from error
    if not rates:
        raise ValueError(f"{path} holds no rows")
    return TraceRate(rates, started_at)
