"""This process' way to Redis, for whoever has hints to tell or to ask."""

from collections.abc import Callable
from typing import TypeVar

import redis

from scheduling.services import process

T = TypeVar("T")


def get() -> redis.Redis:
    return process.current().hints.client


def attempt(call: Callable[[redis.Redis], T], *, otherwise: T) -> T:
    """What `call` gives, or `otherwise` where Redis is away."""
    return process.current().hints.attempt(call, otherwise=otherwise)
