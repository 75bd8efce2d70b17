"""Triton's side of the describer: crops and a request in, a stream of events out.

The work itself is in `describing.py`. Importable only inside Triton's Python process.
"""

import os
from collections.abc import Iterator, Set
from dataclasses import dataclass
from typing import Any

from scheduling.serving import wire
from scheduling.serving.backend import triton_api
from scheduling.serving.backend.describing import DescribeWork, StreamPause, describe_events, read_work
from scheduling.serving.backend.options import NodeOptions, open_describer, refuse_numpy_2
from scheduling.serving.backend.work_queue import Abandoned, QueuedItem, WorkQueue
from scheduling.serving.contracts import BAD_FRAME, CANCELLED, OVERLOADED, STOP_PARAMETER, BadFrame

STOPS_KEPT = 10_000


class LatestNames(Set[str]):
    """The last `most` names that were added; older ones are forgotten."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._names: dict[str, None] = {}

    def add(self, name: str) -> None:
        self._names[name] = None
        if len(self._names) > self._most:
            del self._names[next(iter(self._names))]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@dataclass(frozen=True, slots=True)
class _Waiting:
    request: Any
    sender: Any
    work: DescribeWork
    stopped: Set[str]

    def is_given_up(self) -> bool:
        """Whether the asker said so, hung up, or has let its deadline pass."""
        return self.request.request_id() in self.stopped or self.request.is_cancelled()


class TritonPythonModel:
    """One instance; requests wait in a queue of its own and are described one after the other."""

    def initialize(self, args: dict[str, str]) -> None:
        refuse_numpy_2(os.environ)
        self._options = NodeOptions.from_environment(os.environ)
        self._pause = None
        if self._options.pause_file is not None:
            self._pause = StreamPause(self._options.pause_file, self._options.pause_after_tokens)
        self._describer = open_describer(self._options)
        self._stopped = LatestNames(STOPS_KEPT)
        self._queue: WorkQueue[_Waiting] = WorkQueue(
            self._answer, max_waiting=self._options.max_waiting, broken=triton_api.give_up
        )
        triton_api.log_info(f"{self._describer.name} {self._describer.version} on {self._describer.runtime}")

    def execute(self, requests: list[Any]) -> None:
        """Queue the requests; a stream's responses follow from the queue's thread."""
        for request in requests:
            sender = request.get_response_sender()
            if given_up := triton_api.text_parameter(request, STOP_PARAMETER):
                self._stopped.add(given_up)
                triton_api.end(sender)
                continue
            try:
                waiting = _Waiting(request, sender, _read(request), self._stopped)
            except BadFrame as error:
                triton_api.refuse(sender, BAD_FRAME, str(error))
                continue
            if not self._queue.put(waiting):
                triton_api.refuse(sender, OVERLOADED, f"{self._options.max_waiting} requests wait here already.")

    def finalize(self) -> None:
        for waiting in self._queue.close(timeout_s=4.0):
            triton_api.refuse(waiting.sender, CANCELLED, "The node is stopping.")

    def _answer(self, batch: list[QueuedItem[_Waiting]]) -> None:
        for arrived in batch:
            sender = arrived.item.sender
            if arrived.item.is_given_up():
                triton_api.refuse(sender, CANCELLED, "The request was given up while it waited.")
                continue
            try:
                self._stream(arrived.item, arrived.queue_ms)
            except Abandoned:
                triton_api.refuse(sender, CANCELLED, "The request was given up.")
            except BadFrame as error:
                triton_api.refuse(sender, BAD_FRAME, str(error))
            except Exception as error:
                triton_api.log_error(f"describing failed: {error!r}")
                triton_api.fail(sender, f"The describer failed: {type(error).__name__}: {error}")
            else:
                triton_api.end(sender)

    def _stream(self, waiting: _Waiting, queue_ms: float) -> None:
        events = describe_events(
            self._describer,
            waiting.work,
            queue_ms=queue_ms,
            is_cancelled=waiting.is_given_up,
            slowdown=self._options.slowdown,
            pause=self._pause,
        )
        for event in events:
            text = triton_api.text_tensor(wire.encode_event(event), (1,))
            triton_api.respond(waiting.sender, {"event": text}, last=False)


def _read(request: Any) -> DescribeWork:
    texts = triton_api.read_tensor(request, "request")
    if len(texts) != 1:
        raise BadFrame(f"The tensor request has {len(texts)} entries, expected one.")
    return read_work([bytes(crop) for crop in triton_api.read_tensor(request, "crops")], bytes(texts[0]))
