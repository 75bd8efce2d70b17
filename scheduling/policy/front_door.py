"""When would one more request be answered that has not been accepted yet? By the same prediction that places requests.

The door does not see the queue as a policy does: it knows how many requests wait. So a worker foretells the answer time
behind so many of them, as a few points of a curve, and the door reads it there.
"""

from collections.abc import Sequence
from itertools import pairwise

from scheduling.policy.fleet import FleetState
from scheduling.policy.items import Load, make_item
from scheduling.policy.prediction import FleetForecast, Weights

AHEAD = (0, 4, 8, 16, 32, 64, 128, 256)
"""How many requests wait before the new one, for each point of the curve."""

Curve = list[tuple[int, float]]
"""Requests ahead, and seconds until the answer to the next one."""


def answer_curve(state: FleetState, now: float, *, model: str, load: Load, ahead: Sequence[int] = AHEAD) -> Curve:
    """The curve for requests of `load`; empty where no Node could be asked. Does not change `state`."""
    fleet, curve, placed = FleetForecast(state, now, Weights()), Curve(), 0
    item = make_item(load, id="", model=model, arrived_at=now, deadline_at=now)
    for count in ahead:
        while placed < count:
            forecast, took = fleet.best(item, item.bytes)
            if forecast is None:
                return []
            fleet.take(item, item.bytes, forecast)
            placed += 1
        forecast, took = fleet.best(item, item.bytes)
        if forecast is None:
            return []
        curve.append((count, took))
    return curve


def answer_s(curve: Sequence[tuple[int, float]], ahead: int) -> float | None:
    """The answer time behind `ahead` requests: between two points in proportion, beyond the last at its pace."""
    if not curve:
        return None
    steps = [(left, right) for left, right in pairwise(curve) if ahead < right[0]] or list(pairwise(curve))[-1:]
    if not steps:
        return curve[0][1]
    (first, early), (last, late) = steps[0]
    return early + (ahead - first) * (late - early) / (last - first)
