"""Edge-only mode and what comes after it: which deferred items may run again, and in which order.

While no Node serves a model its items are deferred: the edge's answer goes out, the rest is filled in later. When the
cloud is back, the backlog must not crowd out live work. pct-lb runs late items in spare capacity only (half the slots
and half the uplink); here is what the caller needs to feed it: how many to wake, and which first.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from scheduling.policy.fleet import FleetState
from scheduling.policy.types import Item

SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Deferred:
    """An item that waits for the cloud. `defect`: a defect was found on the part, so it goes before good ones."""

    item: Item
    defect: bool
    deferred_at: float


def allowance(state: FleetState, model: str, now: float, *, mean_bytes: float, every_s: float) -> int:
    """How many deferred items to wake in the next `every_s` seconds: half of what idle slots and uplinks could take."""
    total = 0.0
    for node in state.nodes.values():
        if node.why_not(model, now) or node.doubted:
            continue
        slots = node.slots(model)
        idle = max(0, slots - len(node.ledger)) / slots
        served = slots / max(node.seconds(model), 1e-4)
        carried = node.link.rate(now) / max(mean_bytes, 1.0)
        total += SHARE * idle * min(served, carried) * every_s
    return math.floor(total)


def wake(deferred: Iterable[Deferred], count: int) -> list[Item]:
    """The next `count` items, defects first, then the oldest, each allowed to be late."""
    order = sorted(deferred, key=lambda d: (not d.defect, d.item.deadline_at, d.deferred_at, d.item.id))
    return [replace(d.item, late_ok=True, deferrable=False) for d in order[: max(0, count)]]
