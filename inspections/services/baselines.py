"""A Station's baseline: what its first frames looked like, when they vouch for others, and who confirmed them."""

from collections.abc import Sequence
from uuid import UUID

from django.db import transaction

from aivd_web.kernel.errors import Conflict
from inspections.events import numbering
from inspections.models import Frame, FrameAppearance, Station, StationBaseline
from scheduling.serving.appearance import BadReference, Reference, around, station_reference

FIRST_FRAMES = 100
FEWEST_CONFIRMED = 20
State = StationBaseline.State


def of(station: Station) -> StationBaseline:
    """The Station's baseline; one that still has to be stored where there is none."""
    return StationBaseline.objects.filter(station=station).first() or StationBaseline(station=station)


def reference_of(baseline: StationBaseline) -> Reference | None:
    """What other frames are compared with, or None while the baseline vouches for nothing."""
    if baseline.state not in StationBaseline.VOUCHING:
        return None
    try:
        return Reference.from_json(baseline.reference)
    except BadReference:
        return None


def described(baseline: StationBaseline) -> dict[str, object]:
    """The baseline as people and clients read it."""
    reference = reference_of(baseline)
    return {
        "state": baseline.state,
        "collected": len(_first(baseline)),
        "wanted": FIRST_FRAMES,
        "limit": None if reference is None else reference.limit,
        "confirmed_by": baseline.confirmed_by,
    }


def first_frames(baseline: StationBaseline) -> list[UUID]:
    """The frames that were collected, as they came: what a person looks at before confirming."""
    return [one.frame_id for one in _first(baseline)]


def gather(*, station_id: int) -> None:
    """Establish the baseline as soon as there are enough first frames. Can run twice."""
    with transaction.atomic():
        StationBaseline.objects.get_or_create(station_id=station_id)
        baseline = StationBaseline.objects.select_for_update(no_key=True).get(station_id=station_id)
        if baseline.state != State.COLLECTING:
            return
        first = _first(baseline)
        if len(first) < FIRST_FRAMES:
            return
        like = [
            one.model_distance is not None and one.model_limit is not None and one.model_distance <= one.model_limit
            for one in first
        ]
        try:
            reference = station_reference([one.statistics for one in first], like)
        except BadReference:
            reference = None
        baseline.state = State.WAITING if reference is None else State.ESTABLISHED
        baseline.reference = {} if reference is None else reference.as_json()
        baseline.save()
        _tell(baseline, by="")


@transaction.atomic
def confirm(*, station: Station, by: str) -> StationBaseline:
    """A person says that the frames since the start of the collection show the right product. Held ones stay held.

    Raises Conflict where there are too few of them, or where they were measured in different ways.
    """
    StationBaseline.objects.get_or_create(station=station)
    baseline = StationBaseline.objects.select_for_update(no_key=True).get(station=station)
    first = _first(baseline)
    if len(first) < FEWEST_CONFIRMED:
        raise Conflict(
            f"Only {len(first)} frames were measured since the collection began.",
            hint=f"Send at least {FEWEST_CONFIRMED} frames of good and bad parts, look at them, then confirm.",
        )
    try:
        reference = around([one.statistics for one in first])
    except BadReference as error:
        raise Conflict(f"These frames cannot be compared: {error}", hint="Begin the collection again.") from None
    baseline.state, baseline.confirmed_by, baseline.reference = State.CONFIRMED, by, reference.as_json()
    baseline.save()
    _tell(baseline, by=by)
    return baseline


@transaction.atomic
def restart(*, station: Station, by: str) -> StationBaseline:
    """Forget what the Station looked like, and collect from the next frame on: another product, camera or light."""
    StationBaseline.objects.get_or_create(station=station)
    baseline = StationBaseline.objects.select_for_update(no_key=True).get(station=station)
    newest: UUID | None = Frame.objects.filter(station=station).order_by("-id").values_list("id", flat=True).first()
    baseline.state, baseline.confirmed_by, baseline.reference = State.COLLECTING, "", {}
    baseline.after_frame = newest
    baseline.save()
    _tell(baseline, by=by)
    return baseline


def _first(baseline: StationBaseline) -> Sequence[FrameAppearance]:
    measured = FrameAppearance.objects.filter(frame__station_id=baseline.station_id).exclude(statistics={})
    if baseline.after_frame is not None:
        measured = measured.filter(frame_id__gt=baseline.after_frame)
    return list(measured.order_by("frame_id")[:FIRST_FRAMES])


def _tell(baseline: StationBaseline, *, by: str) -> None:
    data = {"station": baseline.station_id, "state": str(baseline.state), "by": by}
    numbering.record(line_id=baseline.station.line_id, type="station.baseline", data=data)
