"""What nobody can vouch for is held: another product, a frame unlike anything known, a region that lies nowhere."""

from dataclasses import replace
from typing import Any
from unittest.mock import ANY

import numpy as np
import pytest
from django.utils import timezone

from inspections.models import Decision, Detection, Event, Frame, FrameAppearance, Station, StationBaseline, Step
from inspections.services import baselines, stations
from scheduling.serving.appearance import STATISTICS
from scheduling.serving.contracts import Appearance, DetectMeta
from tests.cast import Cast, add_frame, frame_row
from tests.inspections.fake_nodes import LIKE_TRAINING
from tests.inspections.pipeline.test_findings import INF, NAN, claimed, detected, meta, region

pytestmark = [pytest.mark.stack, pytest.mark.django_db(transaction=True)]
BOARDS = ("bare-pcb",)


def said(
    *, products: tuple[str, ...] = BOARDS, appearance: Appearance | None = LIKE_TRAINING, **more: Any
) -> DetectMeta:
    return replace(meta(products, appearance), **more)


def look(middle: float = 0.5, *, distance: float | None = 9.0, seed: int = 0) -> Appearance:
    """Statistics around `middle`, and how far from the training pictures, whose limit is 2."""
    values = middle + np.random.default_rng(seed).normal(0, 0.02, len(STATISTICS))
    limit = None if distance is None else 2.0
    return Appearance(dict(zip(STATISTICS, map(float, values), strict=True)), distance, limit)


def decided(station: Station, told: DetectMeta, *regions: Any, seed: int = 0) -> Decision:
    frame = add_frame(station, seed)
    detected(frame, claimed(frame), *regions, told=told)
    return Decision.objects.get(frame=frame)


def first_frames(station: Station, count: int, *, middle: float = 0.5, distance: float | None = 1.0) -> None:
    """Rows of frames that were measured, without the pictures."""
    for seed in range(count):
        one = look(middle, distance=distance, seed=seed)
        FrameAppearance.objects.create(
            frame=frame_row(station, decided_at=timezone.now()),
            statistics=one.statistics,
            model_distance=one.distance,
            model_limit=one.limit,
        )


# -- product ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("score", [0.2, 0.9])
@pytest.mark.parametrize(
    ("product", "trained_for", "word"),
    [
        ("", BOARDS, "Nobody has said"),
        ("", (), "Nobody has said"),
        ("steel-strip", BOARDS, "trained for bare-pcb"),
        ("steel-strip", (), "does not say"),
        ("bare-pcb", (), "does not say"),
        ("bare-pcb", ("gear-wheel", "cog"), "trained for gear-wheel, cog"),
        ("Bare-PCB", BOARDS, "not trained for that"),
    ],
)
def test_a_model_for_another_product_decides_nothing(
    cast: Cast, product: str, trained_for: tuple[str, ...], word: str, score: float
) -> None:
    Station.objects.filter(pk=cast.station.pk).update(product=product)
    cast.station.refresh_from_db()
    decision = decided(cast.station, said(products=trained_for), region(score))
    assert (decision.outcome, decision.code) == ("hold", "product")
    assert word in decision.reason
    assert not Step.objects.filter(kind="describe").exists()
    assert Detection.objects.count() == 1


# -- unlike -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("score", [0.2, 0.99])
@pytest.mark.parametrize("appearance", [None, look(), look(distance=None), look(distance=2.01)])
def test_a_frame_unlike_anything_known_is_held_whatever_was_found(
    cast: Cast, appearance: Appearance | None, score: float
) -> None:
    decision = decided(cast.station, said(appearance=appearance), region(score))
    assert (decision.outcome, decision.code) == ("hold", "unlike")
    assert not Step.objects.filter(kind="describe").exists()
    assert Frame.objects.get().completed_at


def test_the_reason_has_the_numbers(cast: Cast) -> None:
    decision = decided(cast.station, said(appearance=look(distance=7.25)))
    assert "7.2 from the model's training pictures, where up to 2.0 is usual" in decision.reason
    row = FrameAppearance.objects.get()
    assert (row.model_distance, row.model_limit, row.station_distance) == (7.25, 2.0, None)


@pytest.mark.parametrize("distance", [0.0, 1.0, 2.0])
def test_a_frame_like_the_training_is_decided(cast: Cast, distance: float) -> None:
    assert decided(cast.station, said(appearance=look(distance=distance))).outcome == "pass"


def test_the_hundredth_frame_establishes_the_baseline_and_it_vouches(cast: Cast) -> None:
    first_frames(cast.station, 99)
    assert decided(cast.station, said(appearance=look(distance=1.0, seed=1000)), seed=1).outcome == "pass"
    assert StationBaseline.objects.get().state == "established"
    far_from_training = said(appearance=look(distance=9.0, seed=1001))
    assert decided(cast.station, far_from_training, seed=2).outcome == "pass"
    decision = decided(cast.station, said(appearance=look(0.9, distance=9.0)), seed=3)
    assert (decision.outcome, decision.code) == ("hold", "unlike")
    assert "from this station's first frames" in decision.reason


def test_a_station_that_saw_steel_first_goes_on_holding(cast: Cast) -> None:
    first_frames(cast.station, 100, distance=9.0)
    baselines.gather(station_id=cast.station.pk)
    assert StationBaseline.objects.get().state == "waiting"
    decision = decided(cast.station, said(appearance=look(distance=9.0, seed=5)))
    assert decision.code == "unlike"
    assert "confirm them" in decision.reason


def test_other_stations_frames_vouch_for_nothing_here(cast: Cast) -> None:
    first_frames(cast.station, 100)
    baselines.gather(station_id=cast.station.pk)
    assert decided(cast.second_station, said(appearance=look(distance=9.0, seed=5))).code == "unlike"


def test_an_engineer_confirms_what_the_station_sees_and_what_was_held_stays_held(cast: Cast) -> None:
    held = decided(cast.station, said(appearance=look(distance=None, seed=500)))
    first_frames(cast.station, 30, distance=None)
    baselines.confirm(station=cast.station, by="alice")
    assert decided(cast.station, said(appearance=look(distance=None, seed=501)), seed=1).outcome == "pass"
    held.refresh_from_db()
    assert (held.outcome, held.code) == ("hold", "unlike")
    assert Event.objects.filter(type="station.baseline", data__by="alice", data__state="confirmed").exists()


def test_too_few_frames_cannot_be_confirmed(cast: Cast) -> None:
    first_frames(cast.station, 19)
    with pytest.raises(Exception, match="Only 19 frames"):
        baselines.confirm(station=cast.station, by="alice")


def test_another_product_begins_the_collection_again(cast: Cast) -> None:
    first_frames(cast.station, 100)
    baselines.gather(station_id=cast.station.pk)
    stations.configure(station=cast.station, by="alice", changes={"product": "bare-pcb"})
    assert StationBaseline.objects.get().state == "established"
    stations.configure(station=cast.station, by="alice", changes={"product": "gear-wheel"})
    stations.configure(station=cast.station, by="alice", changes={"product": "bare-pcb"})
    assert baselines.described(baselines.of(cast.station))["collected"] == 0
    assert decided(cast.station, said(appearance=look(distance=9.0, seed=5))).code == "unlike"


def test_gathering_twice_changes_nothing(cast: Cast) -> None:
    first_frames(cast.station, 100)
    for _ in range(2):
        baselines.gather(station_id=cast.station.pk)
    assert Event.objects.filter(type="station.baseline").count() == 1


@pytest.mark.parametrize("spoiled", [{}, {"frames": []}, {"limit": "x"}, {"statistics": ["contrast"]}])
def test_a_baseline_that_cannot_be_read_vouches_for_nothing(cast: Cast, spoiled: dict[str, Any]) -> None:
    StationBaseline.objects.create(station=cast.station, state="established", reference=spoiled)
    assert decided(cast.station, said(appearance=look(distance=9.0))).code == "unlike"


# -- unplaced ---------------------------------------------------------------------------------------

NOWHERE = [
    (NAN, 0, 10, 10),
    (0, 0, INF, 10),
    (-INF, 0, 10, 10),
    (10, 10, 10, 20),
    (20, 20, 10, 10),
    (64, 0, 90, 20),
    (-30, 5, -1, 20),
    (5, 48, 20, 60),
    (1e9, 1e9, 2e9, 2e9),
    (5, -9, 20, 0),
]


@pytest.mark.parametrize("box", NOWHERE)
@pytest.mark.parametrize("score", [0.1, 0.9])
def test_a_region_that_lies_nowhere_holds_the_frame(cast: Cast, box: tuple[float, ...], score: float) -> None:
    decision = decided(cast.station, said(), region(score, box=box))
    assert (decision.outcome, decision.code) == ("hold", "unplaced")
    assert not Detection.objects.exists()


@pytest.mark.parametrize("score", [NAN, INF, -INF])
def test_a_score_that_is_no_number_holds_the_frame(cast: Cast, score: float) -> None:
    assert decided(cast.station, said(), region(score)).code == "unplaced"


@pytest.mark.parametrize("name", ["", " ", "x" * 61, "x" * 75, "a\nb", "a\x00b", " open"])
def test_a_class_that_cannot_be_stored_holds_the_frame(cast: Cast, name: str) -> None:
    decision = decided(cast.station, said(), region(0.9, name=name))
    assert (decision.outcome, decision.code) == ("hold", "unplaced")


@pytest.mark.parametrize("count", [1, 2, 500])
def test_what_the_node_could_not_place_holds_the_frame(cast: Cast, count: int) -> None:
    decision = decided(cast.station, said(unplaced=count), region(0.2))
    assert (decision.outcome, decision.code, decision.reason[:1]) == ("hold", "unplaced", str(count)[:1])


def test_a_region_that_counts_fails_the_frame_wherever_others_lie(cast: Cast) -> None:
    assert decided(cast.station, said(unplaced=3), region(0.9)).outcome == "fail"


# -- what people and clients see --------------------------------------------------------------------


def test_the_frame_tells_its_distances(cast: Cast, client: Any) -> None:
    decided(cast.station, said(appearance=look(distance=7.0)))
    client.force_login(cast.vera)
    frame = client.get(f"/api/v1/frames/{Frame.objects.get().pk}").json()
    assert frame["appearance"] == {
        "model_distance": 7.0,
        "model_limit": 2.0,
        "station_distance": None,
        "station_limit": None,
        "statistics": ANY,
    }


def test_an_engineer_confirms_by_rest(cast: Cast, client: Any) -> None:
    first_frames(cast.station, 30)
    client.force_login(cast.alice)
    path = f"/api/v1/stations/{cast.station.pk}/baseline"
    assert client.get(path).json() == {
        "state": "collecting", "collected": 30, "wanted": 100, "limit": None, "confirmed_by": "",
    }  # fmt: skip
    confirmed = client.post(path, {"action": "confirm"}, content_type="application/json").json()
    assert (confirmed["state"], confirmed["confirmed_by"]) == ("confirmed", "alice")
    assert confirmed["limit"] > 0
    again = client.post(path, {"action": "restart"}, content_type="application/json").json()
    assert (again["state"], again["collected"]) == ("collecting", 0)
    assert client.post(path, {"action": "confirm"}, content_type="application/json").status_code == 409
