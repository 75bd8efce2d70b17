"""How the parts stand: one word for anybody, the parts for whoever may see the fleet. Nothing here waits long.

It looks at what is promised, not at processes alone: late frames are held, the queue moves, the workers' loops turn.
"""

from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotInTime
from contextlib import closing
from typing import Any

import redis
import rules
from django.db import connections
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from aivd_web.kernel.reads import over_own_pool
from inspections import rules as line_rules
from inspections.models import Frame, Step
from inspections.pipeline import liveness
from inspections.pipeline.stages import STAGES
from scheduling.client.addresses import without_addresses
from scheduling.models import Node
from scheduling.services import fleet, redis_client
from scheduling.services.scopes import MANAGE, SEE

DATABASE_TIMEOUT_S = 2.0
# A probe of its own, so that a database that hangs cannot hold up the answer that says so.
_probes = ThreadPoolExecutor(max_workers=2, thread_name_prefix="health")


@require_GET
@never_cache
def health(request: HttpRequest) -> JsonResponse:
    """200 while frames can be taken in, with `degraded` where something is away; else 503 and `down`."""
    database = _in_time(_database)
    if database is None:
        parts: dict[str, Any] = {
            "database": "down",
            "redis": _redis(),
            "workers": "unknown",
            "dispatch": "unknown",
            "nodes": [],
        }
        return JsonResponse({"status": "down", "parts": parts}, status=503, headers={"Retry-After": "2"})
    views, queue = fleet.worker_views(), database["queue"]
    nodes = [_short(row) for row in database["nodes"]]
    stuck = liveness.stuck_loops()
    parts = {
        "database": "ok",
        "redis": _redis(),
        "workers": "stuck" if stuck else "ok" if views else "down",
        "dispatch": _dispatch(queue),
        "nodes": nodes,
    }
    ready = any(row["status"] == "ready" for row in nodes)
    well = all(parts[part] == "ok" for part in ("redis", "workers", "dispatch")) and ready
    body: dict[str, Any] = {"status": "ok" if well else "degraded", "parts": parts}
    with over_own_pool():
        if not rules.has_perm(SEE, request.user):
            return JsonResponse({"status": body["status"]})
        addresses = rules.has_perm(MANAGE, request.user)
        backlog = _backlog(request.user)
    parts["nodes"] = [_short(row) | _details(row, addresses=addresses) for row in database["nodes"]]
    body["backlog"] = {**backlog, **queue.as_dict(), "live_workers": len(views), "stuck_loops": stuck}
    return JsonResponse(body)


def _dispatch(queue: liveness.Queue) -> str:
    """What a line relies on: an answer by its deadline, and a queue that moves."""
    if queue.holds_late:
        return "overdue"
    return "stuck" if queue.stands_still else "ok"


def _in_time(question: Any) -> dict[str, Any] | None:
    try:
        answer: dict[str, Any] = _probes.submit(question).result(timeout=DATABASE_TIMEOUT_S)
        return answer
    except NotInTime:
        return None
    except Exception:  # whatever a driver raises here means the same: it did not answer
        return None


def _database() -> dict[str, Any]:
    with over_own_pool() as alias, closing(connections[alias]):
        return {"nodes": list(Node.objects.all()), "queue": liveness.queue()}


def _backlog(who: Any) -> dict[str, int]:
    """What waits on the lines that one may see."""
    theirs = line_rules.lines(who)
    on_them = Step.objects.filter(frame__line__in=theirs)
    waiting = on_them.filter(state=Step.State.WAITING)
    return {
        **{f"waiting_to_{stage.kind}": waiting.filter(kind=stage.kind).count() for stage in STAGES},
        "dead_letters": on_them.filter(state=Step.State.FAILED, beside=False).count(),
        "undecided": Frame.objects.on_lines(theirs).filter(decided_at__isnull=True).count(),
    }


def _redis() -> str:
    try:
        redis_client.get().ping()
    except redis.RedisError:
        return "down"
    return "ok"


def _short(node: Node) -> dict[str, Any]:
    return {"kind": node.kind, "status": "draining" if node.draining else node.health}


def _details(node: Node, *, addresses: bool) -> dict[str, Any]:
    seen = node.last_ready_at
    return {
        "name": node.name,
        "detail": node.health_detail if addresses else without_addresses(node.health_detail),
        "last_ready_at": seen.isoformat() if seen else None,
    }
