"""What people set, whether each Node lives, and this worker's view of the fleet for the others."""

import json
import logging
import os
import socket
import time
from datetime import timedelta

from django.db.models import Q
from django.db.models.functions import Now

from aivd_web.kernel.parts import part
from aivd_web.kernel.publish import Publisher, publish
from scheduling.client.triton import NodeClient, NodeError
from scheduling.dispatch.prober import PROBE_TIMEOUT_S, Prober, ProbeResult
from scheduling.models import Node
from scheduling.policy.items import DETECTOR
from scheduling.services import redis_client
from scheduling.services.dispatching import FLEET_GROUP, FleetDispatcher

BEAT_S = 1.0
RELOAD_S = 20
VIEW_TTL_S = 5
READY_NOTED_EVERY = timedelta(seconds=10)
VIEW_PREFIX = "aivd:fleet:"
log = logging.getLogger(__name__)


class Heartbeat:
    """The beat of one process. A Node that hangs delays neither the beat nor the others: its probe stays pending."""

    def __init__(self, fleet: FleetDispatcher) -> None:
        self.fleet = fleet
        self._prober = Prober(fleet, reload=_reload)
        self._beat_at = -BEAT_S

    def pulse(self) -> None:
        """Call it several times a second: beats when a second is over, else asks only the Nodes in trouble."""
        if time.monotonic() - self._beat_at >= BEAT_S:
            self._beat_at = time.monotonic()
            self.fleet.refresh()
            tell_view(self.fleet)
        self._note(self._prober.probe_due(self._models(), wait_s=0.02))

    def beat(self) -> None:
        """Read what people set, ask every Node, and write what was found."""
        self.fleet.refresh()
        self._note(self._prober.probe_all(self._models(), wait_s=PROBE_TIMEOUT_S + 0.1))
        tell_view(self.fleet)

    def _models(self) -> dict[str, list[str]]:
        return {row.name: [placement.model for placement in row.placements.all()] for row in self.fleet.rows()}

    def _note(self, found: dict[str, ProbeResult]) -> None:
        rows = {row.name: row for row in self.fleet.rows()}
        for name, said in found.items():
            if name in rows:
                _note(rows[name], said.health, said.detail)


def _reload(node: str, model: str, client: NodeClient) -> bool:
    """Bring back a model whose process has died while Triton calls it ready; one worker does it, the others wait."""
    mine = redis_client.attempt(
        lambda redis: bool(redis.set(f"aivd:reload:{node}:{model}", 1, nx=True, ex=RELOAD_S)), otherwise=True
    )
    if not mine:
        return False
    log.warning("Node %s: the process of %s has died; it is loaded again", node, model)
    try:
        client.reload(model, timeout_s=RELOAD_S)
    except NodeError as error:
        log.warning("Node %s could not load %s again: %s", node, model, error.detail)
        return False
    return True


def _note(row: Node, health: str, detail: str) -> None:
    """Write what changed; another worker may have seen the same and been first."""
    seen = {"last_ready_at": Now()} if health == Node.Health.READY else {}
    changed = Node.objects.filter(pk=row.pk).exclude(health=health, health_detail=detail[:500])
    if changed.update(health=health, health_detail=detail[:500], **seen):
        log.info("Node %s is %s %s", row.name, health, detail)
        publish(FLEET_GROUP, {"type": "fleet.hint", "hint": {"type": "node", "name": row.name, "health": health}})
    elif seen:
        long_ago = Q(last_ready_at__isnull=True) | Q(last_ready_at__lt=Now() - READY_NOTED_EVERY)
        Node.objects.filter(long_ago, pk=row.pk).update(**seen)


def tell_view(fleet: FleetDispatcher) -> None:
    """Leave this worker's view for the fleet page; it vanishes by itself when the worker does."""
    view = {
        "at": time.time(),
        "nodes": fleet.view(),
        "curves": {DETECTOR: fleet.answer_curve(DETECTOR)},
        "dropped_hints": part(Publisher).dropped,
    }
    key = f"{VIEW_PREFIX}{socket.gethostname()}:{os.getpid()}"
    redis_client.attempt(lambda client: client.set(key, json.dumps(view), ex=VIEW_TTL_S), otherwise=None)
