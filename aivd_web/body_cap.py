"""Stop a request body at its cap while it arrives, in front of Django. Knows paths and bytes, nothing else.

Django's ASGI handler collects the whole body before any view runs, and it takes a body that came in chunks
without a length for an empty one. So here a body over the cap is refused with 413 before it is collected, and
one without a length is counted first and handed on with its length. A body that is more than anybody may send is
read only from whom `refusal_of` lets in.
"""

import asyncio
import contextlib
import json
import tempfile
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import IO, Any

from aivd_web.kernel.errors import AivdError

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
CapFor = Callable[[str, str], int]
RefusalOf = Callable[[Scope], Awaitable[AivdError | None]]

FREE_BYTES = 1024 * 1024  # what an address takes from anybody

SPOOL_BYTES = 1024 * 1024
REPLAY_BYTES = 256 * 1024
PAUSE_S = 30.0
"""So long may a sender be silent in the middle of a body."""
LEAST_BYTES_PER_S = 4 * 1024
"""Slower than so, after the first pause, is nobody who wants to be heard: a worn-out link carries ten times as much."""
LINGER_S = 1.0
LINGER_BYTES = 8 * 1024 * 1024


class OverCap(AivdError):
    """More arrived than may be taken in."""

    code = "body_too_large"
    status = 413
    hint = "Send a smaller picture, or fewer at once."


class TooSlow(AivdError):
    """The body trickles; it would hold a place for hours."""

    code = "body_too_slow"
    status = 408
    hint = "Send it again over a better link, or a smaller picture."


class ClientGone(Exception):
    """The client hung up before the body was whole."""


@dataclass(frozen=True)
class BodyCap:
    """ASGI middleware; `cap_for(path, content_type)` gives the most bytes that a body there may have.

    `refusal_of(scope)` is asked before a large body is read; what it gives is the answer. A sender may be silent for
    `pause_s` in the middle of a body.
    """

    app: App
    cap_for: CapFor
    refusal_of: RefusalOf
    pause_s: float = PAUSE_S

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        cap = self.cap_for(scope["path"], _header(scope, b"content-type"))
        paced = _paced(receive, self.pause_s)
        length = _header(scope, b"content-length")
        try:
            if length:
                await self._admit(scope, length, cap)
                await self._counted(scope, paced, send, cap)
            elif _header(scope, b"transfer-encoding"):
                await self._admit(scope, "", cap)
                await self._collected(scope, paced, send, cap)
            else:
                await self.app(scope, receive, send)
        except AivdError as refusal:
            await _refuse(receive, send, refusal)
        except ClientGone:
            return

    async def _admit(self, scope: Scope, length: str, cap: int) -> None:
        """Raise what speaks against this body, as far as that can be known before a byte of it is read."""
        if length and not (length.isascii() and length.isdigit() and len(length) < 20):
            raise _over(cap)
        stated = int(length) if length else None
        if (stated is None or stated > FREE_BYTES) and (refusal := await self.refusal_of(scope)) is not None:
            raise refusal
        if stated is not None and stated > cap:
            raise _over(cap)

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
            raise _over(cap)

    async def _collected(self, scope: Scope, receive: Receive, send: Send, cap: int) -> None:
        with tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES) as file:
            size = await _collect(receive, file, cap)
            headers = [(k, v) for k, v in scope["headers"] if k != b"transfer-encoding"]
            known = {**scope, "headers": [*headers, (b"content-length", str(size).encode())]}
            await self.app(known, _replay(file, receive), send)


def _paced(receive: Receive, pause_s: float) -> Receive:
    """Hand on what comes; raise TooSlow where the sender is silent for too long, or trickles."""
    began, seen, whole = time.monotonic(), 0, False

    async def paced() -> Message:
        nonlocal seen, whole
        if whole:
            return await receive()  # nothing but the client's hanging up may come, however late
        by = began + pause_s + seen / LEAST_BYTES_PER_S
        try:
            async with asyncio.timeout(min(pause_s, by - time.monotonic())):
                message = await receive()
        except TimeoutError:
            raise TooSlow(f"{seen:,} bytes of the body came in {time.monotonic() - began:.0f} s.") from None
        seen += len(message.get("body", b""))
        whole = not message.get("more_body", False)
        return message

    return paced


async def _collect(receive: Receive, file: IO[bytes], cap: int) -> int:
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        size += len(message.get("body", b""))
        if size > cap:
            raise _over(cap)
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


def _over(cap: int) -> OverCap:
    return OverCap(f"The body has more than the {cap:,} bytes that are taken in here.")


async def _refuse(receive: Receive, send: Send, error: AivdError) -> None:
    """Answer, listen a moment longer, close.

    A connection that is closed with unread bytes is reset, and a reset makes many clients lose the answer.
    """
    body = json.dumps(error.as_dict()).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers.append((b"www-authenticate", b'Bearer realm="aivd"'))
    if error.retry_after_s is not None:
        headers.append((b"retry-after", str(error.retry_after_s).encode()))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
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
