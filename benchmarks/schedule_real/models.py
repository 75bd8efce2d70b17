"""A detector that only waits, as long as its declared profile says: a node of any speed on a machine with two cores.

Loaded by a node's process as `python:benchmarks.schedule_real.models:ProfiledDetector`, which knows no Django. Options
after `?` arrive as strings.
"""

import hashlib
import random
import time
from collections.abc import Sequence

from scheduling.serving.contracts import DetectedRegion, Rgb

DETECTOR = "python:benchmarks.schedule_real.models:ProfiledDetector"


class ProfiledDetector:
    """Waits a log-normal time with median `service_ms` and deviation `sigma` for each frame; answers one region."""

    name = "profiled-detector"
    version = "1"
    digest = hashlib.sha256(b"profiled-detector 1").hexdigest()
    runtime = "python, waits"
    class_names = ("open",)

    def __init__(self, service_ms: str = "50", sigma: str = "0.1", seed: str = "1") -> None:
        self._service_s, self._sigma = float(service_ms) / 1000, float(sigma)
        self._rng = random.Random(int(seed))

    def detect(
        self,
        images: Sequence[Rgb],
        *,
        min_score: float = 0.05,
        templates: Sequence[Rgb | None] | None = None,
    ) -> list[list[DetectedRegion]]:
        for _ in images:
            time.sleep(self._service_s * self._rng.lognormvariate(0.0, self._sigma))
        return [[DetectedRegion((4.0, 4.0, 20.0, 20.0), 0.9, 0, "open")] for _ in images]
