"""Stop and kill the parts of an installation, one after the other, and see who stands in whose way meanwhile."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.faults import Faults

PARTS = ("worker-dispatch-1", "web", "postgres", "redis")


class Parts(Faults):
    """As `Faults`, but each part in its turn: stopped with all its processes, rested, killed, rested."""

    async def one_after_the_other(self, *, stopped_s: float, rest_s: float) -> None:
        for name in PARTS:
            await self._stop(name, stopped_s)
            await asyncio.sleep(rest_s)
            self._note(f"{name} is killed")
            # PostgreSQL's own crash: an immediate shutdown. Its processes must not outlive their shared memory.
            await self._kill(name, signal.SIGQUIT if name == "postgres" else signal.SIGKILL)
            await asyncio.sleep(rest_s)

    async def _stop(self, name: str, stopped_s: float) -> None:
        processes = family(await self._process(name))
        row: dict[str, Any] = {"t": time.time(), "fault": f"{name} is stopped for {stopped_s:g} s", "part": name}
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        try:
            await asyncio.sleep(0.2)
            row["held_lines"] = await asyncio.to_thread(held_lines) if name.startswith("worker") else []
            await asyncio.sleep(max(0.0, row["t"] + stopped_s - time.time()))
        finally:
            for process in processes:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGCONT)
        self.rows.append(row | {"until": time.time()})


def held_lines() -> list[int]:
    """Lines whose event counter somebody holds for longer than any transaction of a process that runs."""
    from django.db import OperationalError, connection, transaction

    from inspections.models import EventHead
    from inspections.pipeline.worker import own_connection

    held = []
    with own_connection():
        for line_id in EventHead.objects.values_list("line_id", flat=True):
            try:
                with transaction.atomic(), connection.cursor() as cursor:
                    cursor.execute("SET LOCAL lock_timeout = 300")
                    cursor.execute("SELECT 1 FROM inspections_eventhead WHERE line_id = %s FOR UPDATE", [line_id])
            except OperationalError:
                held.append(line_id)
    return held


def family(process: int) -> list[int]:
    """The process and all that it has started."""
    return [process, *(each for child in children_of(process) for each in family(child))]


def children_of(process: int) -> list[int]:
    return [pid for pid, parent in _parents() if parent == process]


def _parents() -> Iterator[tuple[int, int]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # it has ended
                yield int(entry.name), int((entry / "stat").read_text().rpartition(")")[2].split()[1])


class Memory:
    """The most memory that each of some parts was seen with, and the most that any process they started was."""

    def __init__(self, parts: Parts, names: tuple[str, ...]) -> None:
        self.most_mb: dict[str, float] = dict.fromkeys(names, 0.0)
        self.helper_mb = 0.0
        self._parts = parts

    async def watch(self) -> None:
        while True:
            await asyncio.to_thread(self._look)
            await asyncio.sleep(0.3)

    def _look(self) -> None:
        children = self._parts.stack.children()
        for name in self.most_mb:
            process = children.get(name, {}).get("pid")
            if process:
                self.most_mb[name] = max(self.most_mb[name], resident_mb(process))
                helpers = [resident_mb(each) for each in family(process)[1:]]
                self.helper_mb = max([self.helper_mb, *helpers])


def resident_mb(process: int) -> float:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0.0
    found = next((line.split()[1] for line in lines if line.startswith("VmRSS:")), "0")
    return round(int(found) / 1024, 1)
