"""How the web server reads and closes websockets: uvicorn's way, but no message decides how much memory it takes.

A message over its limit is read over while it arrives, and the application is told in its place; one that is no text
as well. A client that reads nothing is cut off when the application closes. Knows no line and no picture.
"""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from aivd_web.kernel.socket import LIMITS

TEXT_BYTES = 64 * 1024
CUT_OFF_AFTER_S = 0.3
FIN, OPCODE, MASKED, LENGTH = 0x80, 0x0F, 0x80, 0x7F
TEXT, CONTROL = 0x1, 0x8
NO_PAYLOAD = bytes((MASKED, 0, 0, 0, 0))  # masked, as all from a client, with nothing in it


@dataclass
class Limits:
    """The application raises `binary_bytes` once it knows who is there."""

    text_bytes: int = TEXT_BYTES
    binary_bytes: int = TEXT_BYTES


class MessageFilter:
    """Pass the bytes of websocket frames on, without the payload of messages over the limit.

    Such a message becomes an empty one. `dropped` tells for each message that has passed whether it was one of them.
    """

    def __init__(self, limit_of: Callable[[bool], int]) -> None:
        self._limit_of = limit_of
        self.dropped: deque[bool] = deque()
        self._head = bytearray()
        self._left = 0  # of the payload of the frame that is being read
        self._passing = True
        self._after = b""  # what stands for a frame whose payload was dropped
        self._is_text = False
        self._size = 0
        self._dropping = False

    def feed(self, data: bytes) -> bytes:
        passed = bytearray()
        at = 0
        while at < len(data):
            if self._left:
                at = self._payload(data, at, passed)
            else:
                self._head.append(data[at])
                at += 1
                if len(self._head) == _length_of(self._head):
                    self._begin(bytes(self._head), passed)
                    self._head.clear()
        return bytes(passed)

    def _payload(self, data: bytes, at: int, passed: bytearray) -> int:
        end = min(len(data), at + self._left)
        if self._passing:
            passed += data[at:end]
        self._left -= end - at
        if not self._left:
            passed += self._after
            self._after = b""
        return end

    def _begin(self, head: bytes, passed: bytearray) -> None:
        self._left, self._passing = _payload_of(head), True
        if not head[0] & CONTROL:
            self._count(head, self._left)
        if self._passing:
            passed += head
        elif not self._left:
            passed += self._after
            self._after = b""

    def _count(self, head: bytes, size: int) -> None:
        """Decide about a frame of a message by the size of the message so far."""
        if head[0] & OPCODE:
            self._is_text, self._size, self._dropping = head[0] & OPCODE == TEXT, 0, False
        self._size += size
        self._dropping = self._dropping or self._size > self._limit_of(self._is_text)
        is_last = bool(head[0] & FIN)
        if self._dropping:
            self._passing = False
            self._after = bytes((head[0],)) + NO_PAYLOAD
        if is_last:
            self.dropped.append(self._dropping)


class BoundedWebSockets(WebSocketsSansIOProtocol):
    """What uvicorn is told to use: `--ws=aivd_web.web_sockets:BoundedWebSockets`, without compression."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.limits = Limits()
        self.filter = MessageFilter(self._limit)
        self.fragments = bytearray()

    def data_received(self, data: bytes) -> None:
        super().data_received(self.filter.feed(data) if self.handshake_initiated else data)

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):  # else the handshake was refused
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[LIMITS] = self.limits

    def handle_cont(self, event: Any) -> None:
        """Into one piece of memory, since a list of a million small pieces takes many times their size."""
        self.fragments += event.data
        if event.fin:
            self.frames = [bytes(self.fragments)]
            self.fragments.clear()
            self.send_receive_event_to_app()

    def handle_text(self, event: Any) -> None:
        self.curr_msg_data_type = "text"
        self._first(event)

    def handle_bytes(self, event: Any) -> None:
        self.curr_msg_data_type = "bytes"
        self._first(event)

    def send_receive_event_to_app(self) -> None:
        reason = self._unreadable()
        if reason is None or self.close_sent:
            super().send_receive_event_to_app()
            return
        self.frames = []
        is_text = self.curr_msg_data_type == "text"
        told = {"type": "websocket.receive", "text": "" if is_text else None, "bytes": None if is_text else b""}
        self.queue.put_nowait({**told, "unreadable": reason})  # type: ignore[arg-type]
        if not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()

    async def send(self, message: Any) -> None:
        if message["type"] != "websocket.close":
            await super().send(message)
            return
        self.writable.set()  # the end is not kept waiting by a client that reads nothing
        await super().send(message)
        asyncio.get_running_loop().call_later(CUT_OFF_AFTER_S, self._cut_off)

    def _cut_off(self) -> None:
        """Without a linger the kernel would go on offering what is not read."""
        if not self.transport.get_write_buffer_size():
            return
        connection = self.transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _first(self, event: Any) -> None:
        if event.fin:
            self.frames = [bytes(event.data)]
            self.send_receive_event_to_app()
        else:
            self.fragments[:] = event.data

    def _limit(self, is_text: bool) -> int:
        return self.limits.text_bytes if is_text else self.limits.binary_bytes

    def _unreadable(self) -> str | None:
        is_text = self.curr_msg_data_type == "text"
        if self.filter.dropped.popleft():
            return f"The message has more than the {self._limit(is_text):,} bytes that are taken in."
        if is_text and not _is_utf8(self.frames[0]):
            return "The message is a text that is not UTF-8."
        return None


def _length_of(head: bytes | bytearray) -> int:
    """How long the head of a frame is, as far as can be told from its beginning."""
    if len(head) < 2:
        return 2
    extended = {126: 2, 127: 8}.get(head[1] & LENGTH, 0)
    return 2 + extended + (4 if head[1] & MASKED else 0)


def _payload_of(head: bytes) -> int:
    short = head[1] & LENGTH
    extended = {126: 2, 127: 8}.get(short, 0)
    return int.from_bytes(head[2 : 2 + extended], "big") if extended else short


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
