"""What a cloud node does with one describe request: run the describer, pass on its events in order.

It promises the other end exactly one answer a region and one `done` at the end, whatever the describer does.
Knows no Triton: `model_repository/describer/1/model.py` carries tensors in and events out.
"""

import inspect
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scheduling.serving.backend.work_queue import Abandoned
from scheduling.serving.contracts import (
    AnswerEvent,
    BadFrame,
    ContractBroken,
    DescribeEvent,
    Describer,
    DescribeRequest,
    DescribeTimings,
    DoneEvent,
    Rgb,
    TokenEvent,
)
from scheduling.serving.pictures import decode_picture, picture_size
from scheduling.serving.wire import decode_request

MAX_CROP_PIXELS = 16_000_000
_PAUSE_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class StreamPause:
    """Stops a stream after `after_tokens` tokens while `file` exists, for a test to look at it."""

    file: Path
    after_tokens: int


@dataclass(frozen=True, slots=True)
class DescribeWork:
    """One request with its crops, still encoded; crops[i] shows regions[i]."""

    crops: tuple[bytes, ...]
    request: DescribeRequest


def read_work(crops: Sequence[bytes], request_json: bytes) -> DescribeWork:
    """Check what arrived before it waits; raises `BadFrame`."""
    try:
        request = decode_request(request_json)
    except ContractBroken as error:
        raise BadFrame(f"The request cannot be used: {error}.") from error
    if len(crops) != len(request.regions):
        raise BadFrame(f"{len(crops)} crops came with {len(request.regions)} regions.")
    if len({region.region_id for region in request.regions}) != len(request.regions):
        raise BadFrame("Two regions have the same id.")
    for picture in (*crops, *(region.template for region in request.regions if region.template)):
        width, height = picture_size(picture)
        if width * height > MAX_CROP_PIXELS:
            raise BadFrame(f"A crop has {width}x{height} pixels; at most {MAX_CROP_PIXELS} are taken.")
    return DescribeWork(tuple(crops), request)


def describe_events(
    describer: Describer,
    work: DescribeWork,
    *,
    queue_ms: float,
    is_cancelled: Callable[[], bool],
    slowdown: float = 1.0,
    pause: StreamPause | None = None,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[DescribeEvent]:
    """Tokens and answers as the describer makes them, then answers for what it left out, then `done`.

    Raises `BadFrame` for a crop that cannot be decoded and `Abandoned` once `is_cancelled()` is true.
    """
    started = clock()
    stop = _Stop(is_cancelled, work.request)
    events = describer.describe(
        [decode_picture(crop) for crop in work.crops],
        work.request.regions,
        class_names=work.request.class_names,
        frame_size_wh=work.request.frame_size_wh,
        is_cancelled=stop,
        **_templates_for(describer, work.request),
    )
    first_token_ms = 0.0
    open_regions = {region.region_id for region in work.request.regions}
    for event in _slowed(events, slowdown, clock, sleep):
        stop.raise_if_abandoned()
        if isinstance(event, TokenEvent):
            stop.tokens += 1
            first_token_ms = first_token_ms or (clock() - started) * 1000
        elif event.region_id not in open_regions:
            continue  # a second answer, or one about nothing that was asked
        else:
            open_regions.remove(event.region_id)
        yield event
        if pause and isinstance(event, TokenEvent) and stop.tokens == pause.after_tokens:
            _wait(pause.file, stop, sleep)
    stop.raise_if_abandoned()
    yield from (_unanswered(region_id, stop) for region_id in sorted(open_regions))
    service_ms = (clock() - started) * 1000
    yield DoneEvent(
        timings=DescribeTimings(queue_ms, first_token_ms, service_ms, stop.tokens),
        model=describer.name,
        version=describer.version,
        digest=describer.digest,
        runtime=describer.runtime,
    )


def _templates_for(describer: Describer, request: DescribeRequest) -> dict[str, list[Rgb | None]]:
    """The regions' cuts of the template, where there are any and the describer looks at them."""
    cuts = [region.template for region in request.regions]
    if not any(cuts) or "templates" not in inspect.signature(describer.describe).parameters:
        return {}
    return {"templates": [decode_picture(cut) if cut else None for cut in cuts]}


class _Stop:
    """Tells the describer to stop: the asker has gone, or the tokens it paid for are used up."""

    def __init__(self, is_cancelled: Callable[[], bool], request: DescribeRequest) -> None:
        self._is_cancelled = is_cancelled
        self.max_tokens = request.max_tokens * len(request.regions)
        self.tokens = 0

    def __call__(self) -> bool:
        return self.tokens >= self.max_tokens or self._is_cancelled()

    def raise_if_abandoned(self) -> None:
        if self._is_cancelled():
            raise Abandoned


def _unanswered(region_id: str, stop: _Stop) -> AnswerEvent:
    used_up = stop.tokens >= stop.max_tokens
    reason = "the limit of tokens was reached" if used_up else "the model gave no answer"
    return AnswerEvent(region_id, {}, "", valid=False, errors=(reason,), tokens=0)


def _slowed(
    events: Iterator[TokenEvent | AnswerEvent],
    slowdown: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> Iterator[TokenEvent | AnswerEvent]:
    """The same events, each taking `slowdown` times as long to make."""
    asked_at = clock()
    for event in events:
        if slowdown > 1.0:
            sleep((slowdown - 1.0) * (clock() - asked_at))
        yield event
        asked_at = clock()


def _wait(file: Path, stop: _Stop, sleep: Callable[[float], None]) -> None:
    while file.exists():
        stop.raise_if_abandoned()
        sleep(_PAUSE_POLL_S)
