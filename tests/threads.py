"""Run something on several threads at once, as the processes of a real installation do."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connections

JOIN_S = 60


def together(count: int, act: Callable[[int], Any]) -> list[Any]:
    """`act(0)` .. `act(count - 1)` at the same moment; an exception takes the place of its result."""
    barrier = threading.Barrier(count)

    def one(index: int) -> Any:
        barrier.wait(JOIN_S)
        try:
            return act(index)
        except Exception as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as pool:
        return [future.result(JOIN_S) for future in [pool.submit(one, index) for index in range(count)]]
