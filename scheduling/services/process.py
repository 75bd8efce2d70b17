"""What a process has of its own: its channels to the nodes, its view of the fleet.

The composition root makes one of the settings; a test makes another.
"""

from functools import cached_property
from pathlib import Path

from redis import Redis

from aivd_web.kernel.parts import part
from scheduling.client.tls import NodeTls
from scheduling.client.triton import NodeClients
from scheduling.dispatch.ledger import SharedLedger
from scheduling.dispatch.versions import ArtifactStore
from scheduling.services.dispatching import FleetDispatcher, running


class FleetProcess:
    """Each part is made when it is first asked for: a web process never opens a channel to a node."""

    def __init__(self, *, redis: Redis, tls: NodeTls, artifacts: Path) -> None:
        """`artifacts` is the folder in which weights are kept by their digest."""
        self._redis, self._tls = redis, tls
        self.artifacts = ArtifactStore(artifacts)

    @cached_property
    def clients(self) -> NodeClients:
        return NodeClients(tls=self._tls)

    @cached_property
    def dispatcher(self) -> FleetDispatcher:
        ledger = SharedLedger(self._redis, running=running)
        dispatcher = FleetDispatcher(ledger=ledger, client_for=self.clients.of, artifacts=self.artifacts)
        dispatcher.refresh()
        return dispatcher


def current() -> FleetProcess:
    """This process' own."""
    return part(FleetProcess)
