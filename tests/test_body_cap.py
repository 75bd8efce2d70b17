"""The cap on bodies, over real sockets: a real server, raw requests, with a length, without one, with a lie."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable

import pytest
import uvicorn

from aivd_web.body_cap import BodyCap

CAP = 10_000
PAUSE_S = 0.7


async def echo(scope, receive, send):
    """Answers with what it was given: the length it was told and the bytes it read. Gives up on a disconnect."""
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    headers = dict(scope["headers"])
    body = json.dumps({"read": size, "length": headers.get(b"content-length", b"").decode()}).encode()
    start = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]}
    await send(start)
    await send({"type": "http.response.body", "body": body})


async def admits(scope):
    return None


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, dict]:
    head = await reader.readuntil(b"\r\n\r\n")
    stated = next(line for line in head.lower().split(b"\r\n") if b"content-length" in line)
    body = await reader.readexactly(int(stated.split(b":")[1]))
    return int(head.split(b" ")[1]), json.loads(body)


@pytest.fixture
async def request_raw() -> AsyncIterator[Callable]:
    listener = socket.create_server(("127.0.0.1", 0))
    door = BodyCap(echo, lambda path, content_type: CAP, admits, pause_s=PAUSE_S)
    config = uvicorn.Config(door, lifespan="off", log_level="warning")
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    port = listener.getsockname()[1]

    async def send(*pieces: bytes) -> tuple[int, dict, int]:
        """Status, JSON and how many pieces were sent before the answer came."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        answer = asyncio.create_task(read_answer(reader))
        sent = 0
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            for piece in pieces:
                if answer.done():
                    break
                writer.write(piece)
                await writer.drain()
                sent += 1
        try:
            return (*await asyncio.wait_for(answer, 10), sent)
        finally:
            writer.close()

    yield send
    server.should_exit = True
    await asyncio.wait_for(serving, 10)


def head(*headers: bytes) -> bytes:
    return b"\r\n".join((b"POST /x HTTP/1.1", b"Host: x", *headers, b"", b""))


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


async def test_a_body_within_the_cap_passes(request_raw):
    status, said, _ = await request_raw(head(b"Content-Length: 10000"), bytes(CAP))
    assert (status, said["read"]) == (200, CAP)


async def test_a_stated_length_over_the_cap_is_refused_before_a_byte_is_read(request_raw):
    status, said, _ = await request_raw(head(b"Content-Length: 10001"))
    assert (status, said["code"]) == (413, "body_too_large")
    assert "10,000 bytes" in said["detail"]
    assert said["hint"]


async def test_a_chunked_body_within_the_cap_gets_its_length(request_raw):
    pieces = [chunk(b"a" * 3000), chunk(b"b" * 3000), chunk(b"")]
    status, said, _ = await request_raw(head(b"Transfer-Encoding: chunked"), *pieces)
    assert (status, said) == (200, {"read": 6000, "length": "6000"})


async def test_a_chunked_body_over_the_cap_is_cut_off_long_before_its_end(request_raw):
    pieces = [chunk(bytes(64 * 1024)) for _ in range(2_000)]  # 128 MB
    status, said, sent = await request_raw(head(b"Transfer-Encoding: chunked"), *pieces)
    assert (status, said["code"]) == (413, "body_too_large")
    assert sent < len(pieces) / 2


@pytest.mark.parametrize("length", ["-1", "1e9", "ten", "9" * 400])
async def test_a_length_that_is_none_is_refused_with_4xx(length):
    """The server in front refuses most of these itself; the cap must not rely on it."""
    answers = []

    async def send(message):
        answers.append(message)

    scope = {"type": "http", "path": "/x", "headers": [(b"content-length", length.encode())]}

    async def receive():
        return {"type": "http.disconnect"}

    await BodyCap(echo, lambda path, content_type: CAP, admits)(scope, receive, send)
    assert answers[0]["status"] == 413


async def test_a_body_longer_than_its_stated_length_never_reaches_the_app_whole():
    """A server that does not hold a client to its length (as some proxies do not) must not be a way around the cap."""
    answers, pieces = [], [{"type": "http.request", "body": bytes(6000), "more_body": True}] * 3

    async def receive():
        return pieces.pop() if pieces else {"type": "http.disconnect"}

    async def send(message):
        answers.append(message)

    scope = {"type": "http", "path": "/x", "headers": [(b"content-length", b"10")]}
    await BodyCap(echo, lambda path, content_type: CAP, admits)(scope, receive, send)
    assert [message["status"] for message in answers if "status" in message] == [413]


async def test_a_client_that_hangs_up_is_let_go():
    async def receive():
        return {"type": "http.disconnect"}

    scope = {"type": "http", "path": "/x", "headers": [(b"transfer-encoding", b"chunked")]}
    await BodyCap(echo, lambda path, content_type: CAP, admits)(scope, receive, None)


@pytest.mark.parametrize(
    ("path", "content_type", "kind"),
    [
        ("/api/v1/stations/1/frames", "image/jpeg", "picture"),
        ("/api/v1/stations/1/frames", "multipart/form-data; boundary=x", "archive"),
        ("/api/v1/stations/1/frames", "application/zip", "archive"),
        ("/api/v1/stations/1/frames", "Application/Zip", "archive"),
        ("/api/v1/stations/1/frames", "application/x-zip-compressed", "archive"),
        ("/api/v1/stations/1/frames", "application/octet-stream", "archive"),
        ("/api/v1/stations/1/frames", "Image/JPEG", "picture"),
        ("/api/v1/stations/1/frames", "", "picture"),
        ("/api/v1/stations/1/frames/x", "application/zip", "plain"),
        ("/api/v1/stations/1/template", "image/png", "template"),
        ("/api/v1/stations/1/template", "multipart/form-data; boundary=x", "template"),
        ("/api/v1/frames/1/reviews", "application/json", "plain"),
        ("/admin/login/", "application/x-www-form-urlencoded", "plain"),
    ],
)
def test_each_address_has_its_cap(path, content_type, kind, settings):
    from aivd_web.asgi import FORM_BYTES, cap_for
    from aivd_web.body_cap import FREE_BYTES

    caps = {
        "picture": settings.MAX_UPLOAD_BYTES,
        "archive": settings.MAX_ARCHIVE_BYTES,
        "plain": FREE_BYTES,
        "template": settings.MAX_UPLOAD_BYTES + FORM_BYTES,
    }
    assert cap_for(path, content_type) == caps[kind]


@pytest.mark.parametrize("kind", [b"Content-Length: 9000", b"Transfer-Encoding: chunked"])
async def test_a_sender_that_falls_silent_in_the_middle_is_answered_and_let_go(request_raw, kind):
    part = chunk(b"x" * 100) if b"chunked" in kind else b"x" * 100
    status, body, _ = await request_raw(head(kind), part)
    assert (status, body["error"]["code"] if "error" in body else body["code"]) == (408, "body_too_slow")


async def test_a_body_that_trickles_is_given_up_though_it_never_falls_silent():
    """One byte at a time, each in time: after the first pause a least rate is asked for."""

    async def receive():
        await asyncio.sleep(0.002)
        return {"type": "http.request", "body": b"x", "more_body": True}

    answers = []

    async def send(message):
        answers.append(message)

    scope = {"type": "http", "path": "/x", "headers": [(b"content-length", b"9000")]}
    async with asyncio.timeout(20):
        await BodyCap(echo, lambda path, content_type: CAP, admits, pause_s=0.1)(scope, receive, send)
    assert [message["status"] for message in answers if "status" in message] == [408]


async def test_after_the_whole_body_the_client_may_be_silent_for_as_long_as_it_likes():
    pieces = [{"type": "http.request", "body": b"x", "more_body": False}]

    async def receive():
        return pieces.pop() if pieces else await asyncio.Future()

    async def app(scope, receive, send):
        await receive()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(receive(), 0.1)
        await send({"type": "heard"})

    answers = []

    async def send(message):
        answers.append(message)

    scope = {"type": "http", "path": "/x", "headers": [(b"content-length", b"1")]}
    await BodyCap(app, lambda path, content_type: CAP, admits, pause_s=0.01)(scope, receive, send)
    assert answers == [{"type": "heard"}]
