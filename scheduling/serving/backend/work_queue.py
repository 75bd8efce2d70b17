"""A model's own bounded queue: it stamps arrivals and works them off in batches on one thread.

Triton's queue does not tell a model when a request arrived; this one does, and it lets the model drop what
nobody waits for any more. Knows nothing of what the items are.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Abandoned(Exception):
    """Whoever asked has gone; nothing more is to be done or sent."""


@dataclass(frozen=True, slots=True)
class QueuedItem(Generic[Item]):
    """An item and how long it waited before its batch started."""

    item: Item
    queue_ms: float


class WorkQueue(Generic[Item]):
    """Calls `work(batch)` on its own thread with up to `max_batch` items, whenever some wait.

    `cost(item)` bounds a batch besides its length: a batch ends before its costs exceed `max_cost`, but
    always holds at least one item. `work` must answer every item and handle its own errors; an exception
    that leaves it reaches `broken`, because the items behind it would otherwise wait for ever. A full queue
    first lets go of the items that are `abandoned`.
    """

    def __init__(
        self,
        work: Callable[[list[QueuedItem[Item]]], None],
        *,
        max_waiting: int,
        max_batch: int = 1,
        cost: Callable[[Item], float] = lambda item: 0.0,
        max_cost: float = float("inf"),
        abandoned: Callable[[Item], bool] = lambda item: False,
        broken: Callable[[BaseException], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._work = work
        self._max_waiting, self._max_batch, self._max_cost = max_waiting, max_batch, max_cost
        self._cost, self._abandoned, self._broken, self._clock = cost, abandoned, broken, clock
        self._waiting: deque[tuple[float, Item]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="queue", daemon=True)
        self._thread.start()

    def put(self, item: Item) -> bool:
        """Queue the item; False when the queue is full or closed."""
        with self._changed:
            if self._closed or (len(self._waiting) >= self._max_waiting and not self._made_room()):
                return False
            self._waiting.append((self._clock(), item))
            self._changed.notify()
            return True

    def _made_room(self) -> bool:
        self._waiting = deque(waiting for waiting in self._waiting if not self._abandoned(waiting[1]))
        return len(self._waiting) < self._max_waiting

    def cleared(self) -> list[Item]:
        """Take everything out that waits, and return it."""
        with self._changed:
            left = [item for _, item in self._waiting]
            self._waiting.clear()
            return left

    def close(self, *, timeout_s: float) -> list[Item]:
        """Take no more, wait for the running batch, and return the items that nobody will work on."""
        with self._changed:
            self._closed = True
            left = [item for _, item in self._waiting]
            self._waiting.clear()
            self._changed.notify()
        self._thread.join(timeout_s)
        return left

    def _run(self) -> None:
        while batch := self._next_batch():
            try:
                self._work(batch)
            except BaseException as error:
                self._broken(error)

    def _next_batch(self) -> list[QueuedItem[Item]]:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            now, spent = self._clock(), 0.0
            batch: list[QueuedItem[Item]] = []
            while self._waiting and len(batch) < self._max_batch:
                arrived_at, item = self._waiting[0]
                spent += self._cost(item)
                if batch and spent > self._max_cost:
                    break
                self._waiting.popleft()
                batch.append(QueuedItem(item, (now - arrived_at) * 1000))
            return batch
