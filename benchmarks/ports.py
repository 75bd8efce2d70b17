"""Ports for what a test or a benchmark starts, so that runs beside each other never meet on one."""

import fcntl
import os
import secrets
import socket
import tempfile
from pathlib import Path

BLOCK = 32
LOWEST = 10_000
_held: list[int] = []
"""The open locks of the blocks that this process has until it ends."""


def free_ports(count: int) -> int:
    """The first of `count` ports in a row on which nobody listens and which no other caller is given meanwhile.

    They lie below those that clients are given: such a port may go to any connection between now and its use.
    """
    assert count <= BLOCK
    first_of_clients = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    blocks = range(LOWEST, max(min(first_of_clients, 60_000), 2 * LOWEST) - BLOCK, BLOCK)
    for _ in range(400):
        # The system's randomness: a test run seeds Python's own, and two runs must not try the same ports.
        first = secrets.SystemRandom().choice(blocks)
        if _is_ours(first) and all(_is_free(port) for port in range(first, first + count)):
            return first
    raise RuntimeError(f"There are no {count} free ports in a row.")


def _is_ours(block: int) -> bool:
    """Whether nobody else has the block; then it is this process' until it ends."""
    folder = Path(tempfile.gettempdir()) / f"aivd-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    lock = os.open(folder / str(block), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return False
    _held.append(lock)
    return True


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
