"""Models that look at nothing and answer the same, so that a benchmark measures everything around them.

Loaded by a node's process as `python:benchmarks.models:ConstantDetector`, which knows no Django. Options after `?`
arrive as strings.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence

from scheduling.serving.appearance import Anything, TrainedOn
from scheduling.serving.contracts import (
    SHIPPED_CLASSES,
    SHIPPED_PRODUCT,
    AnswerEvent,
    DetectedRegion,
    RegionRequest,
    Rgb,
    SizeWh,
    TokenEvent,
)

DETECTOR = "python:benchmarks.models:ConstantDetector"
DESCRIBER = "python:benchmarks.models:ConstantDescriber"
ALLOWED = {"AIVD_ALLOW_TEST_MODELS": "1"}


class ConstantDetector:
    """Two regions in every frame, one of which reaches the usual threshold; `service_ms` is slept for each frame."""

    name = "constant-detector"
    version = "1"
    digest = hashlib.sha256(b"constant-detector 1").hexdigest()
    runtime = "python, constant"
    class_names = tuple(SHIPPED_CLASSES)
    trained_on = TrainedOn((SHIPPED_PRODUCT,), Anything())

    def __init__(self, service_ms: str = "0") -> None:
        self._service_s = float(service_ms) / 1000

    def detect(
        self,
        images: Sequence[Rgb],
        *,
        min_score: float = 0.05,
        templates: Sequence[Rgb | None] | None = None,
    ) -> list[list[DetectedRegion]]:
        time.sleep(self._service_s * len(images))
        regions = [
            DetectedRegion((100.0, 100.0, 140.0, 150.0), 0.9, 0, "open"),
            DetectedRegion((300.0, 320.0, 330.0, 350.0), 0.3, 1, "short"),
        ]
        return [[region for region in regions if region.score >= min_score] for _ in images]


class ConstantDescriber:
    """The same ten words about every region, `token_ms` apart."""

    name = "constant-describer"
    version = "1"
    digest = hashlib.sha256(b"constant-describer 1").hexdigest()
    runtime = "python, constant"

    def __init__(self, token_ms: str = "2") -> None:
        self._token_s = float(token_ms) / 1000

    def describe(
        self,
        crops: Sequence[Rgb],
        regions: Sequence[RegionRequest],
        *,
        class_names: Sequence[str],
        frame_size_wh: SizeWh,
        is_cancelled: Callable[[], bool],
        templates: Sequence[Rgb | None] | None = None,
    ) -> Iterator[TokenEvent | AnswerEvent]:
        words = [f"{word} " for word in ("The", "trace", "is", "cut", "through", "in", "its", "middle", "part", ".")]
        for region in regions:
            for word in words:
                if is_cancelled():
                    return
                time.sleep(self._token_s)
                yield TokenEvent(region.region_id, word)
            answer = {
                "defect_class": region.detector_class,
                "appearance": "".join(words).strip(),
                "probable_cause": "Over-etching.",
                "recommended_action": "Reject the board.",
                "confidence": "high",
            }
            yield AnswerEvent(region.region_id, answer, json.dumps(answer), True, (), len(words))
