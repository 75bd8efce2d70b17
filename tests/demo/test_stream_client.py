"""The stream's client against a server of the test's own: the window, cuts, refusals, and that nothing is given up."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import websockets

from aivd_web.demo.stream_client import Outgoing, StreamClient, Tally

WINDOW = 3
Handler = Callable[["Camera", websockets.ServerConnection], Awaitable[None]]


class Camera:
    """The server's side: what arrived, how many were unanswered at most, and which keys were acknowledged."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.arrived: list[str] = []
        self.connections = 0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        async def handle(socket: websockets.ServerConnection) -> None:
            self.connections += 1
            await socket.send(json.dumps({"type": "credit", "window": WINDOW}))
            await self.handler(self, socket)

        async with websockets.serve(handle, "127.0.0.1", 0) as server:
            yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/"

    async def take(self, socket: websockets.ServerConnection) -> str:
        key = str(json.loads(await socket.recv())["key"])
        assert isinstance(await socket.recv(), bytes)
        self.arrived.append(key)
        return key


async def ack(socket: websockets.ServerConnection, key: str) -> None:
    await socket.send(json.dumps({"type": "ack", "key": key, "frame": f"frame of {key}"}))


async def frames(count: int) -> AsyncIterator[Outgoing]:
    for n in range(count):
        yield Outgoing(f"k{n}", b"picture")


async def sent(camera: Camera, count: int) -> tuple[Tally, list[tuple[str, dict[str, Any]]]]:
    heard: list[tuple[str, dict[str, Any]]] = []
    async with camera.serving() as url, asyncio.timeout(20):
        client = StreamClient(url, "token", on_answer=lambda key, message: heard.append((key, message)))
        tally = await client.send_all(frames(count))
    return tally, heard


async def test_every_frame_is_answered_once_in_order() -> None:
    async def answers(camera: Camera, socket: websockets.ServerConnection) -> None:
        async for _ in endless():
            await ack(socket, await camera.take(socket))

    tally, heard = await sent(Camera(answers), 10)
    assert [key for key, _ in heard] == [f"k{n}" for n in range(10)]
    assert (tally.sent, tally.accepted, tally.refused, tally.reconnects) == (10, 10, 0, 0)


async def test_no_more_than_the_window_is_unanswered() -> None:
    async def slow(camera: Camera, socket: websockets.ServerConnection) -> None:
        while True:
            group = [await camera.take(socket) for _ in range(WINDOW)]
            try:
                await asyncio.wait_for(socket.recv(), 0.2)
            except TimeoutError:
                pass
            else:
                raise AssertionError("a frame over the window")
            for key in group:
                await ack(socket, key)

    tally, _ = await sent(Camera(slow), 3 * WINDOW)
    assert tally.accepted == 3 * WINDOW


async def test_what_was_unanswered_when_the_socket_broke_is_sent_again() -> None:
    async def breaks_twice(camera: Camera, socket: websockets.ServerConnection) -> None:
        while True:
            key = await camera.take(socket)
            if camera.connections < 3 and len(camera.arrived) % 4 == 0:
                socket.transport.abort()
                return
            await ack(socket, key)

    camera = Camera(breaks_twice)
    tally, heard = await sent(camera, 12)
    assert sorted(key for key, _ in heard) == sorted(f"k{n}" for n in range(12))
    assert tally.reconnects == 2
    assert len(camera.arrived) > 12


async def test_frames_that_must_wait_are_sent_again_and_others_refused() -> None:
    async def picky(camera: Camera, socket: websockets.ServerConnection) -> None:
        while True:
            key = await camera.take(socket)
            if key == "k1" and camera.arrived.count("k1") == 1:
                await socket.send(json.dumps({"type": "refused", "key": key, "code": "full", "retry_after_s": 0.01}))
            elif key == "k2":
                await socket.send(json.dumps({"type": "refused", "key": key, "code": "broken_picture"}))
            else:
                await ack(socket, key)

    tally, heard = await sent(Camera(picky), 4)
    assert (tally.accepted, tally.refused) == (3, 1)
    assert {key for key, message in heard if message["type"] == "refused"} == {"k2"}


async def test_the_window_holds_after_a_break_too() -> None:
    """A frame that is refused for now while the open ones are sent again is still under way."""

    async def counts(camera: Camera, socket: websockets.ServerConnection) -> None:
        if camera.connections == 1:
            for _ in range(WINDOW):
                await camera.take(socket)
            socket.transport.abort()
            return
        first = await camera.take(socket)
        await socket.send(json.dumps({"type": "refused", "key": first, "code": "full", "retry_after_s": 0.01}))
        while True:
            await ack(socket, await camera.take(socket))

    tally, _ = await sent(Camera(counts), 6)
    assert tally.accepted == 6


async def endless() -> AsyncIterator[None]:
    while True:
        yield
