"""This process' one FleetRuntime, made of the settings."""

from functools import cache

from scheduling import triton
from scheduling.credits import Credits
from scheduling.runtime import FleetRuntime
from scheduling.services import redis_client


@cache
def current() -> FleetRuntime:
    runtime = FleetRuntime(credits=Credits(redis_client.get()), client_for=triton.client_for)
    runtime.refresh()
    return runtime
