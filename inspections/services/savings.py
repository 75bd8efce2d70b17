"""What the ladder and the skip have saved: bytes, tokens and seconds of the cloud, of the Stations that one may see.

The ladder's bytes of whole frames were counted. What crops would have weighed as they are was never made: they count by
what was sent, in the ratio that the ladder expects of a rung, which is on the safe side. What nobody was asked has no
figure of its own: it counts as much as a described region of the same Stations took on average in the same stretch, or
nothing where none was described.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Avg, Count, Q, Sum

from aivd_web.kernel.database import database_now
from inspections.models import Description, ShadowAnswer, Step
from scheduling.models import Dispatch
from scheduling.policy.items import CROP_BYTES, DESCRIBER, LADDER

EXPECTED = {rung.name: rung.bytes_factor for rung in LADDER}


def savings(*, minutes: float, stations: Iterable[int]) -> dict[str, Any]:
    """Of the last `minutes`, at these Stations (by their ids)."""
    since, wanted = database_now() - timedelta(minutes=minutes), list(stations)
    return {"minutes": minutes, "ladder": _ladder(since, wanted), "skipped": _skipped(since, wanted)}


def _ladder(since: datetime, stations: list[int]) -> dict[str, Any]:
    lowered = Dispatch.objects.filter(scope__in=stations, sent_at__gte=since).exclude(quality="")
    sent = lowered.filter(outcome=Dispatch.Outcome.OK).values_list("quality", "model")
    rows = list(sent.annotate(Count("id"), Sum("full_bytes"), Sum("payload_bytes")).order_by())
    by_quality: Counter[str] = Counter()
    for quality, _, requests, *_ in rows:
        by_quality[quality] += requests
    saved = sum(_saved_bytes(quality, model, full or 0, sent or 0) for quality, model, _, full, sent in rows)
    return {"requests": by_quality.total(), "bytes": round(saved), "by_quality": dict(by_quality)}


def _saved_bytes(quality: str, model: str, full: float, sent: float) -> float:
    if model == DESCRIBER:
        return sent * (1 / EXPECTED.get(quality, 1.0) - 1)
    return max(0.0, full - sent)


def _skipped(since: datetime, stations: list[int]) -> dict[str, Any]:
    skipped = Step.objects.filter(state=Step.State.SKIPPED, beside=False)
    steps = skipped.filter(frame__station__in=stations, finished_at__gte=since)
    regions = steps.aggregate(regions=Sum("regions"))["regions"] or 0
    described = Description.objects.filter(detection__frame__station__in=stations, created_at__gte=since)
    tried = ShadowAnswer.objects.filter(detection__frame__station__in=stations, created_at__gte=since)
    tokens = described.aggregate(mean=Avg("tokens"))["mean"] or 0.0
    return {
        "regions": regions,
        "bytes": round(regions * CROP_BYTES),
        "tokens": round(regions * tokens),
        "seconds": round(regions * _seconds_of_a_region(since, stations, described.count() + tried.count()), 2),
    }


def _seconds_of_a_region(since: datetime, stations: list[int], regions: int) -> float:
    """Of a describer's own time, without queue and link, where it wrote about so many, in the shadow too."""
    answered = Q(scope__in=stations, sent_at__gte=since, model=DESCRIBER, outcome=Dispatch.Outcome.OK)
    service_ms = Dispatch.objects.filter(answered).aggregate(ms=Sum("service_ms"))["ms"] or 0.0
    return service_ms / 1000 / regions if regions else 0.0
