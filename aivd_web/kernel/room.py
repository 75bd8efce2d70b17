"""How much may be under way at once, and waiting for it. Knows neither what is counted nor who waits."""

import asyncio
import contextlib
from collections import deque


class Room:
    """Counts messages and their bytes. One message of any size fits where nothing else is."""

    def __init__(self, *, messages: int, size: int) -> None:
        self.max_messages = messages
        self.max_size = size
        self.messages = 0
        self.size = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take(self, size: int) -> None:
        """Wait until `size` bytes more fit."""
        while not self._fits(size):
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            try:
                await waiter
            finally:
                with contextlib.suppress(ValueError):
                    self._waiting.remove(waiter)
        self.messages += 1
        self.size += size

    def give(self, size: int) -> None:
        self.messages -= 1
        self.size -= size
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)

    def _fits(self, size: int) -> bool:
        return not self.messages or (self.messages < self.max_messages and self.size + size <= self.max_size)
