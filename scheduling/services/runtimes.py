"""This process' one FleetRuntime, made of the settings."""

from functools import cache

from scheduling.client import triton
from scheduling.dispatch.ledger import SharedLedger
from scheduling.services import redis_client
from scheduling.services.dispatching import FleetRuntime, running


@cache
def current() -> FleetRuntime:
    ledger = SharedLedger(redis_client.get(), running=running)
    runtime = FleetRuntime(ledger=ledger, client_for=triton.client_for)
    runtime.refresh()
    return runtime
