"""What is put to the test: six unequal nodes, three lines of traffic, and what goes wrong when. Starts nothing."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO

from PIL import Image

DEADLINE_S = 0.4
WARM_UP_S = 4.0  # traffic before the count begins


@dataclass(frozen=True, slots=True)
class Profile:
    """One node: how long a frame takes there, and its link. `trace` names a file of the 5G data set."""

    name: str
    kind: str
    service_ms: float
    delay_ms: float = 0.0
    trace: str = ""
    bytes_s: float = 12_500_000.0


NODES = (
    Profile("edge-1", "edge", 180),
    Profile("edge-2", "edge", 75),
    Profile("edge-3", "edge", 75, delay_ms=10, trace="driving-1.csv"),
    Profile("edge-4", "edge", 110),
    Profile("cloud-1", "cloud", 25, delay_ms=40, trace="static-1.csv"),
    Profile("cloud-2", "cloud", 40, delay_ms=60, trace="static-2.csv"),
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line's traffic: frames come as a Poisson stream, for `burst_s` out of every `period_s` at `burst` times."""

    name: str
    frames_s: float
    bytes: int
    burst: float = 1.0
    burst_s: float = 0.0
    period_s: float = 1.0


LINES = (
    Line("steady", 18.0, 40_000),
    Line("large", 8.0, 90_000),
    Line("bursty", 12.0, 25_000, burst=3.0, burst_s=1.5, period_s=8.0),
)


@dataclass(frozen=True, slots=True)
class Fault:
    """`what` happens to `node` from `start_s` to `end_s`; a killed node is started again at `end_s`."""

    what: str
    node: str
    start_s: float
    end_s: float


FAULTS = (
    Fault("killed", "edge-2", 10.0, 14.0),
    Fault("stopped", "cloud-1", 20.0, 26.0),
    Fault("silent", "cloud-2", 30.0, 50.0),
)
"""The middle one of the edge, then the fastest node, then the link to the second fastest, each alone."""

LENGTH_S = 55.0
PHASES: dict[str, tuple[float, float]] = {
    "steady": (0.0, 10.0),
    "killed": (10.0, 18.0),
    "stopped": (20.0, 28.0),
    "silent": (30.0, 52.0),
}


@dataclass(frozen=True, slots=True)
class Arrival:
    """A frame that comes `at_s` after the start; before 0 it warms up and is not counted."""

    id: int
    at_s: float
    line: str
    bytes: int
    deadline_s: float = field(default=DEADLINE_S)


def arrivals(seed: int, *, lines: Sequence[Line] = LINES, length_s: float = LENGTH_S) -> list[Arrival]:
    """The frames of all lines in order; the same for the same seed."""
    found = []
    for line in lines:
        rng, at_s = random.Random(f"{seed} {line.name}"), -WARM_UP_S
        most = line.frames_s * line.burst
        while (at_s := at_s + rng.expovariate(most)) < length_s:
            rate = most if line.burst_s and at_s % line.period_s < line.burst_s else line.frames_s
            if rng.random() < rate / most:
                found.append((at_s, line.name, max(2_000, int(line.bytes * rng.lognormvariate(0.0, 0.3)))))
    return [Arrival(number, at_s, name, size) for number, (at_s, name, size) in enumerate(sorted(found))]


def picture(size_bytes: int) -> bytes:
    """A JPEG of about that many bytes that is quick to decode: a small picture, the rest are comments."""
    buffer = BytesIO()
    Image.linear_gradient("L").resize((32, 32)).convert("RGB").save(buffer, "JPEG")
    small, padding = buffer.getvalue(), b""
    while len(small) + len(padding) < size_bytes:
        length = min(60_000, size_bytes - len(small) - len(padding))
        padding += b"\xff\xfe" + (length + 2).to_bytes(2, "big") + b"." * length
    return small[:2] + padding + small[2:]
