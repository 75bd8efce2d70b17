"""What a Station's own first hundred frames look like, and whether a frame is like anything that is known.

A detector answers for any picture, and with confidence. Two distances tell whether its answer may be believed: from
the model's training pictures, and from the Station's first frames once there are a hundred of them. Until then the
model's alone counts. A Station gets its baseline by itself only where most of its first frames are near the model's
training pictures; otherwise it is a person who says that these frames show the part.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from aivd_web.kernel.errors import Conflict
from inspections.models import Frame, FrameAppearance, Station
from scheduling.serving.appearance import BadReference, Reference, station_reference
from scheduling.serving.contracts import Appearance

from . import events

FIRST_FRAMES = 100
NEAR_SHARE = 0.5
FAR = 2.5
"""So many times the model's limit is unlike it whatever a station's baseline says: no board of the training split of
DeepPCB lies there, while the models were trained on generated boards alone."""


def _said(pair: tuple[float, float]) -> str:
    return f"distance {pair[0]:.1f}, at most {pair[1]:.1f} is like them"


@dataclass(frozen=True)
class Likeness:
    """Distances with their limits; `reason` is empty where the frame is like something known, or cannot be compared."""

    model: tuple[float, float] | None
    station: tuple[float, float] | None

    @property
    def reason(self) -> str:
        if self.model is not None and self.model[0] > FAR * self.model[1]:
            return f"It looks like none of the model's training pictures: {_said(self.model)}."
        if self.station is not None:
            far = self.station[0] > self.station[1]
            return f"It looks like none of this camera's first frames: {_said(self.station)}." if far else ""
        if self.model is not None and self.model[0] > self.model[1]:
            return f"It looks like none of the model's training pictures: {_said(self.model)}."
        return ""


def likeness(*, station: Station, appearance: Appearance | None) -> Likeness:
    """How near the frame is to the model's training pictures and to the station's first frames."""
    if appearance is None:
        return Likeness(None, None)
    model = None
    if appearance.distance is not None and appearance.limit is not None:
        model = (appearance.distance, appearance.limit)
    baseline = _baseline(station)
    distance = baseline.distance(appearance.statistics) if baseline is not None else None
    return Likeness(model, (distance, baseline.limit) if baseline is not None and distance is not None else None)


def note(*, frame: Frame, appearance: Appearance | None, found: Likeness) -> list[events.Change]:
    """Keep the numbers with the frame, in the current transaction; a hundred of them make the baseline.

    Returns what the line is to be told of that.
    """
    if appearance is None:
        return []
    FrameAppearance.objects.get_or_create(
        frame=frame,
        defaults={
            "station_id": frame.station_id,
            "statistics": dict(appearance.statistics),
            "model_distance": found.model and found.model[0],
            "model_limit": found.model and found.model[1],
            "station_distance": found.station and found.station[0],
            "station_limit": found.station and found.station[1],
        },
    )
    made = frame.station.baseline is None and _establish(frame.station)
    return [_change(frame.station, "AIVD")] if made else []


@transaction.atomic
def confirm(*, station: Station, by: str) -> Station:
    """A person says that the latest hundred frames show the part as it should look. Raises Conflict for too few."""
    rows = list(_since_begun(station).order_by("-frame_id")[:FIRST_FRAMES])
    if len(rows) < FIRST_FRAMES:
        raise Conflict(
            f"This camera has {len(rows)} frames to learn from, and {FIRST_FRAMES} are needed.",
            hint="Send more frames of good and bad parts, then confirm again.",
        )
    if not _keep(station, rows):
        raise Conflict("These frames were measured in different ways.", hint="Begin anew, and send a hundred frames.")
    events.record_all(line_id=station.line_id, changes=[_change(station, by)])
    return station


@transaction.atomic
def begin_anew(*, station: Station, by: str) -> Station:
    """Forget the baseline: the next hundred frames make another one. For a camera that was moved, or new light."""
    newest = Frame.objects.filter(station=station).order_by("-id").values_list("pk", flat=True).first()
    station.baseline, station.baseline_from = None, newest
    station.save(update_fields=["baseline", "baseline_from"])
    events.record_all(line_id=station.line_id, changes=[_change(station, by)])
    return station


def progress(station: Station) -> int:
    """How many of the first hundred frames are there."""
    if station.baseline is not None:
        return FIRST_FRAMES
    return min(FIRST_FRAMES, _since_begun(station)[:FIRST_FRAMES].count())


def _establish(station: Station) -> bool:
    rows = list(_since_begun(station).order_by("frame_id")[:FIRST_FRAMES])
    if len(rows) < FIRST_FRAMES:
        return False
    compared = [row for row in rows if row.model_distance is not None and row.model_limit is not None]
    near = [row for row in compared if row.model_distance <= row.model_limit]  # type: ignore[operator]
    if compared and len(near) < NEAR_SHARE * len(compared):
        return False  # most of them look like nothing that the model knows: a person must say what they are
    vouching = [row for row in rows if row.model_distance is None or row.model_distance <= FAR * (row.model_limit or 0)]
    return _keep(station, vouching)


def _keep(station: Station, rows: Sequence[FrameAppearance]) -> bool:
    reference = station_reference([row.statistics for row in rows])
    if reference is None:
        return False
    station.baseline = reference.as_json()
    # Another worker may have come to the same hundred frames; then both write the same.
    Station.objects.filter(pk=station.pk).update(baseline=station.baseline)
    return True


def _change(station: Station, by: str) -> events.Change:
    return events.Change("station.configured", None, {"station": station.pk, "changed": ["baseline"], "by": by})


def _since_begun(station: Station) -> QuerySet[FrameAppearance]:
    rows = FrameAppearance.objects.filter(station=station)
    begun: UUID | None = station.baseline_from
    return rows if begun is None else rows.filter(frame_id__gt=begun)


def _baseline(station: Station) -> Reference | None:
    if station.baseline is None:
        return None
    try:
        return Reference.from_json(station.baseline)
    except BadReference:
        return None  # written by a version that measured otherwise: the model's distance counts alone
