"""Triton's side of the edge detector: tensors in, a queue that batches, tensors out.

The work itself is in `detecting.py`. Importable only inside Triton's Python process.
"""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from scheduling.serving import wire
from scheduling.serving.contracts import BAD_FRAME, CANCELLED, MAX_BATCH, OVERLOADED, BadFrame
from scheduling.serving.pictures import picture_size
from scheduling.serving.runtime import backend
from scheduling.serving.runtime.desk import Arrived, Desk
from scheduling.serving.runtime.detecting import MAX_BATCH_PIXELS, Detected, DetectWork, detect_batch, warm_up
from scheduling.serving.runtime.options import NodeOptions, open_detector, refuse_numpy_2


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A request in the queue; `pixels` is what the header of its frame says."""

    request: Any
    sender: Any
    frame: bytes
    template: bytes
    min_score: float
    pixels: int


class TritonPythonModel:
    """One instance; Triton calls `execute` from one thread and the queue's thread answers."""

    def initialize(self, args: dict[str, str]) -> None:
        refuse_numpy_2(os.environ)
        self._options = NodeOptions.from_environment(os.environ)
        self._detector = open_detector(self._options)
        warm_up(self._detector)
        self._desk: Desk[_Waiting] = Desk(
            self._answer,
            max_waiting=self._options.max_waiting,
            max_batch=MAX_BATCH,
            cost=lambda waiting: waiting.pixels,
            max_cost=MAX_BATCH_PIXELS,
            abandoned=_abandoned,
            broken=backend.give_up,
        )
        backend.log_info(f"{self._detector.name} {self._detector.version} on {self._detector.runtime}")

    def execute(self, requests: list[Any]) -> None:
        """Queue the requests; returning at once lets Triton hand over the next ones meanwhile."""
        for request in requests:
            sender = request.get_response_sender()
            try:
                waiting = _read(request, sender)
            except BadFrame as error:
                backend.refuse(sender, BAD_FRAME, str(error))
                continue
            if not self._desk.put(waiting):
                backend.refuse(sender, OVERLOADED, f"{self._options.max_waiting} frames wait here already.")

    def finalize(self) -> None:
        for waiting in self._desk.close(timeout_s=4.0):
            backend.refuse(waiting.sender, CANCELLED, "The node is stopping.")

    def _answer(self, batch: list[Arrived[_Waiting]]) -> None:
        wanted = [arrived for arrived in batch if not _abandoned(arrived.item)]
        if not wanted:
            return
        work = [DetectWork(a.item.frame, a.item.template, a.item.min_score, a.queue_ms) for a in wanted]
        try:
            outcomes = detect_batch(self._detector, work, slowdown=self._options.slowdown)
        except Exception as error:
            backend.log_error(f"detecting failed: {error!r}")
            for arrived in wanted:
                backend.fail(arrived.item.sender, f"The detector failed: {type(error).__name__}: {error}")
            return
        for arrived, outcome in zip(wanted, outcomes, strict=True):
            if isinstance(outcome, Detected):
                backend.respond(arrived.item.sender, _tensors(outcome), last=True)
            else:
                backend.refuse(arrived.item.sender, BAD_FRAME, str(outcome))


def _read(request: Any, sender: Any) -> _Waiting:
    """The request's tensors; a picture whose header cannot be used is refused before it waits."""
    frame, template = bytes(_one(request, "frame")), bytes(_one(request, "template"))
    width, height = picture_size(frame)
    if template:
        picture_size(template)
    min_score = float(_one(request, "min_score"))
    if not 0.0 <= min_score <= 1.0:
        raise BadFrame(f"min_score is {min_score}, expected 0..1.")
    return _Waiting(request, sender, frame, template, min_score, width * height)


def _one(request: Any, name: str) -> Any:
    values = backend.read_tensor(request, name)
    if len(values) != 1:
        raise BadFrame(f"{name} has {len(values)} entries; a request holds one frame.")
    return values[0]


def _abandoned(waiting: _Waiting) -> bool:
    """Whether the asker's deadline passed or it hung up; then nobody pays for the inference."""
    if not waiting.request.is_cancelled():
        return False
    backend.refuse(waiting.sender, CANCELLED, "The request was given up while it waited.")
    return True


def _tensors(detected: Detected) -> dict[str, npt.NDArray[Any]]:
    regions = detected.regions
    return {
        "boxes": np.array([r.box_xyxy for r in regions], np.float32).reshape(1, len(regions), 4),
        "scores": np.array([[r.score for r in regions]], np.float32),
        "classes": np.array([[r.class_index for r in regions]], np.int32),
        "meta": backend.text_tensor(wire.encode_meta(detected.meta), (1, 1)),
    }
