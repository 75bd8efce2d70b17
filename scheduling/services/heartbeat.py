"""Once a second: what people set, whether each Node lives, and this worker's view of the fleet for the others."""

import json
import logging
import os
import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait

from django.utils import timezone

from aivd_web.kernel.publish import publish
from scheduling.models import Node
from scheduling.runtime import FLEET_GROUP, FleetRuntime
from scheduling.services import redis_client
from scheduling.triton import NodeClient, NodeError

PROBE_S = 0.5
CANARY_S = 5.0
CANARY_TIMEOUT_S = 2.0
RELOAD_S = 20
VIEW_TTL_S = 5
VIEW_PREFIX = "aivd:fleet:"
log = logging.getLogger(__name__)


class Heartbeat:
    """The beat of one process. A Node that hangs delays neither the beat nor the others: its probe stays pending."""

    def __init__(self, fleet: FleetRuntime) -> None:
        self.fleet = fleet
        self._threads = ThreadPoolExecutor(16, thread_name_prefix="probe")
        self._pending: dict[str, Future[tuple[str, str]]] = {}
        self._canary_at: dict[str, float] = {}

    def beat(self) -> None:
        self.fleet.refresh()
        rows = {row.name: row for row in self.fleet.rows()}
        for name, row in rows.items():
            if name not in self._pending:
                self._pending[name] = self._threads.submit(self._probe, row)
        done, _ = wait(self._pending.values(), timeout=PROBE_S + 0.1)
        for name in [name for name, probe in self._pending.items() if probe in done]:
            probe = self._pending.pop(name)
            if name in rows:
                _note(rows[name], *probe.result())
        tell_view(self.fleet)

    def _probe(self, row: Node) -> tuple[str, str]:
        """Ask the Node how it is: its health, and what there is to say about it."""
        client = self.fleet.client(row.name)
        models = [placement.model for placement in row.placements.all()]
        answer = client.probe(timeout_s=PROBE_S, models=models)
        differing = [f"{name}: {text}" for name, probe in answer.models.items() for text in probe.differences]
        if differing:
            return Node.Health.WRONG_CONTRACT, "; ".join(differing)
        if not answer.ready or not all(answer.usable(model) for model in models):
            self.fleet.probed(row.name, elapsed_ms=None, ok=False)
            missing = [model for model in models if not answer.usable(model)]
            return Node.Health.UNREACHABLE, answer.error or f"It does not serve {', '.join(missing)} yet."
        self.fleet.probed(row.name, elapsed_ms=answer.latency_ms, ok=True)
        if not self._wants_canary(row.name):
            return Node.Health.READY, ""
        return self._canary(row, client)

    def _wants_canary(self, name: str) -> bool:
        """Readiness can lie: an idle Node gets an inference every 5 s, any before it comes back into rotation."""
        if self.fleet.given_up(name):
            return True
        lately = time.monotonic() - self._canary_at.get(name, -CANARY_S) < CANARY_S
        return not lately and not self.fleet.proven(name, within_s=CANARY_S)

    def _canary(self, row: Node, client: NodeClient) -> tuple[str, str]:
        self._canary_at[row.name] = time.monotonic()
        for placement in row.placements.all():
            try:
                client.canary(placement.model, timeout_s=CANARY_TIMEOUT_S)
            except NodeError as error:
                self.fleet.canary(row.name, ok=False)
                revived = error.needs_reload and _reload(row.name, placement.model, client)
                said = "it was loaded again" if revived else error.detail
                return Node.Health.UNREACHABLE, f"It says it is ready, but {placement.model} did not answer: {said}"
        self.fleet.canary(row.name, ok=True)
        return Node.Health.READY, ""


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
    now = timezone.now()
    seen = {"last_ready_at": now} if health == Node.Health.READY else {}
    stale = row.last_ready_at is None or (now - row.last_ready_at).total_seconds() > 10
    changed = Node.objects.filter(pk=row.pk).exclude(health=health, health_detail=detail[:500])
    if changed.update(health=health, health_detail=detail[:500], **seen):
        log.info("Node %s is %s %s", row.name, health, detail)
        publish(FLEET_GROUP, {"type": "fleet.hint", "hint": {"type": "node", "name": row.name, "health": health}})
    elif seen and stale:
        Node.objects.filter(pk=row.pk).update(**seen)


def tell_view(fleet: FleetRuntime) -> None:
    """Leave this worker's view for the fleet page; it vanishes by itself when the worker does."""
    view = {"at": time.time(), "nodes": fleet.view()}
    key = f"{VIEW_PREFIX}{socket.gethostname()}:{os.getpid()}"
    redis_client.attempt(lambda client: client.set(key, json.dumps(view), ex=VIEW_TTL_S), otherwise=None)
