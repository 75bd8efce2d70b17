"""A frame that looks like nothing known is held, whatever a detector says of it."""

from collections.abc import Callable

import numpy as np
import pytest
from django.utils import timezone

from aivd_web.kernel.errors import Conflict
from inspections.models import Decision, Frame, FrameAppearance, Station
from inspections.services import baselines, decide, findings, steps
from scheduling.serving.appearance import STATISTICS
from scheduling.serving.contracts import Appearance, DetectedRegion, DetectMeta, DetectTimings
from tests.cast import Cast, add_frame

pytestmark = [pytest.mark.stack, pytest.mark.django_db, pytest.mark.usefixtures("redis_server")]
LIMIT = 2.0
DEFECT = DetectedRegion((5.0, 5.0, 20.0, 20.0), 0.95, 0, "open")


def looks(seed: int, *, centre: float = 0.5, distance: float | None = 1.0) -> Appearance:
    """A frame whose statistics lie around `centre`, at `distance` from the model's training pictures."""
    values = np.random.default_rng(seed).normal(centre, 0.05, len(STATISTICS))
    numbers = {name: float(value) for name, value in zip(STATISTICS, values, strict=True)}
    return Appearance(numbers, distance, None if distance is None else LIMIT)


@pytest.fixture
def inspect(cast: Cast) -> Callable[..., Decision]:
    """Sends a frame, answers for the node, and returns the machine's Decision."""
    seeds = iter(range(10_000))

    def one(appearance: Appearance | None, *regions: DetectedRegion) -> Decision:
        frame = add_frame(Station.objects.get(pk=cast.station.pk), next(seeds))
        (claim,) = steps.claim(nodes={frame.steps.get().pk: "edge-1"}, owner="w", lease_s=30)
        meta = DetectMeta(
            *("m", "1", "d", "r"), ("open",), (64, 48), DetectTimings(0, 0, 0, 0, 0, 0, 1),
            products=("bare-pcb",), appearance=appearance,
        )  # fmt: skip
        findings.commit_detections(
            claim=claim, frame=frame, regions=regions, meta=meta, thresholds=decide.Thresholds(0.5, {}),
            spoke=findings.Spoke(_served_model(), "edge-1", 1.0, lambda: None), now=timezone.now(),
        )  # fmt: skip
        return Decision.objects.get(frame=frame)

    return one


def _served_model() -> int:
    from scheduling.models import ServedModel

    return ServedModel.objects.get_or_create(kind="detector", name="m", version="1", digest="d", runtime="r")[0].pk


@pytest.mark.parametrize("regions", [(), (DEFECT,)], ids=["clean", "confident defect"])
def test_unlike_the_models_training_pictures_is_hold_with_the_number(
    inspect: Callable[..., Decision], regions: tuple[DetectedRegion, ...]
) -> None:
    decision = inspect(looks(1, distance=3.1), *regions)
    assert (decision.outcome, decision.code) == ("hold", "unlike")
    assert decision.reason == (
        "It looks like none of the model's training pictures: distance 3.1, at most 2.0 is like them."
    )


def test_like_them_is_judged(inspect: Callable[..., Decision]) -> None:
    assert inspect(looks(1)).outcome == "pass"
    assert inspect(looks(2), DEFECT).outcome == "fail"


def test_a_node_that_measures_nothing_is_judged_as_before(inspect: Callable[..., Decision]) -> None:
    assert inspect(None).outcome == "pass"
    assert not FrameAppearance.objects.exists()


def filled(inspect: Callable[..., Decision], cast: Cast, count: int = 100, **how: float | None) -> Station:
    for seed in range(count):
        inspect(looks(seed, **how))  # type: ignore[arg-type]
    return Station.objects.get(pk=cast.station.pk)


def test_a_hundred_frames_near_the_training_pictures_become_the_baseline(
    inspect: Callable[..., Decision], cast: Cast
) -> None:
    assert filled(inspect, cast, 99).baseline is None
    inspect(looks(99))
    assert baselines.progress(Station.objects.get(pk=cast.station.pk)) == 100
    assert Station.objects.get(pk=cast.station.pk).baseline is not None

    near = inspect(looks(500, distance=3.0))  # beyond the model's limit, but as this camera's frames are
    assert near.outcome == "pass"
    far = inspect(looks(501, centre=0.9), DEFECT)
    assert (far.outcome, far.code) == ("hold", "unlike")
    assert "this camera's first frames" in far.reason
    kept = FrameAppearance.objects.get(frame=far.frame)
    assert kept.station_distance > kept.station_limit


def test_a_first_hundred_of_steel_becomes_no_baseline_until_a_person_says_so(
    inspect: Callable[..., Decision], cast: Cast
) -> None:
    station = filled(inspect, cast, distance=3.0)
    assert station.baseline is None
    assert inspect(looks(700, distance=3.0)).code == "unlike"

    baselines.confirm(station=station, by="alice")
    assert inspect(looks(701, distance=3.0)).outcome == "pass"
    assert Frame.objects.filter(decision__code="unlike").count() == 101, "what was held stays held"


def test_far_from_the_training_pictures_is_held_whatever_the_baseline_says(
    inspect: Callable[..., Decision], cast: Cast
) -> None:
    baselines.confirm(station=filled(inspect, cast), by="alice")
    assert inspect(looks(800, distance=LIMIT * baselines.FAR + 0.1)).code == "unlike"


def test_a_camera_that_was_moved_begins_anew(inspect: Callable[..., Decision], cast: Cast) -> None:
    station = baselines.begin_anew(station=filled(inspect, cast), by="alice")
    assert (station.baseline, baselines.progress(station)) == (None, 0)
    with pytest.raises(Conflict, match="0 frames to learn from"):
        baselines.confirm(station=station, by="alice")
