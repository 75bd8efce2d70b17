"""Notices that a piece of work takes far longer than it may, while that work cannot be interrupted.

It cannot end the work, it can only tell: so that whoever waits for it, or behind it, is answered. Time is counted in
ticks, each for no more than it should have lasted: nobody is blamed where the process was stopped or got no processor.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

TICK_S = 0.1


class Watchdog:
    """Calls `overran()` once, on its own thread, when the work inside `watched` has taken longer than its budget."""

    def __init__(self, *, tick_s: float = TICK_S, sleep: Callable[[float], None] = time.sleep) -> None:
        self._tick_s, self._sleep = tick_s, sleep
        self._changed = threading.Condition()
        self._left_s: float | None = None
        self._overran: Callable[[], None] = lambda: None
        self._closed = False
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    @contextmanager
    def watched(self, budget_s: float, overran: Callable[[], None]) -> Iterator[None]:
        """One piece of work at a time."""
        with self._changed:
            self._left_s, self._overran = budget_s, overran
            self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._left_s = None

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._left_s is not None or self._closed)
                if self._closed:
                    return
            self._sleep(self._tick_s)
            with self._changed:
                if self._left_s is None:
                    continue
                self._left_s -= self._tick_s
                if self._left_s <= 0:
                    self._left_s = None
                    self._overran()
