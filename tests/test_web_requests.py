"""The heads of requests over real connections: whole ones pass, endless ones are refused while they arrive."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import uvicorn

from aivd_web.web_requests import MAX_HEAD_BYTES, BoundedRequests


async def application(scope: Any, receive: Any, send: Any) -> None:
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    body = json.dumps({"read": size, "headers": len(scope["headers"])}).encode()
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})


Send = Callable[..., Any]


@pytest.fixture
async def request_raw() -> AsyncIterator[Send]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(application, lifespan="off", log_level="warning", http=BoundedRequests))
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    serving = asyncio.create_task(server.serve(sockets=[listener]))

    async def send(*pieces: bytes) -> tuple[int, dict[str, Any], int]:
        """Status, JSON, and how many of the pieces were sent."""
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.getsockname()[1])
        answer = asyncio.create_task(reader.readuntil(b"\r\n\r\n"))
        sent = 0
        with contextlib.suppress(OSError):
            for piece in pieces:
                if answer.done():
                    break
                writer.write(piece)
                await writer.drain()
                sent += 1
        try:
            head = (await asyncio.wait_for(answer, 20)).lower()
            length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
            return int(head.split()[1]), json.loads(await reader.readexactly(length)), sent
        finally:
            writer.close()

    yield send
    server.should_exit = True
    await asyncio.wait_for(serving, 10)


START = b"POST /x HTTP/1.1\r\nHost: x\r\n"
MANY = 2_000


async def test_a_large_body_in_whatever_pieces_passes(request_raw: Send) -> None:
    pieces = [START + b"Content-Length: 4000000\r\n\r\n", *[bytes(40_000)] * 100]
    assert (await request_raw(*pieces))[:2] == (200, {"read": 4_000_000, "headers": 2})
    chunks = [b"9c40\r\n" + bytes(40_000) + b"\r\n"] * 100
    status, body, _ = await request_raw(START + b"Transfer-Encoding: chunked\r\n\r\n", *chunks, b"0\r\n\r\n")
    assert (status, body["read"]) == (200, 4_000_000)


async def test_a_head_within_the_limit_passes_in_small_pieces(request_raw: Send) -> None:
    headers = [f"X-{n}: {'a' * 100}\r\n".encode() for n in range(MAX_HEAD_BYTES // 120)]
    status, body, _ = await request_raw(START, *headers, b"\r\n")
    assert (status, body["headers"]) == (200, len(headers) + 1)


ENDLESS = {
    "many headers": (START, b"X-Header: " + b"a" * 65_000 + b"\r\n"),
    "one header": (START + b"X-Header: ", b"a" * 65_000),
    "one name": (START, b"a" * 65_000),
    "one address": (b"GET /", b"a" * 65_000),
    "trailers": (START + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n", b"X-Header: " + b"a" * 65_000 + b"\r\n"),
    "an extension": (START + b"Transfer-Encoding: chunked\r\n\r\n1;", b"a" * 65_000),
}


@pytest.mark.parametrize("kind", ENDLESS)
async def test_a_head_without_end_is_cut_off_long_before_its_end(request_raw: Send, kind: str) -> None:
    start, more = ENDLESS[kind]
    status, body, sent = await request_raw(start, *[more] * MANY)
    assert (status, body.get("code")) == (431, "head_too_large")
    assert sent < MANY / 4
