"""Once a second: what people set, whether each Node lives, and this worker's view of the fleet for the others.

A Node that hangs costs the beat nothing: each is probed in a thread of its own with a deadline.
"""

import json
import logging
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import Any

from django.utils import timezone

from aivd_web.kernel.publish import publish
from scheduling.models import Node
from scheduling.runtime import FLEET_GROUP, FleetRuntime
from scheduling.services import redis_client
from scheduling.triton import NodeError

PROBE_S = 0.5
CANARY_S = 5.0
CANARY_TIMEOUT_S = 2.0
VIEW_TTL_S = 5
VIEW_PREFIX = "aivd:fleet:"
log = logging.getLogger(__name__)
_canaries: dict[str, float] = {}


def beat(*, fleet: FleetRuntime) -> None:
    fleet.refresh()
    rows = fleet.rows()
    probes = [_threads().submit(_probe, fleet, row) for row in rows]
    wait(probes, timeout=PROBE_S + CANARY_TIMEOUT_S + 1)
    for probe, row in zip(probes, rows, strict=True):
        if probe.done():
            _note(row, *probe.result())
    tell_view(fleet)


def _probe(fleet: FleetRuntime, row: Node) -> tuple[str, str]:
    """Ask the Node how it is; a Node that was given up gets a canary before it is trusted again."""
    client = fleet.client(row.name)
    models = [placement.model for placement in row.placements.all()]
    answer = client.probe(timeout_s=PROBE_S, models=models)
    differing = [f"{name}: {text}" for name, probe in answer.models.items() for text in probe.differences]
    if differing:
        return Node.Health.WRONG_CONTRACT, "; ".join(differing)
    if not answer.ready or not all(answer.usable(model) for model in models):
        fleet.probed(row.name, elapsed_ms=None, ok=False)
        missing = [model for model in models if not answer.usable(model)]
        return Node.Health.UNREACHABLE, answer.error or f"It does not serve {', '.join(missing)} yet."
    fleet.probed(row.name, elapsed_ms=answer.latency_ms, ok=True)
    return _canary(fleet, row, client)


def _canary(fleet: FleetRuntime, row: Node, client: Any) -> tuple[str, str]:
    """Readiness can lie, so an idle Node gets a real inference every 5 s, and any before it comes back into rotation."""
    lately = time.monotonic() - _canaries.get(row.name, 0.0) < CANARY_S
    if not fleet.given_up(row.name) and (lately or fleet.proven(row.name, within_s=CANARY_S)):
        return Node.Health.READY, ""
    _canaries[row.name] = time.monotonic()
    try:
        for placement in row.placements.all():
            client.canary(placement.model, timeout_s=CANARY_TIMEOUT_S)
    except NodeError as error:
        fleet.canary(row.name, ok=False)
        return Node.Health.UNREACHABLE, f"It says it is ready, but an inference failed: {error.detail}"
    fleet.canary(row.name, ok=True)
    return Node.Health.READY, ""


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


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(16, thread_name_prefix="probe")
