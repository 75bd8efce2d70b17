"""What a person asks of the fleet and what the fleet page shows of it."""

import json
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

import redis
from django.db import transaction
from django.db.models import Prefetch

from aivd_web.kernel.database import database_now
from aivd_web.kernel.parts import part
from aivd_web.kernel.publish import Publisher, publish_on_commit
from scheduling.client.addresses import without_addresses
from scheduling.models import Dispatch, Node, NodeAct, Placement
from scheduling.policy import front_door
from scheduling.services import redis_client
from scheduling.services.dispatching import FLEET_GROUP
from scheduling.services.heartbeat import VIEW_PREFIX

BREAKERS = ("closed", "half-open", "open")


def snapshot(*, addresses: bool) -> list[dict[str, Any]]:
    """Every Node: what is known of it in the database, and what the workers see of it right now.

    Without `addresses` the texts are as those may read them who do not manage the fleet.
    """
    views = worker_views()
    placed = Dispatch.objects.count_by_node(since=database_now() - timedelta(seconds=60))
    last_act = Prefetch("acts", NodeAct.objects.order_by("node_id", "-id").distinct("node_id"), to_attr="last_acts")
    nodes = Node.objects.prefetch_related("placements__served_model", last_act)
    told = [
        _node_json(node, [view["nodes"].get(node.name) for view in views], placed.get(node.pk, 0)) for node in nodes
    ]
    if not addresses:
        for node_json in told:
            node_json["health_detail"] = without_addresses(node_json["health_detail"])
    return told


def summary() -> dict[str, int]:
    """What concerns no single Node: the workers that live, and the hints that they and this process had to drop."""
    views = worker_views()
    dropped = [int(view.get("dropped_hints", 0)) for view in views]
    return {"live_workers": len(views), "dropped_hints": part(Publisher).dropped + sum(dropped)}


def worker_views() -> list[dict[str, Any]]:
    """The views that live workers left in Redis; none where Redis is away."""
    nothing: list[bytes | str | None] = []
    texts = redis_client.attempt(_view_texts, otherwise=nothing)
    return [json.loads(text) for text in texts if text]


def answer_s(model: str, *, ahead: int) -> float | None:
    """When one more request would be answered, by the worker that looked last; None where no worker tells."""
    views = sorted(worker_views(), key=lambda view: float(view["at"]))
    curves = [view["curves"][model] for view in views if view.get("curves", {}).get(model)]
    return front_door.answer_s(curves[-1], ahead) if curves else None


def _view_texts(client: redis.Redis) -> list[bytes | str | None]:
    keys = list(client.scan_iter(f"{VIEW_PREFIX}*", count=100))
    return list(client.mget(keys)) if keys else []


@transaction.atomic
def set_draining(*, node: Node, draining: bool, by: str) -> Node:
    """Take the Node out of rotation, or back in, and note who did. What runs there finishes.

    Asking for what is so already is no act: two people who press the same button leave one note.
    """
    changed = Node.objects.filter(pk=node.pk, draining=not draining).update(draining=draining)
    node.draining = draining
    if not changed:
        return node
    NodeAct.objects.create(node=node, act=NodeAct.Act.DRAIN if draining else NodeAct.Act.UNDRAIN, by=by)
    hint = {"type": "node", "name": node.name, "draining": draining, "by": by}
    publish_on_commit(FLEET_GROUP, {"type": "fleet.hint", "hint": hint})
    return node


@transaction.atomic
def ensure_node(*, name: str, kind: str, grpc_url: str, models: tuple[str, ...], capacity: int = 1) -> Node:
    """The Node of this name, with this address and exactly these models. Running it twice changes nothing."""
    node, _ = Node.objects.update_or_create(
        name=name, defaults={"kind": kind, "grpc_url": grpc_url, "capacity": capacity}
    )
    for model in models:
        Placement.objects.get_or_create(node=node, model=model)
    Placement.objects.filter(node=node).exclude(model__in=models).delete()
    return node


def _node_json(node: Node, views: list[dict[str, Any] | None], placed_last_minute: int) -> dict[str, Any]:
    seen = [view for view in views if view]
    newest = seen[-1] if seen else {}
    return {
        "name": node.name,
        "kind": node.kind,
        "health": node.health,
        "health_detail": node.health_detail,
        "draining": node.draining,
        "capacity": node.capacity,
        "last_ready_at": node.last_ready_at.isoformat() if node.last_ready_at else None,
        "models": [_placement_json(placement) for placement in node.placements.all()],
        "load": {
            "outstanding": sum(view["outstanding"] for view in seen),
            "waiting_ms": max((view["queue_ms"] for view in seen), default=None),
            "service_ms": newest.get("service_ms", {}),
            "placed_last_minute": placed_last_minute,
        },
        # What a worker may still send there; its own requests are counted in already.
        "credits": {
            "limit": newest.get("credit_limit"),
            "left": min((view["credits_left"] for view in seen if "credits_left" in view), default=None),
        },
        "link": {
            "rtt_ms": newest.get("rtt_ms"),
            "bandwidth_bytes_s": newest.get("bandwidth_bytes_s"),
        },
        # The worst that any worker sees: one that has just failed there knows more than the others.
        "breaker": max((view["breaker"] for view in seen), key=BREAKERS.index, default=None),
        "counts": _most(view.get("counts", {}) for view in seen),
        "last_act": _act_json(node),
    }


def _most(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Each count as the worker has it that saw most: all hear of the same answers, those from their own start on."""
    most: dict[str, int] = {}
    for each in counts:
        most |= {name: max(count, most.get(name, 0)) for name, count in each.items()}
    return dict(sorted(most.items()))


def _act_json(node: Any) -> dict[str, Any] | None:
    """Who drained or undrained it last. `node` has its `last_acts` fetched."""
    return next(({"act": act.act, "by": act.by, "at": act.at.isoformat()} for act in node.last_acts), None)


def _placement_json(placement: Placement) -> dict[str, Any]:
    served = placement.served_model
    return {
        "model": placement.model,
        "served_model": str(served) if served else None,
        "version": served.version if served else None,
        "digest": served.digest if served else None,
    }
