"""Links of the simulator: how fast bytes leave for a Node, second by second.

A trace is read from `AIVD_DATA/5g/NAME.csv` (one line a second, kilobits); without that folder a synthetic one of the
same character is made from its name. Knows nothing of Nodes or policies.
"""

import csv
import math
import os
import random
from bisect import bisect_right
from functools import lru_cache
from pathlib import Path

FLOOR_KBIT_S = 8.0
SYNTHETIC = {  # mean Mbit/s, spread of the log rate, share of seconds in an outage
    "static": (55.0, 0.9, 0.08),
    "driving": (15.0, 1.2, 0.12),
}


@lru_cache(maxsize=32)
def trace(name: str) -> tuple[float, ...]:
    """Bytes a second for each second of the trace."""
    folder = os.environ.get("AIVD_DATA")
    path = Path(folder) / "5g" / f"{name}.csv" if folder else None
    if path is None or not path.is_file():
        return synthetic(name)
    with path.open(newline="") as lines:
        rates = [max(FLOOR_KBIT_S, float(row["down_kbit_s"])) for row in csv.DictReader(lines)]
    return tuple(1000 * rate / 8 for rate in rates)


def is_synthetic(name: str) -> bool:
    folder = os.environ.get("AIVD_DATA")
    return not (folder and (Path(folder) / "5g" / f"{name}.csv").is_file())


def synthetic(name: str, seconds: int = 1800) -> tuple[float, ...]:
    """A radio-like trace: log-normal AR(1) rate with outages of 1 to 20 s."""
    mean, spread, outage_share = SYNTHETIC[name.split("-")[0]]
    rng = random.Random(name)
    level, rates = 0.0, list[float]()
    while len(rates) < seconds:
        if rng.random() < outage_share / 8:
            rates += [FLOOR_KBIT_S] * rng.randint(1, 15)
        level = 0.9 * level + math.sqrt(1 - 0.81) * rng.gauss(0, spread)
        rates.append(max(FLOOR_KBIT_S, 1000 * mean * math.exp(level - spread * spread / 2)))
    return tuple(1000 * rate / 8 for rate in rates[:seconds])


class Link:
    """Carries bytes at `rates[second]`, starting `offset_s` into the trace and repeating at its end."""

    def __init__(self, rates: tuple[float, ...], offset_s: int, seconds: int) -> None:
        self.rates = [rates[(offset_s + s) % len(rates)] for s in range(seconds)]
        self.sums = [0.0]
        for rate in self.rates:
            self.sums.append(self.sums[-1] + rate)

    def rate_at(self, at: float) -> float:
        return self.rates[min(int(at), len(self.rates) - 1)]

    def carried(self, at: float) -> float:
        """Bytes that could have left from time 0 until `at`."""
        second = min(int(at), len(self.rates) - 1)
        return self.sums[second] + (at - second) * self.rates[second]

    def finish(self, start: float, size: float) -> float:
        """When `size` bytes that start to leave at `start` have left."""
        target = self.carried(start) + size
        second = min(bisect_right(self.sums, target) - 1, len(self.rates) - 1)
        return second + (target - self.sums[second]) / self.rates[second]

    def window(self, start: int, end: int) -> list[float]:
        return self.rates[start:end]


class SteadyLink(Link):
    """A link of one rate, in closed form."""

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def rate_at(self, at: float) -> float:
        return self.rate

    def carried(self, at: float) -> float:
        return at * self.rate

    def finish(self, start: float, size: float) -> float:
        return start + size / self.rate

    def window(self, start: int, end: int) -> list[float]:
        return [self.rate] * (end - start)
