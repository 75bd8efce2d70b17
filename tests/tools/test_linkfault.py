"""The fault proxy, with real sockets on both sides."""

import asyncio
import contextlib
import json
import math
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.waiting import eventually_async
from tools.linkfault.proxy import ControlServer, FaultProxy, LinkSettings, ProxyControl
from tools.linkfault.trace import FLOOR_BYTES_S, ConstantRate, TraceRate, load_trace

WAIT_S = 60.0
BUSY_S = 2.0
"""How much longer it may take where the machine has much else to do."""

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[int], Awaitable[Connection]]
Link = Callable[..., Awaitable[tuple[FaultProxy, int]]]


@pytest.fixture
async def link() -> AsyncIterator[Link]:
    """Makes a proxy in front of a server that sends every byte back, and closes both."""
    opened: list[FaultProxy] = []
    echoing: set[asyncio.Task[None] | None] = set()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        echoing.add(asyncio.current_task())
        try:
            while chunk := await reader.read(65536):
                writer.write(chunk)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()
            echoing.discard(asyncio.current_task())

    server = await asyncio.start_server(echo, "127.0.0.1", 0)

    async def make(**settings: object) -> tuple[FaultProxy, int]:
        proxy = FaultProxy(server.sockets[0].getsockname()[:2], LinkSettings(**settings))  # type: ignore[arg-type]
        opened.append(proxy)
        return proxy, await proxy.start()

    yield make
    for proxy in opened:
        await proxy.close()
    server.close()
    await eventually_async(lambda: not echoing)


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Opens connections to a loopback port and closes them after the test."""
    writers: list[asyncio.StreamWriter] = []

    async def open_one(port: int) -> Connection:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writers.append(writer)
        return reader, writer

    yield open_one
    for writer in writers:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def echoed(connection: Connection, payload: bytes) -> float:
    """Send the payload, wait until all of it is back, and return the seconds it took."""
    reader, writer = connection
    started = time.monotonic()
    writer.write(payload)
    assert await asyncio.wait_for(reader.readexactly(len(payload)), WAIT_S) == payload
    return time.monotonic() - started


async def test_bytes_pass_unchanged_both_ways_and_are_counted(link: Link, connect: Connect) -> None:
    proxy, port = await link()
    payload = bytes(range(256)) * 4096
    await echoed(await connect(port), payload)
    assert (proxy.status()["up_bytes"], proxy.status()["down_bytes"]) == (len(payload), len(payload))


@pytest.mark.parametrize("delay_ms", [0, 40, 120])
async def test_the_delay_is_added_to_the_round_trip(link: Link, delay_ms: int, connect: Connect) -> None:
    _, port = await link(delay_ms=delay_ms)
    connection = await connect(port)
    await echoed(connection, b"warm")
    best_s = min([await echoed(connection, b"ping") for _ in range(5)])
    assert delay_ms / 1000 <= best_s < delay_ms / 1000 + BUSY_S


async def test_the_rate_bounds_an_upload(link: Link, connect: Connect) -> None:
    _, port = await link(up_bytes_s=400_000)
    took_s = await echoed(await connect(port), bytes(200_000))
    assert 0.45 <= took_s < 0.5 + BUSY_S


async def test_connections_share_the_link(link: Link, connect: Connect) -> None:
    _, port = await link(up_bytes_s=400_000)
    connections = [await connect(port) for _ in range(4)]
    started = time.monotonic()
    await asyncio.gather(*(echoed(connection, bytes(50_000)) for connection in connections))
    assert time.monotonic() - started >= 0.45


async def test_a_trace_sets_the_rate(link: Link, tmp_path: Path, connect: Connect) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("second,down_kbit_s,up_kbit_s\n0,1600,9\n1,1600,9\n")
    _, port = await link(trace=str(trace))
    assert await echoed(await connect(port), bytes(100_000)) >= 0.45


async def test_a_blackhole_keeps_the_bytes_until_it_ends(link: Link, connect: Connect) -> None:
    proxy, port = await link()
    reader, writer = await connect(port)
    await echoed((reader, writer), b"before")
    proxy.set_blackhole(True)
    writer.write(b"during")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.2)
    assert proxy.status()["connections"] == 1
    proxy.set_blackhole(False)
    assert await asyncio.wait_for(reader.readexactly(6), WAIT_S) == b"during"


async def test_a_new_connection_hears_nothing_during_a_blackhole(link: Link, connect: Connect) -> None:
    proxy, port = await link()
    proxy.set_blackhole(True)
    reader, writer = await connect(port)
    writer.write(b"hello")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.2)
    proxy.set_blackhole(False)
    assert await asyncio.wait_for(reader.readexactly(5), WAIT_S) == b"hello"


async def test_a_reset_breaks_open_connections_and_lets_new_ones_in(link: Link, connect: Connect) -> None:
    proxy, port = await link()
    reader, writer = await connect(port)
    await echoed((reader, writer), b"before")
    proxy.reset()
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.readexactly(1), WAIT_S)
    await eventually_async(lambda: proxy.status()["connections"] == 0)
    await echoed(await connect(port), b"after")


async def test_a_refusing_link_resets_every_newcomer(link: Link, connect: Connect) -> None:
    proxy, port = await link()
    proxy.refusing = True

    async def ask() -> None:
        reader, _ = await connect(port)
        await asyncio.wait_for(reader.readexactly(1), WAIT_S)

    with pytest.raises(ConnectionResetError):
        await ask()


async def test_half_closed_towards_the_client_it_still_hears_the_client(link: Link, connect: Connect) -> None:
    proxy, port = await link()
    reader, writer = await connect(port)
    await echoed((reader, writer), b"before")
    proxy.half_close("client")
    assert await asyncio.wait_for(reader.read(), WAIT_S) == b""
    carried = proxy.status()["up_bytes"]
    writer.write(b"still here")
    await eventually_async(lambda: proxy.status()["up_bytes"] == carried + 10)


async def test_half_closed_towards_the_node_the_answer_still_comes(link: Link, connect: Connect) -> None:
    proxy, port = await link(delay_ms=100)
    reader, writer = await connect(port)
    writer.write(b"question")
    await eventually_async(lambda: proxy.status()["down_bytes"] == 8)
    proxy.half_close("node")
    assert await asyncio.wait_for(reader.read(), WAIT_S) == b"question"


async def test_a_node_that_is_not_there_looks_like_a_reset(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = taken.getsockname()
    proxy = FaultProxy(nobody)
    reader, _ = await connect(await proxy.start())
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.readexactly(1), WAIT_S)
    await proxy.close()


async def test_settings_change_while_connections_are_open(link: Link, connect: Connect) -> None:
    proxy, port = await link()
    control = ControlServer(proxy)
    remote = ProxyControl(await control.start())
    connection = await connect(port)
    assert await echoed(connection, b"ping") < 0.1
    status = await asyncio.to_thread(remote.send, "set", delay_ms=150)
    assert status["settings"]["delay_ms"] == 150
    assert await echoed(connection, b"ping") >= 0.150
    await control.close()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"no json", "JSONDecodeError"),
        (b"[]", 'an object with "op"'),
        (b"{}", 'an object with "op"'),
        (b'{"op": "explode"}', "unknown operation 'explode'"),
        (b'{"op": "set", "delay_ms": -1}', "delay_ms is -1"),
        (b'{"op": "set", "colour": 1}', "TypeError"),
        (b'{"op": "set", "trace": "/nowhere.csv"}', "FileNotFoundError"),
        (b'{"op": "half_close", "side": "left"}', "KeyError: 'left'"),
    ],
)
async def test_a_wrong_command_is_answered_and_changes_nothing(
    link: Link, line: bytes, said: str, connect: Connect
) -> None:
    proxy, port = await link()
    connection = await connect(port)
    await echoed(connection, b"one connection is open")
    control = ControlServer(proxy)
    reader, writer = await connect(await control.start())
    before = proxy.status()
    writer.write(line + b"\n")
    answer = json.loads(await asyncio.wait_for(reader.readline(), WAIT_S))
    assert answer["ok"] is False
    assert said in answer["error"]
    assert proxy.status() == before
    await control.close()


async def test_the_control_port_stays_on_loopback(link: Link) -> None:
    proxy, _ = await link()
    with pytest.raises(ValueError, match="loopback only"):
        await ControlServer(proxy).start("0.0.0.0")


def test_the_command_line_says_its_ports_takes_commands_and_ends_on_sigterm() -> None:
    with socket.create_server(("127.0.0.1", 0)) as node:
        to = f"127.0.0.1:{node.getsockname()[1]}"
        argv = [sys.executable, "-m", "tools.linkfault", "--to", to, "--delay-ms", "40"]
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            ports = json.loads(process.stdout.readline())
            control = ProxyControl(ports["control"])
            assert control.send("status")["settings"]["delay_ms"] == 40
            with socket.create_connection(("127.0.0.1", ports["listen"]), WAIT_S) as client:
                client.sendall(b"x")
                node.settimeout(WAIT_S)
                inside, _ = node.accept()
                with inside:
                    assert inside.recv(1) == b"x"
            assert control.send("blackhole", on=True)["blackhole"] is True
            with pytest.raises(ValueError, match="unknown operation"):
                control.send("explode")
            process.send_signal(signal.SIGTERM)
            assert process.wait(WAIT_S) == 0


@pytest.mark.parametrize(
    ("start", "size_bytes", "finish"),
    [(10.0, 0, 10.0), (10.0, 50, 10.5), (10.5, 100, 11.25), (12.9, 30, 13.1), (10.0, 700, 15.0)],
)
def test_a_trace_carries_bytes_across_its_seconds_and_begins_again(
    start: float, size_bytes: float, finish: float
) -> None:
    rate = TraceRate([100.0, 200.0], started_at=10.0)
    assert rate.finish(start, size_bytes) == pytest.approx(finish)


def test_an_unlimited_rate_takes_no_time() -> None:
    assert ConstantRate(math.inf).finish(3.0, 10**9) == 3.0


def test_outages_of_a_trace_have_a_floor(tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("second,down_kbit_s,up_kbit_s\n0,0,0\n1,800,1\n")
    assert list(load_trace(trace, started_at=0.0).bytes_s) == [FLOOR_BYTES_S, 100_000.0]


@pytest.mark.parametrize(
    "text", ["", "second,down_kbit_s\n", "second,up_kbit_s\n0,1\n", "second,down_kbit_s\n0,fast\n"]
)
def test_a_file_that_is_no_trace_is_refused(tmp_path: Path, text: str) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text(text)
    with pytest.raises(ValueError, match="trace"):
        load_trace(trace, started_at=0.0)
