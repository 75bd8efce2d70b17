"""The web server's websockets over real connections: what is too long is read over and answered, nobody is kept."""

import asyncio
import contextlib
import json
import os
import random
import select
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import uvicorn
import websockets
from channels_redis.core import RedisChannelLayer

from aivd_web.kernel.socket import LIMITS, LiveSocket, NoSuchSocket
from aivd_web.sockets import Denier
from aivd_web.web_sockets import TEXT_BYTES, BoundedWebSockets, MessageFilter
from tests.websocket import WebsocketCommunicator

PICTURE_BYTES = 300_000
PATIENCE_S = 60.0


class Echo(LiveSocket):
    """Tells of each message how long it was, or why it was not read."""

    async def allowed(self, who: Any) -> bool:
        return True

    async def joined(self) -> None:
        if "large" in self.scope["path"]:
            self.allow_messages(size=PICTURE_BYTES)
        await self.tell({"type": "hello"})

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        data = bytes_data if text_data is None else text_data
        assert data is not None
        self.inbox.put_nowait({"type": "read", "size": len(data)})

    async def unreadable(self, *, is_text: bool, reason: str) -> None:
        self.inbox.put_nowait({"type": "unreadable", "is_text": is_text, "reason": reason})

    async def heard(self, message: dict[str, Any]) -> None:
        await self.tell(message)


class Flood(Echo):
    """Sends without end."""

    async def joined(self) -> None:
        while True:
            await self.tell({"type": "flood", "text": "x" * 100_000})


Serve = Callable[..., Any]


@pytest.fixture
async def serve(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Serve]:
    serving: list[tuple[uvicorn.Server, asyncio.Task[None]]] = []
    here: dict[str, Any] = {"who": "vera"}

    async def start(consumer: Any) -> tuple[int, dict[str, Any]]:
        async def who() -> Any:
            return here["who"]

        async def application(scope: Any, receive: Any, send: Any) -> None:
            await consumer.as_asgi()({**scope, "who": who}, receive, send)

        listener = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(
            application, lifespan="off", log_level="warning", ws=BoundedWebSockets, ws_per_message_deflate=False
        )
        server = uvicorn.Server(config)
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        serving.append((server, asyncio.create_task(server.serve(sockets=[listener]))))
        return listener.getsockname()[1], here

    monkeypatch.setattr("aivd_web.kernel.socket.get_channel_layer", lambda: Layer())
    yield start
    for server, task in serving:
        server.should_exit = True
        await asyncio.wait_for(task, 10)


class Layer:
    async def new_channel(self) -> str:
        return "channel"

    async def receive(self, channel: str) -> Any:
        await asyncio.Event().wait()


async def heard(connection: Any) -> Any:
    return json.loads(await asyncio.wait_for(connection.recv(), PATIENCE_S))


async def test_messages_over_the_limit_are_answered_in_their_place(serve: Serve) -> None:
    port, _ = await serve(Echo)
    async with websockets.connect(f"ws://127.0.0.1:{port}/large", max_size=None) as connection:
        assert (await heard(connection))["type"] == "hello"
        for data in (
            b"a" * 10,
            b"b" * (PICTURE_BYTES + 1),
            b"c" * PICTURE_BYTES,
            "d" * (TEXT_BYTES + 1),
            "e",
            bytes(5_000_000),
        ):
            await connection.send(data)
        answers = [await heard(connection) for _ in range(6)]
    assert [(said["type"], said.get("size"), said.get("is_text")) for said in answers] == [
        ("read", 10, None),
        ("unreadable", None, False),
        ("read", PICTURE_BYTES, None),
        ("unreadable", None, True),
        ("read", 1, None),
        ("unreadable", None, False),
    ]
    assert "300,000 bytes" in answers[1]["reason"]


async def test_until_it_is_known_who_is_there_messages_are_short(serve: Serve) -> None:
    port, _ = await serve(Echo)
    async with websockets.connect(f"ws://127.0.0.1:{port}/small") as connection:
        await heard(connection)
        await connection.send(bytes(TEXT_BYTES + 1))
        await connection.send(bytes(TEXT_BYTES))
        assert [(await heard(connection))["type"] for _ in range(2)] == ["unreadable", "read"]


async def test_a_message_in_many_pieces_is_one_message_and_has_one_limit(serve: Serve) -> None:
    port, _ = await serve(Echo)
    async with websockets.connect(f"ws://127.0.0.1:{port}/large") as connection:
        await heard(connection)
        await connection.send([b"x" * 1000] * 100)
        await connection.send([b"x" * 1000] * 400)
        await connection.send(["ü", "ß"])
        answers = [await heard(connection) for _ in range(3)]
    assert [(said["type"], said.get("size")) for said in answers] == [
        ("read", 100_000),
        ("unreadable", None),
        ("read", 2),
    ]


async def test_a_text_that_is_none_is_answered(serve: Serve) -> None:
    port, _ = await serve(Echo)
    async with websockets.connect(f"ws://127.0.0.1:{port}/large") as connection:
        await heard(connection)
        await connection.send(b"\xff\xfe", text=True)
        await connection.send("good")
        answers = [await heard(connection) for _ in range(2)]
    assert [(said["type"], said.get("size")) for said in answers] == [("unreadable", None), ("read", 4)]
    assert "UTF-8" in answers[0]["reason"]


async def test_who_reads_nothing_and_has_lost_access_is_cut_off(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's and the server's buffers are full; the server lets go all the same."""
    monkeypatch.setattr("aivd_web.kernel.socket.BEAT_S", 0.2)
    port, here = await serve(Flood)
    loop = asyncio.get_running_loop()
    client = socket.create_connection(("127.0.0.1", port))
    client.setblocking(False)
    head = b"GET /x HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    await loop.sock_sendall(
        client, head + b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    assert b"101" in await loop.sock_recv(client, 20)
    here["who"] = None  # the token was revoked
    gone = select.poll()
    gone.register(client, 0)  # nothing is read: only an end is heard, and that is always
    with contextlib.closing(client):
        assert await asyncio.to_thread(gone.poll, PATIENCE_S * 1000)


def test_the_limit_is_told_to_the_application_by_name() -> None:
    assert LIMITS == "aivd.limits"


def frame(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    size = len(payload)
    if size < 126:
        length = bytes((0x80 | size,))
    elif size < 2**16:
        length = bytes((0x80 | 126,)) + size.to_bytes(2, "big")
    else:
        length = bytes((0x80 | 127,)) + size.to_bytes(8, "big")
    return bytes(((0x80 if fin else 0) | opcode,)) + length + bytes(4) + payload


@pytest.mark.parametrize("seed", range(25))
def test_however_the_bytes_arrive_each_message_passes_or_becomes_empty(seed: int) -> None:
    rng = random.Random(seed)
    sent, expected, dropped = b"", b"", []
    for _ in range(rng.randrange(1, 12)):
        opcode = rng.choice([1, 2])
        pieces = [os.urandom(rng.choice([0, 1, 125, 126, 300, 70_000])) for _ in range(rng.choice([1, 1, 2, 5]))]
        over = sum(map(len, pieces)) > 1_000
        dropped.append(over)
        for index, piece in enumerate(pieces):
            is_last, so_far = index == len(pieces) - 1, sum(map(len, pieces[: index + 1]))
            kind = 0 if index else opcode
            sent += frame(kind, piece, fin=is_last) + frame(9, b"ping")
            expected += frame(kind, piece if so_far <= 1_000 else b"", fin=is_last) + frame(9, b"ping")
    passing = MessageFilter(lambda is_text: 1_000)
    got, at = b"", 0
    while at < len(sent):
        step = rng.choice([1, 2, 7, 1_000, 65_536])
        got += passing.feed(sent[at : at + step])
        at += step
    assert got == expected
    assert list(passing.dropped) == dropped


def communicator(consumer: Any, **scope: Any) -> WebsocketCommunicator:
    async def application(given: Any, receive: Any, send: Any) -> None:
        await consumer.as_asgi()({**given, **scope}, receive, send)

    return WebsocketCommunicator(application, "/", headers=[], subprotocols=[])


async def test_a_cancellation_that_a_library_swallows_keeps_no_socket() -> None:
    """As `asyncio.wait_for` of Python 3.11 does where what it waits for is just done."""

    class Swallowing(Echo):
        async def _hint(self) -> dict[str, Any]:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            await asyncio.Event().wait()
            raise AssertionError

    async def who() -> str:
        return "vera"

    socket = communicator(Swallowing, who=who)
    assert (await socket.connect(PATIENCE_S))[0]
    await socket.send_input({"type": "websocket.disconnect", "code": 1000})
    ended, _ = await asyncio.wait({socket.future}, timeout=PATIENCE_S)
    assert ended


@pytest.mark.stack
@pytest.mark.django_db  # channels closes what is old of the thread's connections before each message
@pytest.mark.parametrize("consumer", [NoSuchSocket, Denier])
async def test_who_is_refused_costs_nobody_a_connection_to_redis(
    consumer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def asked(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(RedisChannelLayer, "new_channel", asked)
    monkeypatch.setattr(RedisChannelLayer, "receive", asked)
    socket = communicator(consumer)
    await socket.connect(PATIENCE_S)
    await socket.disconnect(PATIENCE_S)
