"""What a child of the launcher is, as data, and the questions that tell whether it is ready.

It starts nothing; the supervisor does.
"""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aivd_web.launcher import source
from aivd_web.launcher.processes import Identity, command_of

ReadyCheck = Callable[[], Awaitable[bool]]
PROBE_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class PortClaim:
    """A port that a child will listen on, and the variable that moves it elsewhere."""

    host: str
    port: int
    variable: str


@dataclass(frozen=True, slots=True)
class Child:
    """One process to keep running, or (`once`) one step to be done before what needs it.

    `prepare` runs before each start and `settle` after each time it got ready; both may block, for they run in
    a thread. `ready` asks once, without waiting. A child that is not `required` may come later or never: the
    others start without it, so nobody may need it. What a child with `announce` prints is meant for the person at
    the console and is kept in no log.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    ready: ReadyCheck | None = None
    ready_within_s: float = 60.0
    needs: tuple[str, ...] = ()
    once: bool = False
    required: bool = True
    prepare: Callable[[], None] | None = None
    settle: Callable[[], None] | None = None
    ports: tuple[PortClaim, ...] = ()
    stop_signal: signal.Signals = signal.SIGTERM
    stop_within_s: float = 10.0
    death_signal: signal.Signals = signal.SIGKILL
    identity: Identity | None = None
    cwd: Path = Path("/")
    console: Literal["all", "problems", "none"] = "all"
    announce: bool = False


class PortTaken(RuntimeError):
    """Another program listens where a child must."""


def in_thread(question: Callable[[], bool]) -> ReadyCheck:
    """A blocking question as a ready check."""

    async def ask() -> bool:
        return await asyncio.to_thread(question)

    return ask


def answers_http(host: str, port: int, path: str, *, ok: Callable[[int], bool]) -> ReadyCheck:
    """Whether GET `path` is answered with a status that `ok` accepts."""

    async def ask() -> bool:
        try:
            status = await asyncio.wait_for(_http_status(host, port, path), PROBE_TIMEOUT_S)
        except (OSError, TimeoutError, ValueError):
            return False
        return ok(status)

    return ask


def listens(host: str, port: int) -> ReadyCheck:
    """Whether a connection is taken at that port."""

    async def ask() -> bool:
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), PROBE_TIMEOUT_S)
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True

    return ask


def file_exists(path: Path) -> ReadyCheck:
    """Whether the child has written its ready file; remove it in `prepare`."""

    async def ask() -> bool:
        return path.exists()

    return ask


def refuse_taken_ports(children: Sequence[Child]) -> None:
    """Find out before anything starts; raises PortTaken naming the port, its holder and the variable."""
    for child in children:
        for claim in child.ports:
            if not _port_is_free(claim):
                holder = _holder_of(claim.port)
                by = f" (process {holder}: {command_of(holder)[:80]})" if holder else ""
                raise PortTaken(
                    f"Port {claim.port} on {claim.host}, which {child.name} needs, is taken by another "
                    f"program{by}. End that program, or choose another port with {claim.variable}, "
                    f"for example {claim.variable}={claim.port + 1000} {source.says('run')}"
                )


async def _http_status(host: str, port: int, path: str) -> int:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
        first_line = (await reader.readline()).split()
        if len(first_line) < 2:
            raise ValueError("no status line")
        return int(first_line[1])
    finally:
        writer.close()


def _port_is_free(claim: PortClaim) -> bool:
    family = socket.AF_INET6 if ":" in claim.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((claim.host, claim.port))
        except OSError:
            return False
    return True


def _holder_of(port: int) -> int | None:
    """The process that listens on `port`, where procfs lets us see it."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        path = Path(table)
        for row in path.read_text().splitlines()[1:] if path.exists() else ():
            fields = row.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    return next((pid for pid in _pids() if inodes & _open_sockets(pid)), None) if inodes else None


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _open_sockets(pid: int) -> set[str]:
    """What the process has open and lets us see; a descriptor may close while we look."""
    found = set()
    with contextlib.suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                found.add(str(link.readlink()))
    return found
