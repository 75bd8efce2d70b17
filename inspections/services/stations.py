"""Add a Station, and change how it inspects. What was decided under the old settings stays as it was decided."""

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction

from aivd_web.kernel.errors import Conflict, Unprocessable
from inspections.events import numbering
from inspections.models import ClassThreshold, DefectClass, Line, Station

from . import baselines

PLAIN = (
    "product", "bit_depth", "deadline_ms", "min_score", "context_ratio", "describe", "max_regions",
    "describe_within_ms", "ladder", "sure_regions", "admission",
)  # fmt: skip


def add(*, line: Line, name: str, product: str, by: str, bit_depth: str = "auto") -> Station:
    """A new camera position. Without a product it holds every frame. Raises Conflict where the name is taken."""
    try:
        with transaction.atomic():
            station = Station.objects.create(line=line, name=name, product=product, bit_depth=bit_depth)
            data = {"station": station.pk, "by": by}
            numbering.record(line_id=line.pk, type="station.added", data=data)
    except IntegrityError:
        raise Conflict(
            f"'{line.name}' has a station '{name}' already.", hint="Give the new station another name."
        ) from None
    return station


@transaction.atomic
def configure(
    *, station: Station, by: str, changes: Mapping[str, Any], thresholds: Mapping[int, float] | None = None
) -> Station:
    """Set the given fields; `thresholds` (DefectClass id -> score), if given, replace all of the station's own."""
    names = [name for name in PLAIN if name in changes]
    another_product = "product" in names and changes["product"] != station.product
    for name in names:
        setattr(station, name, changes[name])
    station.save(update_fields=names)
    if thresholds is not None:
        _replace_thresholds(station, thresholds)
    if another_product:
        baselines.restart(station=station, by=by)
    data = {"station": station.pk, "changed": [*names, *(["thresholds"] if thresholds is not None else [])], "by": by}
    numbering.record(line_id=station.line_id, type="station.configured", data=data)
    return station


def _replace_thresholds(station: Station, thresholds: Mapping[int, float]) -> None:
    known = set(DefectClass.objects.filter(line_id=station.line_id).values_list("pk", flat=True))
    unknown = sorted(set(thresholds) - known)
    if unknown:
        raise Unprocessable(f"Defect class {unknown[0]} is not in this line's vocabulary.")
    ClassThreshold.objects.filter(station=station).delete()
    ClassThreshold.objects.bulk_create(
        ClassThreshold(station=station, defect_class_id=pk, min_score=score) for pk, score in thresholds.items()
    )
