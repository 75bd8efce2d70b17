"""Break one part of a running installation at a time, as crashes do, and write down what was done when."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.stack import BenchStack

Break = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Fault:
    """Happens once, as soon as `share` of all pictures have been acknowledged."""

    share: float
    name: str
    act: Break


class Faults:
    """The parts of one stack and how each is broken. The launcher starts again what was killed."""

    def __init__(self, stack: BenchStack, *, frozen_s: float = 10.0) -> None:
        self.stack = stack
        self.frozen_s = frozen_s
        self.rows: list[dict[str, Any]] = []

    def plan(self) -> list[Fault]:
        return [
            Fault(0.10, "an edge node is killed", lambda: self._kill("node-edge-1")),
            Fault(0.25, f"an edge node is stopped for {self.frozen_s:g} s", lambda: self._freeze("node-edge-2")),
            Fault(0.45, "a dispatch worker is killed", lambda: self._kill("worker-dispatch-1")),
            Fault(0.60, "PostgreSQL crashes", lambda: self._kill("postgres", signal.SIGQUIT)),
            Fault(0.80, "Redis is killed and emptied", self._empty_redis),
        ]

    async def run(self, progress: Callable[[], float]) -> None:
        """Carry out the plan along `progress` (0 to 1). A fault that lasts does not hold up the next one."""
        lasting: list[asyncio.Future[None]] = []
        for fault in self.plan():
            while progress() < fault.share:
                await asyncio.sleep(0.02)
            self._note(fault.name)
            lasting.append(asyncio.ensure_future(fault.act()))
        await asyncio.gather(*lasting)

    async def _kill(self, child: str, number: signal.Signals = signal.SIGKILL) -> None:
        """SIGQUIT is PostgreSQL's immediate shutdown: nothing is written, and the next start recovers from its log."""
        os.kill(await self._process(child), number)

    async def _freeze(self, child: str) -> None:
        process = await self._process(child)
        os.kill(process, signal.SIGSTOP)
        try:
            await asyncio.sleep(self.frozen_s)
        finally:
            os.kill(process, signal.SIGCONT)
            self._note(f"{child} goes on")

    async def _empty_redis(self) -> None:
        process = await self._process("redis")
        for left in (Path(self.stack.environ["AIVD_VAR"]) / "redis").glob("*.rdb"):
            left.unlink()
        os.kill(process, signal.SIGKILL)

    async def _process(self, child: str) -> int:
        """Its process id; a child that is just being started again is waited for."""
        async with asyncio.timeout(60):
            while True:
                row = self.stack.children()[child]
                if row["pid"] is not None and row["state"] == "ready":
                    return int(row["pid"])
                await asyncio.sleep(0.05)

    def _note(self, what: str) -> None:
        self.rows.append({"t": round(time.time(), 3), "fault": what})
