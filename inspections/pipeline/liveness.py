"""Whether what was promised is kept: do the workers' loops turn, does the queue move, are late frames held?

A worker tells in Redis when each of its loops last did its work, as ages, so that nobody's clock takes part; what it
told vanishes by itself. What the queue looks like is asked of the database, by the database's clock.
"""

import json
import os
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any

import redis
from django.db import connections

from aivd_web.kernel.reads import current_alias
from scheduling.services import redis_client

from .stages import STAGES

PREFIX = "aivd:loops:"
TOLD_FOR_S = 5
SLOW_S = {"dispatch": 10.0, "renew": 10.0, "reap": 10.0, "hold": 10.0}
"""How long ago each loop may have done its work, by its name."""
OVERDUE_S = 10.0
STANDSTILL_S = 20.0
# Nothing of a Frame or Step is loaded: this must answer also about rows that cannot be read.
QUEUE = """
WITH now AS (SELECT extract(epoch FROM clock_timestamp()) AS s)
SELECT least(1e9, coalesce(now.s - extract(epoch FROM overdue.since), 0)),
       least(1e9, coalesce(now.s - extract(epoch FROM waiting.since), 0)),
       least(1e9, coalesce(now.s - extract(epoch FROM sent.since), 1e9))
FROM now,
    (SELECT min(deadline_at) AS since FROM inspections_frame
     WHERE decided_at IS NULL AND deadline_at < clock_timestamp()) AS overdue,
    (SELECT min(greatest(created_at, not_before)) AS since FROM inspections_step
     WHERE state = 'waiting' AND kind = %(first)s AND (not_before IS NULL OR not_before < clock_timestamp()))
        AS waiting,
    (SELECT max(sent_at) AS since FROM (SELECT sent_at FROM scheduling_dispatch ORDER BY id DESC LIMIT 1) AS newest)
        AS sent
"""


@dataclass(frozen=True)
class Queue:
    """In seconds: how long the longest undecided Frame is over its deadline, how long the oldest Step waits to be
    detected, and how long ago anything was sent to a Node.
    """

    overdue_s: float
    waiting_s: float
    since_dispatch_s: float

    @property
    def holds_late(self) -> bool:
        """Frames whose deadline is long over have no decision: the one promise that a line cannot do without."""
        return self.overdue_s > OVERDUE_S

    @property
    def stands_still(self) -> bool:
        return min(self.waiting_s, self.since_dispatch_s) > STANDSTILL_S

    def as_dict(self) -> dict[str, float]:
        return {"overdue_s": round(self.overdue_s, 1), "oldest_waiting_s": round(self.waiting_s, 1)}


def queue() -> Queue:
    with connections[current_alias()].cursor() as cursor:
        cursor.execute(QUEUE, {"first": STAGES.first.kind})
        return Queue(*map(float, cursor.fetchone()))


# -- a worker's loops -------------------------------------------------------------------------------


class LoopTimes:
    """When each loop of this process last did its work, on the monotonic clock."""

    def __init__(self) -> None:
        self._done_at: dict[str, float] = {}
        self._lock = threading.Lock()

    def beat(self, loop: str, at: float | None = None) -> None:
        """This loop has done its work: just now, or then."""
        with self._lock:
            self._done_at[loop] = time.monotonic() if at is None else at

    def tell(self) -> None:
        """Leave the ages of all loops for /health; nothing where Redis is away."""
        now = time.monotonic()
        with self._lock:
            ages = {loop: round(now - at, 2) for loop, at in self._done_at.items()}
        key = f"{PREFIX}{socket.gethostname()}:{os.getpid()}"
        redis_client.attempt(lambda client: client.set(key, json.dumps(ages), ex=TOLD_FOR_S), otherwise=None)


def stuck_loops() -> list[str]:
    """The loops that no live worker turns: one worker whose loop stands is covered by another whose does not."""
    nothing: list[Any] = []
    told = [json.loads(text) for text in redis_client.attempt(_texts, otherwise=nothing) if text]
    if not told:
        return []  # no worker, or no Redis: said elsewhere
    return [loop for loop, most in SLOW_S.items() if all(ages.get(loop, most + 1) > most for ages in told)]


def _texts(client: redis.Redis) -> list[Any]:
    keys = list(client.scan_iter(f"{PREFIX}*", count=100))
    return list(client.mget(keys)) if keys else []
