"""How long one decision takes: 48 items over 50 nodes with the shared ledger's round trips to Redis in it."""

import math
import time
from typing import Any, cast

import redis

from benchmarks.schedule.scenarios import frame_item
from scheduling.dispatch.dispatcher import Dispatcher
from scheduling.dispatch.ledger import Completion, Ledger, LocalLedger, SharedLedger
from scheduling.dispatch.values import Request
from scheduling.policy import NodeState

NODES, ITEMS = 50, 48
WARM_UP = 10  # decisions that load scripts and fill the nodes; not counted


def decision_ms(client: redis.Redis | None, *, rounds: int) -> list[float]:
    """The times of `rounds` decisions, each of which sends what it can; sorted. Without a client: no Redis."""
    ledger: Ledger = LocalLedger() if client is None else SharedLedger(client, prefix="aivd:decide:")
    fleet = Dispatcher(ledger=ledger, client_of=lambda name: cast(Any, name))
    for number in range(NODES):
        state = fleet.state.nodes[f"n{number}"] = NodeState(f"n{number}", capacity=1 + number % 3)
        state.service.prior_s["edge_detector"] = 0.01 * (1 + number % 7)
    fleet.renew()
    took = []
    for number in range(-WARM_UP, rounds):
        now = time.monotonic()
        waiting = [frame_item(f"{number}.{n}", 40_000, arrived_at=now, within_s=2) for n in range(ITEMS)]
        started = time.perf_counter()
        assignments, _ = fleet.place([Request(item, "", "pct-lb") for item in waiting], limit=ITEMS)
        took.append(1000 * (time.perf_counter() - started))
        for assignment in assignments:
            fleet.state.nodes[assignment.node].answered(assignment.request_id, time.monotonic() + 0.02, 15.0, 0.0)
            fleet.ledger.ended(Completion(assignment.request_id, assignment.node, "", 15.0, 0.0))
    return sorted(took[WARM_UP:])


def figures(client: redis.Redis, *, rounds: int = 300) -> dict[str, float]:
    shared, alone = decision_ms(client, rounds=rounds), decision_ms(None, rounds=rounds)
    return {
        "decide_p50_ms": round(percentile(shared, 0.5), 2),
        "decide_p99_ms": round(percentile(shared, 0.99), 2),
        "decide_without_redis_p99_ms": round(percentile(alone, 0.99), 2),
    }


def percentile(ordered: list[float], share: float) -> float:
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
