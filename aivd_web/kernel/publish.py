"""Send hints to websockets from any thread. A hint may vanish at any moment; the database is the truth.

One background event loop a process owns the channel layer's connections, because calling it from a
fresh loop for each message would open a new Redis connection every time.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any

from channels.layers import get_channel_layer
from django.db import transaction

from aivd_web.kernel.parts import part

MAX_WAITING = 2_000
SEND_TIMEOUT_S = 2.0


class Publisher:
    """A bounded queue in front of the channel layer; when it is full the newest hint is dropped and counted."""

    def __init__(self) -> None:
        self.dropped = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queue: asyncio.Queue[tuple[str, dict[str, Any]]] | None = None
        self._lock = threading.Lock()

    def send(self, group: str, message: dict[str, Any]) -> None:
        loop = self._running_loop()
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._put, group, message)

    def later(self, delay_s: float, act: Callable[[], None]) -> None:
        """Call `act`, which must not block, on the publisher's thread after a delay."""
        loop = self._running_loop()
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(loop.call_later, delay_s, act)

    def _put(self, group: str, message: dict[str, Any]) -> None:
        assert self._queue is not None
        try:
            self._queue.put_nowait((group, message))
        except asyncio.QueueFull:
            self.dropped += 1

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                ready = threading.Event()
                threading.Thread(target=self._run, args=(ready,), name="publisher", daemon=True).start()
                ready.wait()
            assert self._loop is not None
            return self._loop

    def _run(self, ready: threading.Event) -> None:
        asyncio.run(self._pump(ready))

    async def _pump(self, ready: threading.Event) -> None:
        self._queue = asyncio.Queue(MAX_WAITING)
        self._loop = asyncio.get_running_loop()
        ready.set()
        while True:
            group, message = await self._queue.get()
            layer = get_channel_layer()
            if layer is None:
                continue
            try:
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    await layer.group_send(group, message)
            except Exception:  # a hint that cannot be sent is a hint lost, whatever the reason
                self.dropped += 1


def publish(group: str, message: dict[str, Any]) -> None:
    """Send `message` to every websocket in `group`, now, without waiting for it."""
    part(Publisher).send(group, message)


def publish_on_commit(group: str, message: dict[str, Any]) -> None:
    """Send `message` once the current transaction has committed; never before, and never if it rolls back."""
    transaction.on_commit(lambda: part(Publisher).send(group, message), robust=True)


def call_later(delay_s: float, act: Callable[[], None]) -> None:
    """Call `act` on the publisher's thread after a delay: for hints that were held back to be sent together."""
    part(Publisher).later(delay_s, act)
