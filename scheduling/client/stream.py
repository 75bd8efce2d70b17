"""One describe call under a watchdog. Knows gRPC only as an iterator of responses.

A stream that is given up is not cancelled: this Triton (2.51) now and then dies of a cancelled stream, and with it
everything else that it was doing. The node is asked to stop instead, and the stream is read to its end beside us.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from scheduling.client.answers import (
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

ENDS_WITHIN_S = 5.0
"""How long after its deadline a stream may still take to end by itself; then gRPC cuts it."""

_WAKE_S = 0.2  # how late a cancellation is noticed at most


class EventStream:
    """One describe call: a thread reads it into a queue, so that silence can be noticed and cut off."""

    def __init__(
        self,
        call: Any,
        *,
        timeout_s: float,
        idle_timeout_s: float,
        node: str,
        translated: Callable[[BaseException], NodeError],
        stop: Callable[[], None],
    ) -> None:
        """`stop` asks the node to end the stream and must not wait for it."""
        self._call, self._node, self._translated, self._stop = call, node, translated, stop
        self._timeout_s, self._idle_timeout_s = timeout_s, idle_timeout_s
        self._ends_at = time.monotonic() + timeout_s
        self._ending = threading.Event()  # the node has ended it or is about to
        self._arrived: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name=f"stream-{node}", daemon=True)

    def __enter__(self) -> "EventStream":
        self._reader.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        if not self._ending.is_set():
            self._stop()

    def texts(self, is_cancelled: Callable[[], bool]) -> Iterator[bytes]:
        """The JSON of each response until the stream ends; raises `NodeError`."""
        while (response := self._next(is_cancelled)) is not None:
            if response.error_message:
                self._ending.set()
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
            left_s = min(silent_at, self._ends_at) - time.monotonic()
            if left_s <= 0:
                raise NodeError(DEADLINE, self._late(silent_at), node=self._node)
            try:
                item = self._arrived.get(timeout=min(left_s, _WAKE_S))
            except queue.Empty:
                continue
            if isinstance(item, BaseException):
                raise self._translated(item) from item
            return item

    def _late(self, silent_at: float) -> str:
        if self._ends_at <= silent_at:
            return f"The answer was not whole within {self._timeout_s:g} s."
        return f"No event came for {self._idle_timeout_s:g} s."

    def _read(self) -> None:
        """To the very end, also when nobody listens any more."""
        end: BaseException | None = None
        try:
            for response in self._call:
                self._arrived.put(response)
        except Exception as error:
            end = error
        self._ending.set()
        self._arrived.put(end)
