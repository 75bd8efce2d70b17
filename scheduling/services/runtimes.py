"""This process' one FleetDispatcher, made of the settings."""

from functools import cache, partial

from django.conf import settings

from scheduling.client import triton
from scheduling.dispatch.ledger import SharedLedger
from scheduling.services import redis_client
from scheduling.services.dispatching import FleetDispatcher, running


@cache
def current() -> FleetDispatcher:
    ledger = SharedLedger(redis_client.get(), running=running)
    runtime = FleetDispatcher(ledger=ledger, client_for=partial(triton.client_for, tls=settings.NODE_TLS))
    runtime.refresh()
    return runtime
