"""How well answer times are foreseen: what was predicted for each answered Dispatch against what was measured."""

from collections.abc import Sequence
from datetime import timedelta
from statistics import fmean, median
from typing import Any, NamedTuple

from aivd_web.kernel.database import database_now
from scheduling.models import Dispatch
from scheduling.policy.percentiles import percentile
from scheduling.services.scopes import Scopes

MOST_POINTS = 600


class Point(NamedTuple):
    """One answered Dispatch."""

    id: int
    node: str
    model: str
    predicted_ms: float
    measured_ms: float

    @property
    def error_ms(self) -> float:
        """Above zero: it took longer than foreseen."""
        return self.measured_ms - self.predicted_ms


def accuracy(*, minutes: float, scopes: Scopes) -> dict[str, Any]:
    """The newest `MOST_POINTS` answers of the last `minutes` to requests within `scopes`; figures by Node and model."""
    since = database_now() - timedelta(minutes=minutes)
    columns = ("id", "node__name", "model", "predicted_ms", "measured_ms")
    answered = Dispatch.objects.within(scopes).answered(since=since)
    points = [Point(*row) for row in answered.values_list(*columns)[:MOST_POINTS]]
    groups: dict[tuple[str, str], list[Point]] = {}
    for point in points:
        groups.setdefault((point.node, point.model), []).append(point)
    return {
        "minutes": minutes,
        "all": figures(points),
        "by_node": [{"node": node, "model": model, **figures(of)} for (node, model), of in sorted(groups.items())],
        "points": [point._asdict() for point in points],
    }


def figures(points: Sequence[Point]) -> dict[str, float | int | None]:
    """Medians and the 95th percentile of the errors; None where there is nothing to tell of."""
    if not points:
        return {"count": 0, "mean_error_ms": None, "median_error_ms": None, "median_off_ms": None, "p95_off_ms": None}
    off = sorted(abs(point.error_ms) for point in points)
    return {
        "count": len(points),
        "mean_error_ms": round(fmean(point.error_ms for point in points), 2),
        "median_error_ms": round(median(point.error_ms for point in points), 2),
        "median_off_ms": round(median(off), 2),
        "p95_off_ms": round(percentile(off, 0.95), 2),
    }
