"""A TCP proxy that makes a link slow, narrow, silent or broken, to see a node through a bad network.

`python -m tools.linkfault --listen 127.0.0.1:0 --to 127.0.0.1:8001 --delay-ms 40` prints one JSON line with
the ports it listens on. While it runs it takes commands, one JSON object a line, on a loopback control port;
`ProxyControl` speaks them. It knows nothing of what it carries, and no Django.

All connections share one link, as the machines behind one modem do: each direction is a serial queue with a
rate, then half of the delay. A silent link (`blackhole`) keeps its connections and their bytes until it speaks
again, as TCP does through an outage.
"""

import argparse
import asyncio
import contextlib
import ipaddress
import json
import math
import signal
import socket
import struct
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from .trace import ConstantRate, LinkRate, load_trace

CONNECT_TIMEOUT_S = 5.0
_SLICE_S = 0.05  # a chunk is what the link carries in this time, so that a change of the rate is felt soon
_CHUNK_BYTES = (256, 64 * 1024)
_CHUNKS_IN_FLIGHT = 1024
_EOF = b""


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """How the link behaves. `delay_ms` is added to each round trip; None is no limit of the rate.

    `trace` is a CSV file `second,down_kbit_s,...` whose capacity holds for both directions, over and over.
    """

    delay_ms: float = 0.0
    up_bytes_s: float | None = None
    down_bytes_s: float | None = None
    trace: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.delay_ms <= 60_000:
            raise ValueError(f"delay_ms is {self.delay_ms}, expected 0..60000")
        for name in ("up_bytes_s", "down_bytes_s"):
            rate = getattr(self, name)
            if rate is not None and not rate > 0:
                raise ValueError(f"{name} is {rate}, expected more than 0; a silent link is a blackhole")

    def rates(self, started_at: float) -> tuple[LinkRate, LinkRate]:
        """The rates up (to the node) and down."""
        if self.trace is not None:
            trace = load_trace(Path(self.trace), started_at=started_at)
            return trace, trace
        return ConstantRate(self.up_bytes_s or math.inf), ConstantRate(self.down_bytes_s or math.inf)


class Direction:
    """One way through the link: a serial queue that all connections share."""

    def __init__(self) -> None:
        self.rate: LinkRate = ConstantRate(math.inf)
        self.carried_bytes = 0
        self._free_at = 0.0
        self._turn = asyncio.Lock()

    def chunk_bytes(self) -> int:
        least, most = _CHUNK_BYTES
        return int(min(max(self.rate.at(time.monotonic()) * _SLICE_S, least), most))

    async def carry(self, size_bytes: int) -> float:
        """Wait until the bytes have left, in their turn; returns that moment."""
        async with self._turn:
            self._free_at = self.rate.finish(max(self._free_at, time.monotonic()), size_bytes)
            await sleep_until(self._free_at)
            self.carried_bytes += size_bytes
            return self._free_at


class FaultProxy:
    """Forwards connections to `target` over the link that its settings describe; changed while it runs."""

    def __init__(self, target: tuple[str, int], settings: LinkSettings | None = None) -> None:
        self._target = target
        self.up, self.down = Direction(), Direction()
        self.speaking = asyncio.Event()
        self.speaking.set()
        self.refusing = False
        self._pairs: set[_Pair] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.configure(settings or LinkSettings())

    def configure(self, settings: LinkSettings) -> None:
        self.up.rate, self.down.rate = settings.rates(time.monotonic())
        self.settings = settings

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen; returns the port."""
        self._server = await asyncio.start_server(self._accept, host, port)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self.reset()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def set_blackhole(self, on: bool) -> None:
        """Keep every byte, in both directions, until it is switched off again."""
        if on:
            self.speaking.clear()
        else:
            self.speaking.set()

    def reset(self) -> None:
        """Break every open connection with a TCP reset, on both sides."""
        for pair in list(self._pairs):
            pair.reset()

    def half_close(self, side: str) -> None:
        """End what flows to `client` or `node` in every open connection; the other way stays open."""
        for pair in list(self._pairs):
            pair.half_close(side)

    def status(self) -> dict[str, Any]:
        return {
            "connections": len(self._pairs),
            "up_bytes": self.up.carried_bytes,
            "down_bytes": self.down.carried_bytes,
            "blackhole": not self.speaking.is_set(),
            "refuse": self.refusing,
            "settings": asdict(self.settings),
        }

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task, client = asyncio.current_task(), _End(reader, writer)
        assert task is not None
        self._tasks.add(task)
        try:
            if self.refusing:
                client.abort()
            else:
                await self._forward(client)
        except (OSError, TimeoutError, asyncio.CancelledError):
            client.abort()  # the client sees what it would see of a node that is not there
        finally:
            self._tasks.discard(task)

    async def _forward(self, client: "_End") -> None:
        await self.speaking.wait()
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            pair = _Pair(client, _End(*await asyncio.open_connection(*self._target)))
        self._pairs.add(pair)
        try:
            async with asyncio.TaskGroup() as flows:
                flows.create_task(self._flow(pair.client, pair.node, self.up))
                flows.create_task(self._flow(pair.node, pair.client, self.down))
        except* OSError:
            pair.reset()
        finally:
            self._pairs.discard(pair)
            pair.close()

    async def _flow(self, source: "_End", sink: "_End", direction: Direction) -> None:
        """Read from one end, send the bytes through the link, write them to the other end when they arrive."""
        travelling: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_CHUNKS_IN_FLIGHT)
        async with asyncio.TaskGroup() as both:
            both.create_task(self._deliver(travelling, sink))
            chunk = b"."
            while chunk != _EOF:
                chunk = await source.reader.read(direction.chunk_bytes())
                await self.speaking.wait()
                left_at = await direction.carry(len(chunk))
                await travelling.put((left_at + self.settings.delay_ms / 2000, chunk))

    async def _deliver(self, travelling: asyncio.Queue[tuple[float, bytes]], sink: "_End") -> None:
        while True:
            arrives_at, chunk = await travelling.get()
            await sleep_until(arrives_at)
            await self.speaking.wait()
            if chunk == _EOF:
                sink.send_eof()
                return
            await sink.write(chunk)


class _End:
    """One socket of a forwarded connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self._writer, self._ended = reader, writer, False

    async def write(self, chunk: bytes) -> None:
        if not self._ended:
            self._writer.write(chunk)
            await self._writer.drain()

    def send_eof(self) -> None:
        if not self._ended and not self._writer.transport.is_closing():
            self._writer.write_eof()
        self._ended = True

    def abort(self) -> None:
        """Close with a reset instead of the usual goodbye."""
        connection = self._writer.get_extra_info("socket")
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def close(self) -> None:
        self._writer.close()


@dataclass(frozen=True, eq=False, slots=True)
class _Pair:
    """The two ends of one forwarded connection."""

    client: _End
    node: _End

    def reset(self) -> None:
        self.client.abort()
        self.node.abort()

    def half_close(self, side: str) -> None:
        {"client": self.client, "node": self.node}[side].send_eof()

    def close(self) -> None:
        self.client.close()
        self.node.close()


async def sleep_until(moment: float) -> None:
    """Sleep until `moment` of the monotonic clock, and not at all for less than the timer can tell."""
    left_s = moment - time.monotonic()
    if left_s > 0.0005:
        await asyncio.sleep(left_s)


class ControlServer:
    """Commands for a running proxy, one JSON object a line: `{"op": "set", "delay_ms": 200}`.

    Operations: set (fields of `LinkSettings`), blackhole and refuse (`on`), reset, half_close (`side`), status.
    Each is answered with one line: `{"ok": true, ...status}` or `{"ok": false, "error": "..."}`.
    """

    def __init__(self, proxy: FaultProxy) -> None:
        self._proxy = proxy
        self._server: asyncio.Server | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        if not ipaddress.ip_address(host).is_loopback:
            raise ValueError(f"The control port listens on loopback only, not on {host}.")
        self._server = await asyncio.start_server(self._talk, host, port)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(json.dumps(self._answer(line)).encode() + b"\n")
                await writer.drain()
        except (OSError, ValueError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            command = json.loads(line)
            if not isinstance(command, dict) or "op" not in command:
                raise ValueError('a command is an object with "op"')
            self._do(command.pop("op"), command)
        except (ValueError, TypeError, KeyError, OSError) as error:
            return {"ok": False, "error": f"{type(error).__name__}: {error}"}
        return {"ok": True, **self._proxy.status()}

    def _do(self, op: str, arguments: dict[str, Any]) -> None:
        proxy = self._proxy
        if op == "set":
            proxy.configure(replace(proxy.settings, **arguments))
        elif op == "blackhole":
            proxy.set_blackhole(bool(arguments["on"]))
        elif op == "refuse":
            proxy.refusing = bool(arguments["on"])
        elif op == "reset":
            proxy.reset()
        elif op == "half_close":
            proxy.half_close(arguments["side"])
        elif op != "status":
            raise ValueError(f"unknown operation {op!r}")


class ProxyControl:
    """Speaks to the control port of a proxy in another process."""

    def __init__(self, port: int, *, timeout_s: float = 5.0) -> None:
        self._port, self._timeout_s = port, timeout_s

    def send(self, op: str, **arguments: Any) -> dict[str, Any]:
        """Do `op` and return the proxy's status; raises ValueError with the proxy's words, or OSError."""
        address = ("127.0.0.1", self._port)
        with socket.create_connection(address, timeout=self._timeout_s) as connection:
            connection.sendall(json.dumps({"op": op, **arguments}).encode() + b"\n")
            answer: dict[str, Any] = json.loads(connection.makefile("rb").readline())
        if not answer.pop("ok"):
            raise ValueError(answer["error"])
        return answer


async def serve(
    listen: tuple[str, int], target: tuple[str, int], settings: LinkSettings, control: tuple[str, int]
) -> None:
    """Run a proxy and its control port until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    proxy = FaultProxy(target, settings)
    commands = ControlServer(proxy)
    ports = {"listen": await proxy.start(*listen), "control": await commands.start(*control)}
    print(json.dumps(ports), flush=True)
    await stop.wait()
    await commands.close()
    await proxy.close()


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host, int(port)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.linkfault", description=__doc__)
    parser.add_argument("--listen", type=_address, default=("127.0.0.1", 0), metavar="HOST:PORT")
    parser.add_argument("--to", type=_address, required=True, metavar="HOST:PORT")
    parser.add_argument("--control", type=_address, default=("127.0.0.1", 0), metavar="HOST:PORT")
    parser.add_argument("--delay-ms", type=float, default=0.0, help="added to each round trip")
    parser.add_argument("--up-bytes-s", type=float, help="rate towards --to; no limit without it")
    parser.add_argument("--down-bytes-s", type=float, help="rate from --to; no limit without it")
    parser.add_argument("--trace", help="CSV file with a column down_kbit_s, one row a second")
    return parser


def main(argv: list[str] | None = None) -> None:
    options = _parser().parse_args(argv)
    settings = LinkSettings(options.delay_ms, options.up_bytes_s, options.down_bytes_s, options.trace)
    asyncio.run(serve(options.listen, options.to, settings, options.control))
