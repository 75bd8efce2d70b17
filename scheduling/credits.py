"""Room on the Nodes, shared by all workers: taken before work is claimed, given back when it has ended.

Each Node has a sorted set of the requests it holds, scored by when their credit expires. A worker renews its own
while it works, so the credit of a worker that died comes back by itself soon. Where Redis is away each worker counts
its own requests only.
"""

import logging
import threading
import time
from collections.abc import Callable

import redis

PREFIX = "aivd:credit:"
AWAY_S = 1.0
# Redis' own clock decides what has expired, so workers whose clocks differ agree.
TAKE = """
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now_ms)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], now_ms + tonumber(ARGV[3]), ARGV[1])
redis.call('PEXPIRE', KEYS[1], tonumber(ARGV[3]))
return 1
"""
RENEW = """
local now = redis.call('TIME')
local until_ms = now[1] * 1000 + math.floor(now[2] / 1000) + tonumber(ARGV[1])
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], until_ms, ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], tonumber(ARGV[1]))
"""
log = logging.getLogger(__name__)


class Credits:
    """Safe to use from many threads. No call raises: without Redis the answer is a local one."""

    def __init__(self, client: redis.Redis, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._take = client.register_script(TAKE)
        self._renew = client.register_script(RENEW)
        self._clock = clock
        self._away_until = 0.0
        self._own: dict[str, set[str]] = {}
        self._lock = threading.Lock()

    def take(self, node: str, request_id: str, *, limit: int, ttl_s: float) -> bool:
        """Whether `node` has room for one more request, out of `limit` in all; if so the room is taken."""
        with self._lock:
            own = self._own.setdefault(node, set())
            if len(own) >= limit:
                return False
            own.add(request_id)
        if self._shared_take(node, request_id, limit, ttl_s):
            return True
        with self._lock:
            own.discard(request_id)
        return False

    def give(self, node: str, request_id: str) -> None:
        """Give the room back; a second time changes nothing."""
        with self._lock:
            self._own.get(node, set()).discard(request_id)
        if self._clock() < self._away_until:
            return  # it expires by itself
        try:
            self._client.zrem(PREFIX + node, request_id)
        except redis.RedisError as error:
            self._went_away(error)

    def renew(self, *, ttl_s: float) -> None:
        """Keep the room of every request of this worker for another `ttl_s`; call it well before that is over."""
        with self._lock:
            held = {node: list(own) for node, own in self._own.items() if own}
        if self._clock() < self._away_until:
            return
        try:
            for node, own in held.items():
                self._renew(keys=[PREFIX + node], args=[int(ttl_s * 1000), *own])
        except redis.RedisError as error:
            self._went_away(error)

    def _shared_take(self, node: str, request_id: str, limit: int, ttl_s: float) -> bool:
        if self._clock() < self._away_until:
            return True
        try:
            return bool(self._take(keys=[PREFIX + node], args=[request_id, limit, int(ttl_s * 1000)]))
        except redis.RedisError as error:
            self._went_away(error)
            return True

    def _went_away(self, error: Exception) -> None:
        if self._clock() >= self._away_until:
            log.warning("Redis is away (%s): each worker counts its own requests.", type(error).__name__)
        self._away_until = self._clock() + AWAY_S
