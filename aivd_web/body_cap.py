"""Stop a request body at its cap while it arrives, in front of Django. Knows paths and bytes, nothing else.

Django's ASGI handler collects the whole body before any view runs, and it takes a body that came in chunks
without a length for an empty one. So here a body over the cap is refused with 413 before it is collected, and
one without a length is counted first and handed on with its length.
"""

import asyncio
import contextlib
import json
import tempfile
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import IO, Any

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
CapFor = Callable[[str, str], int]

SPOOL_BYTES = 1024 * 1024
REPLAY_BYTES = 256 * 1024
LINGER_S = 1.0
LINGER_BYTES = 8 * 1024 * 1024


class OverCap(Exception):
    """More arrived than may be taken in."""


class ClientGone(Exception):
    """The client hung up before the body was whole."""


@dataclass(frozen=True)
class BodyCap:
    """ASGI middleware; `cap_for(path, content_type)` gives the most bytes that a body there may have."""

    app: App
    cap_for: CapFor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        cap = self.cap_for(scope["path"], _header(scope, b"content-type"))
        length = _header(scope, b"content-length")
        try:
            if length:
                if not length.isdigit() or int(length) > cap:
                    raise OverCap
                await self._counted(scope, receive, send, cap)
            elif _header(scope, b"transfer-encoding"):
                await self._collected(scope, receive, send, cap)
            else:
                await self.app(scope, receive, send)
        except OverCap:
            await _refuse(receive, send, cap)
        except ClientGone:
            return

    async def _counted(self, scope: Scope, receive: Receive, send: Send, cap: int) -> None:
        """Pass the body on as it comes; the server holds it to its stated length, and we do so too."""
        seen, over = 0, False

        async def limited() -> Message:
            nonlocal seen, over
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > cap:
                over = True
                return {"type": "http.disconnect"}  # Django drops the request without an answer
            return message

        await self.app(scope, limited, send)
        if over:
            raise OverCap

    async def _collected(self, scope: Scope, receive: Receive, send: Send, cap: int) -> None:
        with tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES) as file:
            size = await _collect(receive, file, cap)
            headers = [(k, v) for k, v in scope["headers"] if k != b"transfer-encoding"]
            known = {**scope, "headers": [*headers, (b"content-length", str(size).encode())]}
            await self.app(known, _replay(file, receive), send)


async def _collect(receive: Receive, file: IO[bytes], cap: int) -> int:
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        size += len(message.get("body", b""))
        if size > cap:
            raise OverCap
        file.write(message.get("body", b""))
        if not message.get("more_body", False):
            file.seek(0)
            return size


def _replay(file: IO[bytes], receive: Receive) -> Receive:
    done = False

    async def replay() -> Message:
        nonlocal done
        if done:
            return await receive()  # the client's hanging up is still heard
        body = file.read(REPLAY_BYTES)
        done = len(body) < REPLAY_BYTES
        return {"type": "http.request", "body": body, "more_body": not done}

    return replay


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin1") for key, value in scope["headers"] if key == name), "")


async def _refuse(receive: Receive, send: Send, cap: int) -> None:
    """Answer, listen a moment longer, close.

    A connection that is closed with unread bytes is reset, and a reset makes many clients lose the answer.
    """
    body = json.dumps(
        {
            "code": "body_too_large",
            "detail": f"The body has more than the {cap:,} bytes that are taken in here.",
            "hint": "Send a smaller picture, or fewer at once.",
        }
    ).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_S):
            await _pass_over(receive)
    await send({"type": "http.response.body", "body": b""})


async def _pass_over(receive: Receive) -> None:
    left = LINGER_BYTES
    while left > 0:
        message = await receive()
        left -= len(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return
