"""The process' Redis client. Every call has a deadline, because Redis holds hints only and may be away."""

from functools import cache

import redis
from django.conf import settings


@cache
def get() -> redis.Redis:
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=0.5, socket_connect_timeout=0.5, health_check_interval=5
    )
