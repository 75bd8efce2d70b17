"""What an edge node does with a batch of encoded frames: decode, detect, time, and say who did it.

Knows no Triton: `model_repository/edge_detector/1/model.py` carries tensors in and out.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from scheduling.serving.contracts import (
    BadFrame,
    DetectedRegion,
    DetectMeta,
    Detector,
    DetectTimings,
    Rgb,
    SizeWh,
    StageTimings,
    TimedDetector,
)
from scheduling.serving.pictures import decode_picture

MAX_BATCH_PIXELS = 32_000_000
"""Frames of one batch together; a larger single frame is a batch of its own."""

_CACHED_TEMPLATE_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class DetectWork:
    """One request: encoded pictures, the smallest score asked for, and how long it waited."""

    frame: bytes
    template: bytes
    min_score: float
    queue_ms: float


@dataclass(frozen=True, slots=True)
class Detected:
    """The answer to one request: regions best first, in pixels of its frame."""

    regions: tuple[DetectedRegion, ...]
    meta: DetectMeta


@dataclass(frozen=True, slots=True)
class _Decoded:
    index: int
    image: Rgb
    template: Rgb | None
    min_score: float


def detect_batch(
    detector: Detector,
    work: Sequence[DetectWork],
    *,
    slowdown: float = 1.0,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Detected | BadFrame]:
    """One outcome for each request, in order; a frame that cannot be used does not spoil its neighbours."""
    started = clock()
    outcomes: dict[int, list[DetectedRegion] | BadFrame] = {}
    decoded = _decode_all(work, outcomes)
    decoded_at = clock()
    outcomes |= _detect_all(detector, decoded)
    stages = _stages(detector, (clock() - decoded_at) * 1000)
    if slowdown > 1.0:
        sleep((slowdown - 1.0) * (clock() - started))
    timings = DetectTimings(
        queue_ms=0.0,
        decode_ms=(decoded_at - started) * 1000,
        preprocess_ms=stages.preprocess_ms,
        infer_ms=stages.infer_ms,
        postprocess_ms=stages.postprocess_ms,
        service_ms=(clock() - started) * 1000,
        batch=len(work),
    )
    sizes = {one.index: (one.image.shape[1], one.image.shape[0]) for one in decoded}
    return [
        _outcome(detector, outcomes[i], sizes.get(i, (0, 0)), replace(timings, queue_ms=request.queue_ms))
        for i, request in enumerate(work)
    ]


def warm_up(detector: Detector) -> None:
    """Run the detector once: a runtime's first inference takes many times as long as the next."""
    blank = np.zeros((64, 64, 3), np.uint8)
    detector.detect([blank], templates=[blank])


def _outcome(
    detector: Detector, found: list[DetectedRegion] | BadFrame, size_wh: SizeWh, timings: DetectTimings
) -> Detected | BadFrame:
    if isinstance(found, BadFrame):
        return found
    meta = DetectMeta(
        model=detector.name,
        version=detector.version,
        digest=detector.digest,
        runtime=detector.runtime,
        class_names=tuple(detector.class_names),
        size_wh=size_wh,
        timings=timings,
    )
    return Detected(tuple(clip_region(region, size_wh) for region in found), meta)


def _decode_all(work: Sequence[DetectWork], outcomes: dict[int, list[DetectedRegion] | BadFrame]) -> list[_Decoded]:
    decoded = []
    for index, request in enumerate(work):
        try:
            template = decode_template(request.template) if request.template else None
            decoded.append(_Decoded(index, decode_picture(request.frame), template, request.min_score))
        except BadFrame as error:
            outcomes[index] = error
    return decoded


def _detect_all(detector: Detector, decoded: Sequence[_Decoded]) -> dict[int, list[DetectedRegion] | BadFrame]:
    if not decoded:
        return {}
    try:
        return _detect(detector, decoded)
    except BadFrame as error:
        if len(decoded) == 1:
            return {decoded[0].index: error}
    # One of them cannot be used and the batch does not say which: find out one by one.
    return {index: found for one in decoded for index, found in _detect_all(detector, [one]).items()}


def _detect(detector: Detector, decoded: Sequence[_Decoded]) -> dict[int, list[DetectedRegion] | BadFrame]:
    found = detector.detect(
        [one.image for one in decoded],
        min_score=min(one.min_score for one in decoded),
        templates=[one.template for one in decoded],
    )
    return {
        # A score that is no number must not vanish here: the client refuses such an answer.
        one.index: [region for region in regions if not region.score < one.min_score]
        for one, regions in zip(decoded, found, strict=True)
    }


def _stages(detector: Detector, whole_ms: float) -> StageTimings:
    """The detector's own split of its time, or all of it as inference where it tells none."""
    if isinstance(detector, TimedDetector):
        return detector.last_timings
    return StageTimings(preprocess_ms=0.0, infer_ms=whole_ms, postprocess_ms=0.0)


def clip_region(region: DetectedRegion, size_wh: SizeWh) -> DetectedRegion:
    """The region with its box inside the frame."""
    (width, height), (x0, y0, x1, y1) = size_wh, region.box_xyxy
    box = (_within(x0, width), _within(y0, height), _within(x1, width), _within(y1, height))
    return region if box == region.box_xyxy else replace(region, box_xyxy=box)


def _within(value: float, limit: float) -> float:
    return min(max(float(value), 0.0), float(limit))


def decode_template(data: bytes) -> Rgb:
    """A station sends the same golden template with every frame: the last few small ones stay decoded."""
    return _cached_template(data) if len(data) <= _CACHED_TEMPLATE_BYTES else decode_picture(data)


@lru_cache(maxsize=4)
def _cached_template(data: bytes) -> Rgb:
    return decode_picture(data)
