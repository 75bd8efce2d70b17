"""A client of `/ws/v1/stations/ID/stream`: sends frames within the credit window and resends what was never answered.

Knows no Django. Each frame has a key, so a frame that was committed just before the socket broke is the same
frame when it is sent again.
"""

import asyncio
import contextlib
import json
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import websockets
from websockets.exceptions import ConnectionClosed, InvalidHandshake

OPEN_TIMEOUT_S = 10
ANSWER_TIMEOUT_S = 30
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outgoing:
    key: str
    picture: bytes
    part_id: str = ""


@dataclass
class Tally:
    sent: int = 0
    accepted: int = 0
    refused: int = 0
    reconnects: int = 0
    refusals: list[dict[str, Any]] = field(default_factory=list)


class StreamClient:
    """One stream to one station. `on_answer(key, message)` hears every ack and refusal once."""

    def __init__(self, url: str, token: str, *, on_answer: Callable[[str, dict[str, Any]], None]) -> None:
        self.url = url
        self.token = token
        self.tally = Tally()
        self._on_answer = on_answer
        self._open: OrderedDict[str, Outgoing] = OrderedDict()
        self._socket: websockets.ClientConnection | None = None

    async def send_all(self, frames: AsyncIterator[Outgoing], *, give_up_after_s: float = 60.0) -> Tally:
        """Send `frames` until they end and all are answered. Raises TimeoutError where no socket can be had."""
        source = aiter(frames)
        ended = False
        while not ended or self._open:
            try:
                async with asyncio.timeout(give_up_after_s):
                    socket, window = await self._connect()
            except TimeoutError:
                raise TimeoutError(f"No stream to {self.url} within {give_up_after_s:.0f} s.") from None
            try:
                async with socket:
                    ended = await self._converse(socket, window, source, ended)
            except (ConnectionClosed, TimeoutError, OSError) as error:
                self.tally.reconnects += 1
                log.info("The stream broke (%s); %d frames are sent again.", error, len(self._open))
        return self.tally

    async def cut(self) -> None:
        """Break the socket as a failing network would; `send_all` goes on by itself."""
        if self._socket is not None:
            with contextlib.suppress(Exception):
                self._socket.transport.abort()

    async def _connect(self) -> tuple[websockets.ClientConnection, int]:
        pause_s = 0.1
        while True:
            try:
                socket = await websockets.connect(
                    self.url,
                    subprotocols=[websockets.Subprotocol(f"aivd.token.{self.token}")],
                    open_timeout=OPEN_TIMEOUT_S,
                    max_size=2**20,
                )
                async with asyncio.timeout(OPEN_TIMEOUT_S):
                    greeting = json.loads(await socket.recv())
                self._socket = socket
                return socket, int(greeting["window"])
            except (OSError, InvalidHandshake, ConnectionClosed, TimeoutError) as error:
                log.info("No stream yet (%s)", error)
                await asyncio.sleep(pause_s)
                pause_s = min(1.0, pause_s * 2)

    async def _converse(
        self,
        socket: websockets.ClientConnection,
        window: int,
        source: AsyncIterator[Outgoing],
        ended: bool,
    ) -> bool:
        """Resend what is open, then go on with new frames; return whether the source has ended."""
        under_way = 0
        for frame in list(self._open.values()):
            while under_way == window:
                under_way -= await self._answer(socket)
            await self._put(socket, frame)
            under_way += 1
        while not ended or self._open:
            if ended or len(self._open) >= window:
                await self._answer(socket)
                continue
            try:
                frame = await anext(source)
            except StopAsyncIteration:
                ended = True
                continue
            self._open[frame.key] = frame
            self.tally.sent += 1
            await self._put(socket, frame)
        return ended

    async def _put(self, socket: websockets.ClientConnection, frame: Outgoing) -> None:
        await socket.send(json.dumps({"type": "frame", "key": frame.key, "part_id": frame.part_id}))
        await socket.send(frame.picture)

    async def _answer(self, socket: websockets.ClientConnection) -> bool:
        """Take one message; true if it settled a frame, so that there is room for another."""
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            message = json.loads(await socket.recv())
        key = message.get("key")
        if key not in self._open:
            return False
        if message["type"] == "refused" and message.get("retry_after_s"):
            await asyncio.sleep(float(message["retry_after_s"]))
            await self._put(socket, self._open[key])
            return False
        del self._open[key]
        if message["type"] == "ack":
            self.tally.accepted += 1
        else:
            self.tally.refused += 1
            self.tally.refusals.append(message)
        self._on_answer(key, message)
        return True
