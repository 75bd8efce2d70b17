"""This process' one FleetRuntime, made of the settings."""

from functools import cache

from scheduling import triton
from scheduling.ledger import SharedLedger
from scheduling.runtime import FleetRuntime, running
from scheduling.services import redis_client


@cache
def current() -> FleetRuntime:
    ledger = SharedLedger(redis_client.get(), running=running)
    runtime = FleetRuntime(ledger=ledger, client_for=triton.client_for)
    runtime.refresh()
    return runtime
