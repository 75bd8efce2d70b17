"""Ports that are given out: in a row, free, and to one asker only."""

import json
import socket
import subprocess
import sys
from pathlib import Path

from benchmarks.ports import BLOCK, LOWEST, free_ports

ROOT = Path(__file__).resolve().parents[2]
ASKS = "from benchmarks.ports import free_ports; print([free_ports(3) for _ in range(20)], flush=True); input()"


def test_two_processes_that_ask_at_once_never_get_the_same() -> None:
    asking = [
        subprocess.Popen([sys.executable, "-c", ASKS], cwd=ROOT, stdin=-1, stdout=-1, text=True) for _ in range(3)
    ]
    given = [free_ports(BLOCK) for _ in range(20)]
    for one in asking:
        assert one.stdout is not None
        given += json.loads(one.stdout.readline())
    for one in asking:
        one.communicate("\n", timeout=60)
    assert len({(first - LOWEST) // BLOCK for first in given}) == len(given) == 80


def test_what_is_given_can_be_listened_on() -> None:
    first = free_ports(3)
    for port in range(first, first + 3):
        socket.create_server(("127.0.0.1", port)).close()
