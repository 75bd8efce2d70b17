"""Run database work beside the event loop, on a few threads, and give the connection back each time."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import connections

from aivd_web.kernel.reads import over_own_pool

P = ParamSpec("P")
R = TypeVar("R")

# Short reads of all websockets of this process. Fewer threads than the readers' pool has connections.
READERS = ThreadPoolExecutor(max_workers=6, thread_name_prefix="socket-read")


async def in_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """`function(...)` on a reader thread, over the readers' pool of connections."""

    def read() -> R:
        with over_own_pool():
            return function(*args, **kwargs)

    return await on_executor(READERS, read)


async def on_executor(executor: Executor, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """`function(...)` on a thread of `executor`; its database connections go back to the pool afterwards."""

    def work() -> R:
        try:
            return function(*args, **kwargs)
        finally:
            connections.close_all()

    return await asyncio.get_running_loop().run_in_executor(executor, work)
