"""Models with known answers for nodes that tests start: `python:tests.node_fakes:ConstantDetector`.

They run inside a node's process, which knows no Django. Options after `?` arrive as strings.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from scheduling.serving.appearance import Anything, TrainedOn
from scheduling.serving.contracts import (
    AnswerEvent,
    BadFrame,
    DetectedRegion,
    RegionRequest,
    Rgb,
    SizeWh,
    TokenEvent,
)

CLASS_NAMES = ("open", "short", "mousebite", "spur", "copper", "pin-hole")
SCORES = (0.9, 0.5, 0.2)
FAILS, REFUSED, SLOW = 13, 17, 37
WRONG = {19: "score", 23: "class", 29: "box"}
WORDS = ("A ", "notch ", "at ", "the ", "left ", "edge ", "of ", "the ", "trace.")


class ConstantDetector:
    """Three regions in every frame, at a quarter, a half and three quarters of its size.

    `service_ms` is slept for each frame of a batch, and while a file `gate` exists no batch ends. The width of a
    frame can ask for trouble: at `FAILS` pixels the detector fails, at `REFUSED` it takes the frame for bad, at `SLOW`
    it takes `slow_s` longer, and at those of `WRONG` a region lies nowhere in the way that is named there.
    """

    name = "constant-detector"
    version = "3"
    digest = hashlib.sha256(b"constant-detector 3").hexdigest()
    runtime = "python"
    class_names: tuple[str, ...] = CLASS_NAMES
    trained_on = TrainedOn(("bare-pcb",), Anything())

    def __init__(self, service_ms: str = "0", scores: str = "", gate: str = "", slow_s: str = "0") -> None:
        self._slow_s = float(slow_s)
        self._gate = Path(gate) if gate else None
        self._service_s = float(service_ms) / 1000
        self._scores = tuple(float(score) for score in scores.split(",")) if scores else SCORES

    def detect(
        self,
        images: Sequence[Rgb],
        *,
        min_score: float = 0.05,
        templates: Sequence[Rgb | None] | None = None,
    ) -> list[list[DetectedRegion]]:
        widths = [image.shape[1] for image in images]
        if FAILS in widths:
            raise RuntimeError(f"a frame of {FAILS} pixels")
        if REFUSED in widths:
            raise BadFrame(f"A frame of {REFUSED} pixels is not taken.")
        time.sleep(self._service_s * len(images) + self._slow_s * widths.count(SLOW))
        while self._gate is not None and self._gate.exists():
            time.sleep(0.02)
        return [self._regions(image, min_score) for image in images]

    def _regions(self, image: Rgb, min_score: float) -> list[DetectedRegion]:
        height, width = image.shape[:2]
        regions = [
            DetectedRegion((width * i / 4, height * i / 4, width * i / 4 + 8, height * i / 4 + 8), score, i, name)
            for i, (score, name) in enumerate(zip(self._scores, CLASS_NAMES, strict=False), start=0)
            if score >= min_score
        ]
        return [_wronged(regions[0], WRONG[width]), *regions[1:]] if width in WRONG else regions


class GridDetector(ConstantDetector):
    """A region for each whole cell of `CELL_PX`: as many as the picture is large. It is sure of all but the top row."""

    name = "grid-detector"
    version = "1"
    digest = hashlib.sha256(b"grid-detector 1").hexdigest()
    CELL_PX = 80
    SURE, UNSURE = 0.95, 0.6

    def _regions(self, image: Rgb, min_score: float) -> list[DetectedRegion]:
        rows, columns = (side // self.CELL_PX for side in image.shape[:2])
        places = [(row, column) for row in range(rows) for column in range(columns)]
        return [self._region(row, column) for row, column in places]

    def _region(self, row: int, column: int) -> DetectedRegion:
        x, y = float(column * self.CELL_PX), float(row * self.CELL_PX)
        box = (x, y, x + self.CELL_PX, y + self.CELL_PX)
        return DetectedRegion(box, self.SURE if row else self.UNSURE, 0, CLASS_NAMES[0])


def _wronged(region: DetectedRegion, how: str) -> DetectedRegion:
    x0, y0, x1, y1 = region.box_xyxy
    changes: dict[str, dict[str, Any]] = {
        "score": {"score": float("nan")},
        "class": {"class_index": 99},
        "box": {"box_xyxy": (x1, y1, x0, y0)},
    }
    return replace(region, **changes[how])


class ConstantDescriber:
    """Writes the same nine words about every region, `token_ms` apart, and stops when it is told to.

    A region whose `detector_class` is "silent" gets no answer, one that is "broken" makes it fail.
    """

    name = "constant-describer"
    version = "2"
    digest = hashlib.sha256(b"constant-describer 2").hexdigest()
    runtime = "python"

    def __init__(self, token_ms: str = "1") -> None:
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
        for crop, region in zip(crops, regions, strict=True):
            if region.detector_class == "broken":
                raise RuntimeError("a region that is broken")
            for word in WORDS:
                if is_cancelled():
                    return
                time.sleep(self._token_s)
                yield TokenEvent(region.region_id, word)
            if region.detector_class != "silent":
                yield _answer(region, crop)


def _answer(region: RegionRequest, crop: Rgb) -> AnswerEvent:
    answer = {"defect_class": region.detector_class, "crop_wh": [crop.shape[1], crop.shape[0]]}
    return AnswerEvent(region.region_id, answer, "".join(WORDS), valid=True, errors=(), tokens=len(WORDS))
