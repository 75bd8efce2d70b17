"""A Redis that holds hints only and may be away, so no call here raises and each has a deadline."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from aivd_web.kernel.parts import part

AWAY_S = 1.0
TIMEOUT_S = 0.5
T = TypeVar("T")
log = logging.getLogger(__name__)


def client_of(url: str, *, timeout_s: float = TIMEOUT_S) -> redis.Redis:
    """A client that gives up when its deadline says so: redis-py's own tries three times more, seconds apart.

    Once more and at once, because a Redis that was restarted has closed the connections that are kept here.
    """
    return redis.Redis.from_url(
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        health_check_interval=5,
        retry=Retry(NoBackoff(), 1),
    )


class RedisHints:
    """A Redis that may be away: after a failure it is left alone for a second, so that nobody waits for it."""

    def __init__(self, client: redis.Redis, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.client = client
        self._clock = clock
        self._away_until = 0.0

    def attempt(self, call: Callable[[redis.Redis], T], *, otherwise: T) -> T:
        if self._clock() < self._away_until:
            return otherwise
        try:
            return call(self.client)
        except redis.RedisError as error:
            self._away_until = self._clock() + AWAY_S
            log.warning("Redis is away: %s", type(error).__name__)
            return otherwise


def get() -> redis.Redis:
    """This process' way to Redis."""
    return part(RedisHints).client


def attempt(call: Callable[[redis.Redis], T], *, otherwise: T) -> T:
    """What `call` gives, or `otherwise` where Redis is away."""
    return part(RedisHints).attempt(call, otherwise=otherwise)
