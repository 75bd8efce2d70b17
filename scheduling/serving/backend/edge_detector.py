"""Triton's side of the edge detector: tensors in, two queues, tensors out.

Usual frames are worked on in batches. Large ones, and those that are costly to decode, have a queue of their own and
take turns at the detector, a few tiles at a time. The work itself is in `detecting.py`. Importable only inside Triton's
Python process.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from scheduling.serving import wire
from scheduling.serving.backend import triton_api
from scheduling.serving.backend.detecting import (
    Detected,
    DetectWork,
    detect_batch,
    detect_large,
    is_large,
    warm_up,
)
from scheduling.serving.backend.options import NodeOptions, open_detector, open_trained_on, refuse_numpy_2
from scheduling.serving.backend.turns import Turns
from scheduling.serving.backend.watchdog import Watchdog
from scheduling.serving.backend.work_queue import Abandoned, QueuedItem, WorkQueue
from scheduling.serving.contracts import (
    ALONE,
    BAD_FRAME,
    CANCELLED,
    HELD_UP,
    LARGE_FRAME_TILES,
    MAX_BATCH,
    OVERLOADED,
    TOO_COSTLY,
    BadFrame,
    tile_count,
)
from scheduling.serving.pictures import picture_cost


@dataclass(slots=True)
class _Waiting:
    """A request in a queue. Several threads may want to answer it: only the first one does."""

    request: Any
    sender: Any
    frame: bytes
    template: bytes
    min_score: float
    tiles: int
    large: bool
    alone: bool
    _answered: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, send: Callable[[Any], None]) -> None:
        if self._answered.acquire(blocking=False):
            send(self.sender)

    def refuse(self, code: str, sentence: str) -> None:
        self.answer(lambda sender: triton_api.refuse(sender, code, sentence))


class TritonPythonModel:
    """One instance; Triton calls `execute` from one thread and the queues' threads answer."""

    def initialize(self, args: dict[str, str]) -> None:
        refuse_numpy_2(os.environ)
        self._options = NodeOptions.from_environment(os.environ)
        self._detector = open_detector(self._options)
        self._trained_on = open_trained_on(self._options, self._detector)
        warm_up(self._detector)
        self._turns, self._watchdog, self._held_up = Turns(), Watchdog(), False
        self._usual: WorkQueue[_Waiting] = WorkQueue(
            self._answer_usual,
            max_waiting=self._options.max_waiting,
            max_batch=MAX_BATCH,
            cost=lambda waiting: LARGE_FRAME_TILES if waiting.alone else waiting.tiles,
            max_cost=LARGE_FRAME_TILES,
            abandoned=_abandoned,
            broken=triton_api.give_up,
        )
        self._large: WorkQueue[_Waiting] = WorkQueue(
            self._answer_large,
            max_waiting=self._options.max_waiting,
            abandoned=_abandoned,
            broken=triton_api.give_up,
        )
        triton_api.log_info(f"{self._detector.name} {self._detector.version} on {self._detector.runtime}")

    def execute(self, requests: list[Any]) -> None:
        """Queue the requests; returning at once lets Triton hand over the next ones meanwhile."""
        for request in requests:
            sender = request.get_response_sender()
            try:
                waiting = _read(request, sender)
            except BadFrame as error:
                triton_api.refuse(sender, BAD_FRAME, str(error))
                continue
            if self._held_up:
                waiting.refuse(OVERLOADED, "One picture holds this node up.")
            elif not (self._large if waiting.large else self._usual).put(waiting):
                waiting.refuse(OVERLOADED, f"{self._options.max_waiting} frames wait here already.")

    def finalize(self) -> None:
        for queue in (self._usual, self._large):
            for waiting in queue.close(timeout_s=2.0):
                waiting.refuse(CANCELLED, "The node is stopping.")
        self._watchdog.close()

    def _answer_usual(self, batch: list[QueuedItem[_Waiting]]) -> None:
        wanted = [arrived for arrived in batch if not _abandoned(arrived.item)]
        if wanted:
            with self._answering(wanted), self._turn(wanted):
                outcomes = detect_batch(
                    self._detector,
                    [_work(one) for one in wanted],
                    trained_on=self._trained_on,
                    slowdown=self._options.slowdown,
                )
                for arrived, outcome in zip(wanted, outcomes, strict=True):
                    _tell(arrived.item, outcome)

    def _answer_large(self, batch: list[QueuedItem[_Waiting]]) -> None:
        for arrived in batch:
            if _abandoned(arrived.item):
                continue
            with self._answering([arrived]):
                outcome = detect_large(
                    self._detector,
                    _work(arrived),
                    trained_on=self._trained_on,
                    turn=lambda one=arrived: self._turn([one]),  # type: ignore[misc]
                    is_cancelled=arrived.item.request.is_cancelled,
                    slowdown=self._options.slowdown,
                )
                _tell(arrived.item, outcome)

    @contextmanager
    def _answering(self, wanted: Sequence[QueuedItem[_Waiting]]) -> Iterator[None]:
        """Whatever goes wrong, everybody who waits is told."""
        try:
            yield
        except Abandoned:
            for arrived in wanted:
                arrived.item.refuse(CANCELLED, "The request was given up.")
        except Exception as error:
            triton_api.log_error(f"detecting failed: {error!r}")
            text = f"The detector failed: {type(error).__name__}: {error}"
            for arrived in wanted:
                arrived.item.answer(lambda sender: triton_api.fail(sender, text))

    @contextmanager
    def _turn(self, wanted: Sequence[QueuedItem[_Waiting]]) -> Iterator[None]:
        """The detector, for one batch or a few tiles; somebody watches how long that takes."""
        budget_s = self._options.step_budget_s * self._options.slowdown
        with self._turns.turn():
            try:
                with self._watchdog.watched(budget_s, lambda: self._overran(wanted, budget_s)):
                    yield
            finally:
                self._held_up = False

    def _overran(self, wanted: Sequence[QueuedItem[_Waiting]], budget_s: float) -> None:
        """What runs cannot be ended. Those whose work it is, and those who wait behind it, need not wait for it."""
        self._held_up = True
        code = TOO_COSTLY if len(wanted) == 1 else HELD_UP
        for arrived in wanted:
            arrived.item.refuse(code, f"The picture took longer than the {budget_s:g} s that it may take.")
        for waiting in (*self._usual.cleared(), *self._large.cleared()):
            waiting.refuse(OVERLOADED, "One picture holds this node up.")
        triton_api.log_error(f"{len(wanted)} pictures took longer than {budget_s:g} s")


def _work(arrived: QueuedItem[_Waiting]) -> DetectWork:
    waiting = arrived.item
    return DetectWork(waiting.frame, waiting.template, waiting.min_score, arrived.queue_ms)


def _tell(waiting: _Waiting, outcome: Detected | BadFrame) -> None:
    if isinstance(outcome, Detected):
        tensors = _tensors(outcome)
        waiting.answer(lambda sender: triton_api.respond(sender, tensors, last=True))
    else:
        waiting.refuse(BAD_FRAME, str(outcome))


def _read(request: Any, sender: Any) -> _Waiting:
    """The request's tensors; a picture that cannot be used, or costs too much, is refused before it waits."""
    frame, template = bytes(_one(request, "frame")), bytes(_one(request, "template"))
    costs = [picture_cost(data) for data in (frame, template) if data or data is frame]
    min_score = float(_one(request, "min_score"))
    if not 0.0 <= min_score <= 1.0:
        raise BadFrame(f"min_score is {min_score}, expected 0..1.")
    large, alone = any(map(is_large, costs)), triton_api.flag(request, ALONE)
    return _Waiting(request, sender, frame, template, min_score, tile_count(costs[0].size_wh), large, alone)


def _one(request: Any, name: str) -> Any:
    values = triton_api.read_tensor(request, name)
    if len(values) != 1:
        raise BadFrame(f"{name} has {len(values)} entries; a request holds one frame.")
    return values[0]


def _abandoned(waiting: _Waiting) -> bool:
    """Whether the asker's deadline passed or it hung up; then nobody pays for the inference."""
    if not waiting.request.is_cancelled():
        return False
    waiting.refuse(CANCELLED, "The request was given up while it waited.")
    return True


def _tensors(detected: Detected) -> dict[str, npt.NDArray[Any]]:
    regions = detected.regions
    return {
        "boxes": np.array([r.box_xyxy for r in regions], np.float32).reshape(1, len(regions), 4),
        "scores": np.array([[r.score for r in regions]], np.float32),
        "classes": np.array([[r.class_index for r in regions]], np.int32),
        "meta": triton_api.text_tensor(wire.encode_meta(detected.meta), (1, 1)),
    }
