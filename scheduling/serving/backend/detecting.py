"""What an edge node does with a batch of encoded frames: decode, detect, time, and say who did it.

Knows no Triton: `model_repository/edge_detector/1/model.py` carries tensors in and out.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from scheduling.serving.appearance import TrainedOn
from scheduling.serving.backend.work_queue import Abandoned
from scheduling.serving.contracts import (
    LARGE_FRAME_TILES,
    Appearance,
    BadFrame,
    DetectedRegion,
    DetectMeta,
    Detector,
    DetectTimings,
    Rgb,
    SizeWh,
    StageTimings,
    TimedDetector,
    tile_count,
)
from scheduling.serving.pictures import PictureCost, decode_picture
from scheduling.serving.preprocess import is_placed
from scheduling.serving.tiling import detect_in_tiles, scale_of, tiles_of

LARGE_SCANNED_PIXELS = 30_000_000
"""A picture whose decoding costs more (scans times pixels) is decoded beside the others too."""

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


@dataclass(frozen=True, slots=True, eq=False)
class _Decoded:
    index: int
    image: Rgb
    template: Rgb | None
    min_score: float

    @property
    def size_wh(self) -> SizeWh:
        return self.image.shape[1], self.image.shape[0]


def detect_batch(
    detector: Detector,
    work: Sequence[DetectWork],
    *,
    trained_on: TrainedOn = TrainedOn(),
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
    looks = {one.index: trained_on.looked_at(one.image) for one in decoded}
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
    sizes = {one.index: one.size_wh for one in decoded}
    told = [
        _outcome(detector, outcomes[i], sizes.get(i, (0, 0)), replace(timings, queue_ms=request.queue_ms))
        for i, request in enumerate(work)
    ]
    return [_with_look(one, trained_on, looks.get(i)) for i, one in enumerate(told)]


def warm_up(detector: Detector) -> None:
    """Run the detector once: a runtime's first inference takes many times as long as the next."""
    blank = np.zeros((64, 64, 3), np.uint8)
    detector.detect([blank], templates=[blank])


def is_large(cost: PictureCost) -> bool:
    """Whether a frame is for `detect_large`, so that it does not hold up the others."""
    return tile_count(cost.size_wh) > LARGE_FRAME_TILES or cost.scanned_pixels > LARGE_SCANNED_PIXELS


Turn = Callable[[], AbstractContextManager[object]]


def detect_large(
    detector: Detector,
    request: DetectWork,
    *,
    trained_on: TrainedOn = TrainedOn(),
    turn: Turn = nullcontext,
    is_cancelled: Callable[[], bool] = lambda: False,
    slowdown: float = 1.0,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> Detected | BadFrame:
    """One large frame, in tiles. It takes `turn()` for every few of them, so that others come in between.

    Raises Abandoned soon after `is_cancelled()` turns true.
    """
    started = clock()
    outcomes: dict[int, list[DetectedRegion] | BadFrame] = {}
    decoded = _decode_all([request], outcomes)
    decoded_at = clock()
    for one in decoded:
        try:
            outcomes[0] = _tile_by_tile(detector, one, turn, is_cancelled, slowdown, clock, sleep)
        except BadFrame as error:
            outcomes[0] = error
    look = trained_on.looked_at(decoded[0].image) if decoded else None
    timings = DetectTimings(
        queue_ms=request.queue_ms,
        decode_ms=(decoded_at - started) * 1000,
        preprocess_ms=0.0,
        infer_ms=(clock() - decoded_at) * 1000,
        postprocess_ms=0.0,
        service_ms=(clock() - started) * 1000,
        batch=1,
    )
    told = _outcome(detector, outcomes[0], decoded[0].size_wh if decoded else (0, 0), timings)
    return _with_look(told, trained_on, look)


def _tile_by_tile(
    detector: Detector,
    one: "_Decoded",
    turn: Turn,
    is_cancelled: Callable[[], bool],
    slowdown: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> list[DetectedRegion]:
    steps: Iterator[list[DetectedRegion] | None] = detect_in_tiles(
        detector, one.image, one.template, min_score=one.min_score
    )
    while True:
        if is_cancelled():
            raise Abandoned
        with turn():
            began = clock()
            found = next(steps)
            if slowdown > 1.0:
                sleep((slowdown - 1.0) * (clock() - began))
        if found is not None:
            return found


def _outcome(
    detector: Detector, found: list[DetectedRegion] | BadFrame, size_wh: SizeWh, timings: DetectTimings
) -> Detected | BadFrame:
    if isinstance(found, BadFrame):
        return found
    classes = len(detector.class_names)
    placed = [region for region in found if is_placed(region, size_wh) and region.class_index < classes]
    meta = DetectMeta(
        model=detector.name,
        version=detector.version,
        digest=detector.digest,
        runtime=detector.runtime,
        class_names=tuple(detector.class_names),
        size_wh=size_wh,
        timings=timings,
        unplaced=len(found) - len(placed),
    )
    return Detected(tuple(clip_region(region, size_wh) for region in placed), meta)


def _with_look(told: Detected | BadFrame, trained_on: TrainedOn, look: Appearance | None) -> Detected | BadFrame:
    """The answer with what the model was trained for, and how the frame looks to it."""
    if isinstance(told, BadFrame):
        return told
    return replace(told, meta=replace(told.meta, products=trained_on.products, appearance=look))


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
    scale = scale_of(detector)
    tiled = [one for one in decoded if len(tiles_of(one.size_wh, scale)) > 1]
    found = _detect_whole(detector, [one for one in decoded if one not in tiled])
    for one in tiled:
        *_, regions = detect_in_tiles(detector, one.image, one.template, min_score=one.min_score)
        found[one.index] = regions or []
    return found


def _detect_whole(detector: Detector, decoded: Sequence[_Decoded]) -> dict[int, list[DetectedRegion] | BadFrame]:
    if not decoded:
        return {}
    found = detector.detect(
        [one.image for one in decoded],
        min_score=min(one.min_score for one in decoded),
        templates=[one.template for one in decoded],
    )
    return {
        # A score that is no number must not vanish here: it is told as a region that lies nowhere.
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
