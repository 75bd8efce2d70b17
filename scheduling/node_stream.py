"""One describe call under a watchdog. Knows gRPC only as an iterator of responses that can be cancelled."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from scheduling.node_answers import (
    CANCELLED,
    CONTRACT,
    DEADLINE,
    SERVER,
    NodeError,
    error_from_text,
    raw_outputs,
    read_event_text,
)
from scheduling.serving.contracts import ContractBroken

_WAKE_S = 0.2  # how late a cancellation is noticed at most
_JOIN_S = 1.0


class EventStream:
    """One describe call: a thread reads it into a queue, so that silence can be noticed and cut off."""

    def __init__(
        self,
        call: Any,
        idle_timeout_s: float,
        node: str,
        translated: Callable[[BaseException], NodeError],
    ) -> None:
        self._call, self._idle_timeout_s, self._node, self._translated = (
            call,
            idle_timeout_s,
            node,
            translated,
        )
        self._arrived: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name=f"stream-{node}", daemon=True)

    def __enter__(self) -> "EventStream":
        self._reader.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._call.cancel()  # no effect on a stream that has ended
        self._reader.join(timeout=_JOIN_S)

    def texts(self, is_cancelled: Callable[[], bool]) -> Iterator[bytes]:
        """The JSON of each response until the stream ends; raises `NodeError`."""
        while (response := self._next(is_cancelled)) is not None:
            if response.error_message:
                raise error_from_text(response.error_message, otherwise=SERVER, node=self._node)
            if response.infer_response.outputs:  # the final response of a decoupled model is empty
                try:
                    yield read_event_text(raw_outputs(response.infer_response))
                except ContractBroken as error:
                    raise NodeError(CONTRACT, str(error), node=self._node) from error

    def _next(self, is_cancelled: Callable[[], bool]) -> Any:
        silent_at = time.monotonic() + self._idle_timeout_s
        while True:
            if is_cancelled():
                raise NodeError(CANCELLED, "The request was given up.", node=self._node)
            left_s = silent_at - time.monotonic()
            if left_s <= 0:
                detail = f"No event came for {self._idle_timeout_s:g} s."
                raise NodeError(DEADLINE, detail, node=self._node)
            try:
                item = self._arrived.get(timeout=min(left_s, _WAKE_S))
            except queue.Empty:
                continue
            if isinstance(item, BaseException):
                raise self._translated(item) from item
            return item

    def _read(self) -> None:
        try:
            for response in self._call:
                self._arrived.put(response)
            self._arrived.put(None)
        except Exception as error:
            self._arrived.put(error)
