"""Waiting for what comes later, by its condition. The time limit is for a machine that has much else to do."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import TypeVar

WITHIN_S = 120.0
LOOK_EVERY_S = 0.02
T = TypeVar("T")
Said = str | Callable[[], object]


def eventually(condition: Callable[[], T], what: Said = "it", *, within_s: float = WITHIN_S) -> T:
    """What `condition` gives as soon as it is true. `what` is said, or asked, where it never is."""
    ends_at = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < ends_at, _never(what, within_s)
        threading.Event().wait(LOOK_EVERY_S)
    return found


async def eventually_async(condition: Callable[[], T], what: Said = "it", *, within_s: float = WITHIN_S) -> T:
    """The same in an event loop, which goes on meanwhile."""
    ends_at = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < ends_at, _never(what, within_s)
        await asyncio.sleep(LOOK_EVERY_S)
    return found


def _never(what: Said, within_s: float) -> str:
    return f"{what() if callable(what) else what}: not within {within_s:g} s"
