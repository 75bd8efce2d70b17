"""What runs inside a node, without Triton around it: pictures, the queue, detecting, describing, options."""

import importlib.metadata
import io
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from scheduling.serving import pictures
from scheduling.serving.backend.describing import DescribeWork, StreamPause, describe_events, read_work
from scheduling.serving.backend.detecting import (
    Detected,
    DetectWork,
    clip_region,
    detect_batch,
    detect_large,
    is_large,
)
from scheduling.serving.backend.options import NodeOptions, OptionError, open_describer, open_detector, refuse_numpy_2
from scheduling.serving.backend.turns import Turns
from scheduling.serving.backend.watchdog import Watchdog
from scheduling.serving.backend.work_queue import Abandoned, QueuedItem, WorkQueue
from scheduling.serving.contracts import (
    AnswerEvent,
    BadFrame,
    DescribeRequest,
    DetectedRegion,
    DoneEvent,
    RegionRequest,
    Rgb,
    StageTimings,
    TokenEvent,
    tile_count,
)
from scheduling.serving.nodes import PROJECT_ROOT
from scheduling.serving.pictures import PictureCost, decode_picture, picture_cost, picture_size
from scheduling.serving.tiling import TILES_AT_ONCE, Scale
from scheduling.serving.wire import decode_meta, encode_meta, encode_request
from tests.node_fakes import WORDS, ConstantDescriber, ConstantDetector
from tests.nodes import picture

WAIT_S = 60.0


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


# --- pictures


@pytest.mark.parametrize("picture_format", ["JPEG", "PNG"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_picture_is_decoded_as_rgb_rows(picture_format: str, mode: str) -> None:
    image = decode_picture(picture(64, 48, picture_format, mode))
    assert image.shape == (48, 64, 3)
    assert image.dtype == np.uint8


@pytest.mark.parametrize("mode", ["1", "P", "RGBA", "LA"])
def test_a_png_of_any_mode_is_decoded(mode: str) -> None:
    assert decode_picture(picture(64, 48, "PNG", mode)).shape == (48, 64, 3)


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.array([[0, 0x8000, 0xFFFF]], np.uint16)).save(buffer, "PNG")
    assert decode_picture(buffer.getvalue())[0, :, 0].tolist() == [0, 128, 255]


def test_the_orientation_of_a_camera_does_not_turn_the_rows() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48)).save(buffer, "JPEG", exif=exif)
    assert decode_picture(buffer.getvalue()).shape == (48, 64, 3)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"GIF89a" + bytes(50), "no JPEG or PNG"),
        (picture(64, 48, "BMP"), "no JPEG or PNG"),
        (picture(64, 48, "JPEG")[:200], "cannot be"),
        (picture(64, 48, "PNG")[:60], "cannot be"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "no JPEG or PNG"),
    ],
)
def test_what_is_no_whole_picture_is_a_bad_frame(data: bytes, said: str) -> None:
    with pytest.raises(BadFrame, match=said):
        decode_picture(data)


def test_a_bomb_is_refused_by_its_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_FRAME_PIXELS", 1000)
    with pytest.raises(BadFrame, match="64x48 pixels; at most 1000"):
        picture_size(picture(64, 48))


def test_pillows_own_limit_is_ours() -> None:
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    with pytest.raises(BadFrame, match="more than 104857600 pixels"):
        picture_size(b"\x89PNG\r\n\x1a\n" + chunk + picture(8, 8, "PNG")[33:])


def test_too_many_bytes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_FRAME_BYTES", 100)
    with pytest.raises(BadFrame, match="at most 100 are taken"):
        decode_picture(picture())


def with_scans(count: int, size: int = 64) -> bytes:
    """A progressive JPEG whose last scan stands there so often that it has `count` scans."""
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((size, size)).convert("RGB").save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * (count - data.count(b"\xff\xda") + 1) + data[-2:]


@pytest.mark.parametrize("scans", [101, 150, 400, 1000])
def test_a_picture_of_too_many_scans_is_refused_before_it_is_decoded(scans: int) -> None:
    with pytest.raises(BadFrame, match=f"in {scans} scans; at most 100"):
        picture_cost(with_scans(scans))
    with pytest.raises(BadFrame, match="at most 100"):
        decode_picture(with_scans(scans))


@pytest.mark.parametrize("scans", [10, 50, 100])
def test_a_picture_of_many_scans_is_decoded_and_known_to_be_costly(scans: int) -> None:
    data = with_scans(scans)
    assert picture_cost(data) == PictureCost((64, 64), 64 * 64 * scans)
    assert decode_picture(data).shape == (64, 64, 3)


def test_scans_and_pixels_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_SCANNED_PIXELS", 64 * 64 * 20)
    assert picture_cost(with_scans(20)).scanned_pixels == 64 * 64 * 20
    with pytest.raises(BadFrame, match="in 21 scans, which takes too long"):
        picture_cost(with_scans(21))


@pytest.mark.parametrize(
    ("cost", "large"),
    [
        (PictureCost((640, 640), 640 * 640 * 12), False),
        (PictureCost((800, 800), 640_000), False),
        (PictureCost((1280, 960), 1_228_800), False),
        (PictureCost((6000, 6000), 36_000_000), True),
        (PictureCost((640, 640), 640 * 640 * 100), True),
        (PictureCost((6000, 50), 300_000), True),
    ],
)
def test_what_would_hold_others_up_is_worked_on_beside_them(cost: PictureCost, large: bool) -> None:
    assert is_large(cost) == large


# --- turns and budgets


def test_two_queues_take_turns_at_the_detector() -> None:
    turns, order, inside = Turns(), list[str](), threading.Event()

    def ask(name: str) -> None:
        with turns.turn():
            order.append(name)

    with turns.turn():
        threads = []
        for place, name in enumerate(("large", "small", "large"), start=2):
            threads.append(threading.Thread(target=ask, args=(name,)))
            threads[-1].start()
            while turns._asked < place:
                inside.wait(0.001)
    for thread in threads:
        thread.join(WAIT_S)
    assert order == ["large", "small", "large"]


def test_work_that_takes_too_long_is_told_once_and_other_work_never() -> None:
    ticked = threading.Semaphore(0)
    told = list[str]()
    overran = threading.Event()
    watchdog = Watchdog(tick_s=1.0, sleep=lambda seconds: ticked.acquire() and None)  # type: ignore[arg-type]
    with watchdog.watched(3.0, lambda: told.append("quick")):
        ticked.release(2)
    with watchdog.watched(3.0, lambda: (told.append("slow"), overran.set())[0]):
        ticked.release(9)
        assert overran.wait(WAIT_S)
    watchdog.close()
    ticked.release(9)
    assert told == ["slow"]


# --- the queue


class Worked:
    """Collects what a queue works off; the first batch waits until it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.queue_ms: list[float] = []
        self.broken: list[BaseException] = []
        self.begun, self.let_go = threading.Event(), threading.Event()
        self.done = threading.Semaphore(0)

    def __call__(self, batch: list[QueuedItem[int]]) -> None:
        self.begun.set()
        assert self.let_go.wait(WAIT_S)
        self.batches.append([arrived.item for arrived in batch])
        self.queue_ms += [arrived.queue_ms for arrived in batch]
        self.done.release()

    def wait(self, batches: int) -> None:
        self.let_go.set()
        for _ in range(batches):
            assert self.done.acquire(timeout=WAIT_S)


@pytest.fixture
def worked() -> Worked:
    return Worked()


@pytest.fixture
def queue(worked: Worked) -> Iterator[Callable[..., WorkQueue[int]]]:
    desks: list[WorkQueue[int]] = []

    def make(**options: object) -> WorkQueue[int]:
        desks.append(WorkQueue(worked, **{"max_waiting": 10, "broken": worked.broken.append, **options}))  # type: ignore[arg-type]
        assert desks[0].put(0)
        assert worked.begun.wait(WAIT_S)
        return desks[0]

    yield make
    worked.let_go.set()
    for one in desks:
        one.close(timeout_s=WAIT_S)


def test_what_waits_is_worked_off_together(queue: Callable[..., WorkQueue[int]], worked: Worked) -> None:
    one = queue(max_batch=3)
    assert all(one.put(i) for i in (1, 2, 3, 4))
    worked.wait(batches=3)
    assert worked.batches == [[0], [1, 2, 3], [4]]


def test_a_batch_ends_before_it_costs_too_much(queue: Callable[..., WorkQueue[int]], worked: Worked) -> None:
    one = queue(max_batch=8, cost=float, max_cost=10.0)
    assert all(one.put(i) for i in (4, 5, 6, 99, 1))
    worked.wait(batches=5)
    assert worked.batches == [[0], [4, 5], [6], [99], [1]]


def test_a_full_queue_takes_no_more(queue: Callable[..., WorkQueue[int]]) -> None:
    one = queue(max_waiting=2)
    assert [one.put(1), one.put(2), one.put(3)] == [True, True, False]


def test_a_full_queue_first_lets_go_of_what_nobody_waits_for(
    queue: Callable[..., WorkQueue[int]], worked: Worked
) -> None:
    one = queue(max_waiting=2, max_batch=8, abandoned=lambda item: item == 1)
    assert [one.put(1), one.put(2), one.put(3), one.put(4)] == [True, True, True, False]
    worked.wait(batches=2)
    assert worked.batches == [[0], [2, 3]]


def test_the_time_in_the_queue_is_stamped(queue: Callable[..., WorkQueue[int]], worked: Worked) -> None:
    clock = Clock()
    one = queue(clock=clock)
    one.put(1)
    clock.now += 0.25
    worked.wait(batches=2)
    assert worked.queue_ms == [0.0, pytest.approx(250)]


def test_closing_returns_what_nobody_will_work_on(queue: Callable[..., WorkQueue[int]], worked: Worked) -> None:
    one = queue()
    one.put(1)
    worked.let_go.set()
    left = one.close(timeout_s=WAIT_S)
    assert sorted([*left, *(i for batch in worked.batches for i in batch)]) == [0, 1]
    assert one.put(2) is False


def test_an_error_that_the_work_lets_out_is_told() -> None:
    told = threading.Event()
    errors: list[BaseException] = []

    def broken(error: BaseException) -> None:
        errors.append(error)
        told.set()

    one: WorkQueue[int] = WorkQueue(lambda batch: 1 / 0, max_waiting=1, broken=broken)  # type: ignore[arg-type]
    one.put(1)
    assert told.wait(WAIT_S)
    assert isinstance(errors[0], ZeroDivisionError)
    one.close(timeout_s=WAIT_S)


# --- detecting


def work(width: int = 64, *, min_score: float = 0.0, queue_ms: float = 1.0, template: bytes = b"") -> DetectWork:
    return DetectWork(picture(width, 48), template, min_score, queue_ms)


def detected(outcome: Detected | BadFrame) -> Detected:
    assert isinstance(outcome, Detected)
    return outcome


def test_each_frame_of_a_batch_gets_its_own_answer() -> None:
    outcomes = detect_batch(ConstantDetector(), [work(64, queue_ms=3.0), work(80, min_score=0.4, queue_ms=5.0)])
    first, second = map(detected, outcomes)
    assert [(len(one.regions), one.meta.size_wh, one.meta.timings.queue_ms) for one in (first, second)] == [
        (3, (64, 48), 3.0),
        (2, (80, 48), 5.0),
    ]
    assert first.meta.timings.batch == second.meta.timings.batch == 2
    assert first.meta.digest == ConstantDetector.digest


def test_a_bad_frame_does_not_spoil_its_neighbours() -> None:
    broken = DetectWork(b"rubbish", b"", 0.0, 0.0)
    refused_by_the_model = work(17)
    outcomes = detect_batch(ConstantDetector(), [work(), broken, refused_by_the_model, work()])
    assert [type(outcome) for outcome in outcomes] == [Detected, BadFrame, BadFrame, Detected]


def test_a_detector_that_fails_is_not_taken_for_a_bad_frame() -> None:
    with pytest.raises(RuntimeError, match="13 pixels"):
        detect_batch(ConstantDetector(), [work(13)])


def test_templates_reach_the_detector_beside_their_frames() -> None:
    class Recording(ConstantDetector):
        seen: list[tuple[int, ...] | None] = []

        def detect(
            self,
            images: Sequence[Rgb],
            *,
            min_score: float = 0.05,
            templates: Sequence[Rgb | None] | None = None,
        ) -> list[list[DetectedRegion]]:
            assert templates is not None
            self.seen = [None if one is None else one.shape for one in templates]
            return super().detect(images, min_score=min_score)

    detector = Recording()
    detect_batch(detector, [work(template=picture(32, 32)), work()])
    assert detector.seen == [(32, 32, 3), None]


class Saying(ConstantDetector):
    """Says the same regions of every picture that it is shown, and notes how large those were."""

    def __init__(self, *regions: DetectedRegion, scale: Scale | None = None) -> None:
        super().__init__()
        self.regions, self.shown = regions, list[tuple[int, int]]()
        if scale is not None:
            self.scale = scale

    def detect(
        self, images: Sequence[Rgb], *, min_score: float = 0.05, templates: Sequence[Rgb | None] | None = None
    ) -> list[list[DetectedRegion]]:
        self.shown += [(image.shape[1], image.shape[0]) for image in images]
        return [list(self.regions) for _ in images]


NOWHERE = {
    "right of the frame": DetectedRegion((70.0, 5.0, 90.0, 9.0), 0.9, 0, "open"),
    "above it": DetectedRegion((5.0, -9.0, 9.0, 0.0), 0.9, 0, "open"),
    "no number": DetectedRegion((float("nan"), 5.0, 9.0, 9.0), 0.9, 0, "open"),
    "for ever": DetectedRegion((5.0, 5.0, float("inf"), 9.0), 0.9, 0, "open"),
    "no score": DetectedRegion((5.0, 5.0, 9.0, 9.0), float("nan"), 0, "open"),
    "inside out": DetectedRegion((9.0, 5.0, 5.0, 9.0), 0.9, 0, "open"),
    "no area": DetectedRegion((5.0, 5.0, 5.0, 9.0), 0.9, 0, "open"),
    "no class": DetectedRegion((5.0, 5.0, 9.0, 9.0), 0.9, 99, "?"),
    "below all classes": DetectedRegion((5.0, 5.0, 9.0, 9.0), 0.9, -1, ""),
}


@pytest.mark.parametrize("where", NOWHERE)
def test_a_region_that_lies_nowhere_is_counted_and_not_dropped_in_silence(where: str) -> None:
    here = DetectedRegion((5.0, 5.0, 90.0, 9.0), 0.9, 0, "open")
    (outcome,) = map(detected, detect_batch(Saying(NOWHERE[where], here), [work()]))
    assert outcome.meta.unplaced == 1
    assert [region.box_xyxy for region in outcome.regions] == [(5.0, 5.0, 64.0, 9.0)]
    assert decode_meta(encode_meta(outcome.meta)).unplaced == 1


def test_a_large_frame_lets_others_in_between_and_stops_when_nobody_waits() -> None:
    detector, turns = Saying(scale=Scale(64)), list[int]()

    @contextmanager
    def turn() -> Iterator[None]:
        turns.append(len(detector.shown))
        yield

    large = DetectWork(picture(300, 300), b"", 0.1, 0.0)
    answer = detect_large(detector, large, turn=turn)
    assert detected(answer).meta.size_wh == (300, 300)
    assert max(after - before for before, after in pairwise(turns)) <= TILES_AT_ONCE
    assert len(detector.shown) == tile_count((300, 300), tile_px=64) == 36

    detector.shown.clear()
    with pytest.raises(Abandoned):
        detect_large(detector, large, is_cancelled=lambda: len(detector.shown) > TILES_AT_ONCE)
    assert len(detector.shown) == 2 * TILES_AT_ONCE


def test_a_large_frame_that_cannot_be_read_is_a_bad_frame() -> None:
    assert isinstance(detect_large(Saying(), DetectWork(b"rubbish", b"", 0.1, 0.0)), BadFrame)


def test_slowdown_stretches_the_time_that_is_told() -> None:
    class Slow(ConstantDetector):
        last_timings = StageTimings(1.0, 2.0, 3.0)

        def detect(self, *args: object, **options: object) -> list[list[DetectedRegion]]:
            clock.sleep(0.020)
            return [[]]

    clock = Clock()
    (outcome,) = detect_batch(Slow(), [work()], slowdown=3.0, clock=clock, sleep=clock.sleep)
    timings = detected(outcome).meta.timings
    assert timings.service_ms == pytest.approx(60)
    assert (timings.preprocess_ms, timings.infer_ms, timings.postprocess_ms) == (1.0, 2.0, 3.0)


@pytest.mark.parametrize(
    ("box", "clipped"),
    [
        ((1.0, 2.0, 3.0, 4.0), (1.0, 2.0, 3.0, 4.0)),
        ((-0.4, -3.0, 65.0, 48.2), (0.0, 0.0, 64.0, 48.0)),
    ],
)
def test_boxes_stay_inside_their_frame(box: tuple[float, ...], clipped: tuple[float, ...]) -> None:
    region = DetectedRegion(box, 0.5, 0, "open")  # type: ignore[arg-type]
    assert clip_region(region, (64, 48)).box_xyxy == clipped


# --- describing


def request(*defect_classes: str, max_tokens: int = 256) -> DescribeRequest:
    regions = tuple(
        RegionRequest(f"r{i}", (0.0, 0.0, 8.0, 8.0), defect_class, 0.5) for i, defect_class in enumerate(defect_classes)
    )
    return DescribeRequest("1", (640, 480), ("open",), regions, max_tokens)


def described(asked: DescribeRequest, **options: object) -> list[object]:
    crops = tuple(picture() for _ in asked.regions)
    arguments = {"queue_ms": 7.0, "is_cancelled": lambda: False, **options}
    return list(describe_events(ConstantDescriber("0"), DescribeWork(crops, asked), **arguments))  # type: ignore[arg-type]


def test_tokens_come_first_then_the_answer_then_done() -> None:
    events = described(request("open"))
    assert [event.text for event in events if isinstance(event, TokenEvent)] == list(WORDS)
    answer, done = events[-2:]
    assert isinstance(answer, AnswerEvent)
    assert answer.valid
    assert isinstance(done, DoneEvent)
    assert (done.timings.tokens, done.timings.queue_ms, done.model) == (9, 7.0, "constant-describer")


class TemplateTeller:
    """A describer that answers with what it was shown beside each crop."""

    name, version, digest, runtime = "teller", "1", "1" * 64, "python"

    def describe(
        self,
        crops: Sequence[Rgb],
        regions: Sequence[RegionRequest],
        *,
        templates: Sequence[Rgb | None] | None = None,
        **_: Any,
    ) -> Iterator[AnswerEvent]:
        for region, template in zip(regions, templates or [None] * len(crops), strict=True):
            shown = None if template is None else list(template.shape[:2])
            yield AnswerEvent(region.region_id, {"template": shown}, "", True, (), 1)


def shown_templates(describer: Any, *templates: bytes) -> dict[str, Any]:
    regions = tuple(
        RegionRequest(f"r{n}", (0.0, 0.0, 8.0, 8.0), "open", 0.5, template) for n, template in enumerate(templates)
    )
    asked = DescribeRequest("1", (64, 48), ("open",), regions)
    work = read_work([picture()] * len(regions), encode_request(asked).encode())
    events = describe_events(describer, work, queue_ms=0.0, is_cancelled=lambda: False)
    return {event.region_id: event.answer for event in events if isinstance(event, AnswerEvent)}


def test_a_describer_sees_the_cut_of_the_template_beside_its_crop() -> None:
    shown = shown_templates(TemplateTeller(), picture(), b"")
    assert shown["r0"]["template"] is not None
    assert shown["r1"]["template"] is None


def test_a_describer_that_takes_no_templates_is_asked_without() -> None:
    assert "crop_wh" in shown_templates(ConstantDescriber("0"), picture())["r0"]


def test_a_template_that_is_no_picture_is_refused_before_it_waits() -> None:
    with pytest.raises(BadFrame):
        shown_templates(TemplateTeller(), b"no picture")


def test_a_region_that_the_model_left_out_is_answered_as_invalid() -> None:
    answers = {
        event.region_id: event for event in described(request("open", "silent")) if isinstance(event, AnswerEvent)
    }
    assert (answers["r0"].valid, answers["r1"].valid) == (True, False)
    assert answers["r1"].errors == ("the model gave no answer",)


def test_a_model_that_does_not_stop_is_stopped_at_the_limit() -> None:
    events = described(request("open", max_tokens=4))
    assert sum(isinstance(event, TokenEvent) for event in events) == 4
    answer = next(event for event in events if isinstance(event, AnswerEvent))
    assert answer.errors == ("the limit of tokens was reached",)


def test_nothing_more_is_made_for_someone_who_left() -> None:
    events: list[object] = []

    def read() -> None:
        for event in describe_events(
            ConstantDescriber("0"),
            DescribeWork((picture(),), request("open")),
            queue_ms=0.0,
            is_cancelled=lambda: len(events) >= 3,
        ):
            events.append(event)

    with pytest.raises(Abandoned):
        read()
    assert len(events) == 3


def test_a_hold_stops_after_the_fifth_token_until_its_file_goes(tmp_path: Path) -> None:
    file = tmp_path / "hold"
    file.touch()
    seen: list[object] = []
    held_at: list[int] = []

    def sleep(seconds: float) -> None:
        held_at.append(len(seen))
        if len(held_at) == 3:
            file.unlink()

    crops = (picture(),)
    pause = StreamPause(file, after_tokens=5)
    for event in describe_events(
        ConstantDescriber("0"),
        DescribeWork(crops, request("open")),
        queue_ms=0.0,
        is_cancelled=lambda: False,
        pause=pause,
        sleep=sleep,
    ):
        seen.append(event)
    assert held_at == [5, 5, 5]
    assert len(seen) == len(WORDS) + 2


@pytest.mark.parametrize(
    ("crops", "text", "said"),
    [
        ([], encode_request(request("open")).encode(), "0 crops came with 1 regions"),
        ([b"x"], encode_request(request("open")).encode(), "no JPEG or PNG"),
        ([picture()], b"{}", "request: Object missing required field `prompt_version`"),
        ([picture()], b"nonsense", "JSON is malformed"),
    ],
)
def test_a_request_that_cannot_be_used_is_refused_before_it_waits(crops: list[bytes], text: bytes, said: str) -> None:
    with pytest.raises(BadFrame, match=said):
        read_work(crops, text)


def test_two_regions_with_one_id_are_refused() -> None:
    asked = request("open", "open")
    twice = DescribeRequest("1", (8, 8), (), (asked.regions[0], asked.regions[0]))
    with pytest.raises(BadFrame, match="same id"):
        read_work([picture(), picture()], encode_request(twice).encode())


# --- options


def test_options_come_from_the_environment() -> None:
    options = NodeOptions.from_environment(
        {"AIVD_DETECTOR": "yolo-onnxruntime", "AIVD_THREADS": "2", "AIVD_SLOWDOWN": "2.5", "AIVD_PAUSE_FILE": "/x"}
    )
    assert (options.detector, options.threads, options.slowdown) == ("yolo-onnxruntime", 2, 2.5)
    assert options.pause_file is None  # a pause is for tests, and this is none


@pytest.mark.parametrize(
    ("name", "value"),
    [("AIVD_THREADS", "0"), ("AIVD_THREADS", "two"), ("AIVD_SLOWDOWN", "0.5"), ("AIVD_SLOWDOWN", "nan")],
)
def test_an_option_that_cannot_be_used_is_named(name: str, value: str) -> None:
    with pytest.raises(OptionError, match=name):
        NodeOptions.from_environment({name: value})


def test_numpy_2_is_refused_beside_the_wheels_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.1.0")
    with pytest.raises(OptionError, match=r"needs numpy 1\.26"):
        refuse_numpy_2({})
    refuse_numpy_2({"NVIDIA_TRITON_SERVER_VERSION": "2.70.0"})


@pytest.mark.parametrize("load", [open_detector, open_describer])
def test_test_models_are_refused_outside_tests(load: Callable[[NodeOptions], object]) -> None:
    spec = "python:tests.node_fakes:ConstantDetector"
    with pytest.raises(OptionError, match="AIVD_ALLOW_TEST_MODELS"):
        load(NodeOptions(detector=spec, describer=spec))


def test_a_test_model_gets_its_options() -> None:
    options = NodeOptions(detector="python:tests.node_fakes:ConstantDetector?scores=0.7", allow_test_models=True)
    (regions,) = open_detector(options).detect([np.zeros((48, 64, 3), np.uint8)])
    assert [region.score for region in regions] == [0.7]


def test_a_nodes_code_runs_without_django() -> None:
    """Both models are loaded as Triton loads them, where importing Django or tritonclient fails."""
    program = """
import importlib.util, pathlib, sys, types
for name in ("django", "rest_framework", "channels", "celery", "tritonclient"):
    sys.modules[name] = None
sys.modules["triton_python_backend_utils"] = utils = types.ModuleType("triton_python_backend_utils")
utils.Logger = types.SimpleNamespace(log_info=lambda text: None)
for model in ("edge_detector", "describer"):
    path = pathlib.Path("scheduling/serving/model_repository", model, "1", "model.py").resolve()
    spec = importlib.util.spec_from_file_location("model", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    served = module.TritonPythonModel()
    served.initialize({})
    served.finalize()
print("served")
"""
    environment = {
        "AIVD_ALLOW_TEST_MODELS": "1",
        "AIVD_DETECTOR": "python:tests.node_fakes:ConstantDetector",
        "AIVD_DESCRIBER": "python:tests.node_fakes:ConstantDescriber",
    }
    argv = [sys.executable, "-I", "-c", program]
    run = subprocess.run(argv, cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert run.stdout.strip() == "served", run.stderr
