"""Follow a line's events over the websocket, and check that none is missing, doubled or out of order.

Knows no Django: it is a client like a browser's, with a token.
"""

import asyncio
import contextlib
import json
import time
from collections import Counter
from typing import Any

import websockets
from websockets.exceptions import ConnectionClosed, InvalidHandshake

CONNECT_S = 30.0
SILENCE_S = 6.0  # the server says its head every 2 s


class Follower:
    """`events` holds every numbered event in order, with `heard_at`; `faults` says what should never be seen.

    Without `after_seq` it begins with what happens once it is connected; entering the context waits for that.
    """

    def __init__(self, url: str, token: str, *, after_seq: int | None = None) -> None:
        self.url = url
        self.token = token
        self.last_seq = after_seq
        self.events: list[dict[str, Any]] = []
        self.hints: Counter[str] = Counter()
        self.faults: list[str] = []
        self.reconnects = 0
        self._changed = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self._greeted = asyncio.Event()

    async def __aenter__(self) -> "Follower":
        self._task = asyncio.create_task(self._follow())
        await asyncio.wait_for(self._greeted.wait(), CONNECT_S)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    def seen(self, type_: str) -> Counter[str]:
        """How often each frame had an event of this type."""
        return Counter(event["id"] for event in self.events if event["type"] == type_)

    async def wait_for(self, type_: str, frames: set[str], *, timeout_s: float) -> set[str]:
        """Wait until every one of `frames` had such an event; return those that did not in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(lambda: not frames - self.seen(type_).keys())
        return frames - self.seen(type_).keys()

    async def _follow(self) -> None:
        while True:
            try:
                await self._listen()
            except (OSError, InvalidHandshake, ConnectionClosed, TimeoutError):
                self.reconnects += 1
                await asyncio.sleep(0.3)

    async def _listen(self) -> None:
        async with websockets.connect(
            self.url if self.last_seq is None else f"{self.url}?after_seq={self.last_seq}",
            subprotocols=[websockets.Subprotocol(f"aivd.token.{self.token}")],
            open_timeout=10,
        ) as socket:
            while True:
                async with asyncio.timeout(SILENCE_S):  # wait_for may swallow a cancellation on Python 3.11
                    message = json.loads(await socket.recv())
                if message["type"] == "resync":
                    return
                await self._take(message)

    async def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "hello":
            self.last_seq = message["head_seq"] if self.last_seq is None else self.last_seq
            self._greeted.set()
        if message["type"] in ("hello", "head"):
            return
        if "seq" not in message:
            self.hints[message["type"]] += 1
            return
        assert self.last_seq is not None, "The greeting comes first."
        if message["seq"] != self.last_seq + 1:
            self.faults.append(f"event {message['seq']} came after {self.last_seq}")
        self.last_seq = max(self.last_seq, message["seq"])
        self.events.append(message | {"heard_at": time.time()})
        async with self._changed:
            self._changed.notify_all()
