"""Which frames a person looks through, and how many of each kind there are. Knows nothing of who may see them."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.fields.json import KT

from aivd_web.kernel.ids import first_at
from inspections.models import DefectClass, Description, Detection, Frame, Review, Station
from inspections.querysets import FrameQuerySet
from scheduling.models import ServedModel

MOST_COUNTED = 10_000
NONE = "none"


@dataclass(frozen=True)
class FrameFilter:
    """Each field narrows the list; None leaves it as it is. Those of a region must hold for one and the same region."""

    line: int | None = None
    station: int | None = None
    decision: str | None = None
    verdict: str | None = None
    defect_class: int | None = None
    model: int | None = None
    min_score: float | None = None
    max_score: float | None = None
    disagreement: bool | None = None
    part: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: UUID | None = None


def narrowed(frames: FrameQuerySet, wanted: FrameFilter) -> FrameQuerySet:
    """The frames that `wanted` means."""
    frames = frames.filter(_plainly(wanted))
    if wanted.verdict is not None:
        frames = frames.alias(newest_verdict=_newest_verdict())
        is_none = wanted.verdict == NONE
        frames = frames.filter(**({"newest_verdict__isnull": True} if is_none else {"newest_verdict": wanted.verdict}))
    if (region := _region(wanted)) is not None:
        frames = frames.filter(Exists(region))
    if wanted.disagreement is not None:
        disagrees = Exists(disagreements())
        frames = frames.filter(disagrees if wanted.disagreement else ~disagrees)
    return frames


def disagreements() -> "QuerySet[Description]":
    """Of one frame: descriptions that name another class than the detector did, on a region that counts."""
    described = Description.objects.filter(detection__frame=OuterRef("pk"), detection__counts=True, valid=True)
    named = described.annotate(named=KT("answer__defect_class")).filter(named__isnull=False)
    return named.exclude(named=F("detection__defect_class__name"))


def _plainly(wanted: FrameFilter) -> Q:
    found = Q()
    columns = {
        "line_id": wanted.line,
        "station_id": wanted.station,
        "id__lt": wanted.before,
        "decision__outcome": None if wanted.decision == NONE else wanted.decision,
    }
    for column, value in columns.items():
        found &= Q() if value is None else Q(**{column: value})
    if wanted.decision == NONE:
        found &= Q(decision__isnull=True)
    if wanted.since is not None:
        found &= Q(id__gte=first_at(wanted.since))
    if wanted.until is not None:
        found &= Q(id__lt=first_at(wanted.until))
    if wanted.part is not None:
        found &= Q(inspection__part_id__icontains=wanted.part) | Q(name__icontains=wanted.part)
    return found


def _region(wanted: FrameFilter) -> "QuerySet[Detection] | None":
    """Without a score, only regions that count are meant: a proposal of 5 % is on nearly every frame."""
    scores = {"score__gte": wanted.min_score, "score__lte": wanted.max_score}
    meant = {name: value for name, value in scores.items() if value is not None}
    if not meant and wanted.defect_class is None and wanted.model is None:
        return None
    region = Detection.objects.filter(frame=OuterRef("pk"), **(meant or {"counts": True}))
    if wanted.defect_class is not None:
        region = region.filter(defect_class=wanted.defect_class)
    if wanted.model is not None:
        region = region.filter(Q(served_model=wanted.model) | Q(description__served_model=wanted.model))
    return region


def _newest_verdict() -> Subquery:
    return Subquery(Review.objects.filter(frame=OuterRef("pk")).order_by("-id").values("verdict")[:1])


def counts(frames: FrameQuerySet, wanted: FrameFilter) -> dict[str, Any]:
    """How many frames there are of each kind: what each choice of a filter would show with the others as they are.

    Only the newest MOST_COUNTED of each are counted, so that the answer takes no longer on a site with years of frames.
    """
    total = _newest(frames, wanted).count()
    return {
        "total": total,
        "capped": total == MOST_COUNTED,
        "disagreements": _newest(frames, replace(wanted, disagreement=True)).count(),
        "decisions": _outcomes(_newest(frames, replace(wanted, decision=None))),
        "verdicts": _verdicts(_newest(frames, replace(wanted, verdict=None))),
        "stations": _stations(_newest(frames, replace(wanted, station=None))),
        "classes": _classes(_newest(frames, replace(wanted, defect_class=None))),
        "models": _models(_newest(frames, replace(wanted, model=None))),
    }


def _newest(frames: FrameQuerySet, wanted: FrameFilter) -> FrameQuerySet:
    newest = narrowed(frames, wanted).order_by("-id").values("pk")[:MOST_COUNTED]
    return Frame.objects.filter(pk__in=newest).order_by()


def _outcomes(frames: FrameQuerySet) -> dict[str, int]:
    rows = frames.values_list("decision__outcome").annotate(count=Count("pk"))
    return {outcome or NONE: count for outcome, count in rows}


def _verdicts(frames: FrameQuerySet) -> dict[str, int]:
    rows = frames.annotate(newest=_newest_verdict()).values_list("newest").annotate(count=Count("pk"))
    return {verdict or NONE: count for verdict, count in rows}


def _stations(frames: FrameQuerySet) -> list[dict[str, Any]]:
    found = dict(frames.values_list("station").annotate(count=Count("pk")))
    names = Station.objects.filter(pk__in=found).values("id", "name").order_by("name", "id")
    return [row | {"count": found[row["id"]]} for row in names]


def _classes(frames: FrameQuerySet) -> list[dict[str, Any]]:
    regions = Detection.objects.filter(frame__in=frames, counts=True)
    found = dict(regions.values_list("defect_class").annotate(count=Count("frame", distinct=True)).order_by())
    names = DefectClass.objects.filter(pk__in=found).order_by("line", "position", "id")
    return [row | {"count": found[row["id"]]} for row in names.values("id", "name", "title", "colour_index")]


def _models(frames: FrameQuerySet) -> list[dict[str, Any]]:
    """A frame counts for its detector and for its describer."""
    regions = Detection.objects.filter(frame__in=frames, counts=True).order_by()
    detectors = regions.values_list("served_model").annotate(count=Count("frame", distinct=True))
    described = regions.filter(description__isnull=False)
    describers = described.values_list("description__served_model").annotate(count=Count("frame", distinct=True))
    found = dict([*detectors, *describers])
    names = ServedModel.objects.filter(pk__in=found).values("id", "kind", "name", "version")
    return [row | {"count": found[row["id"]]} for row in names]
