"""The edge is sure of what the reviews of its own line prove, and no longer when they speak against it."""

from typing import Any

import pytest

from inspections.models import Detection, Mark, Review, Station, Sureness
from inspections.services import sureness
from scheduling.policy import cloudskip
from tests.cast import Cast, detector, frame_row

pytestmark = [pytest.mark.stack, pytest.mark.django_db]
ENOUGH = cloudskip.fewest(sureness.EPSILON, sureness.DELTA / 2)


def reviewed(cast: Cast, regions: int, *, right: bool = True, part: str = "defective", station: Any = None) -> None:
    """Frames of at most 100 regions with rising scores from 0.5 on, each marked with its class or with another."""
    classes = list(cast.classes.values())
    for first in range(0, regions, 100):
        frame = frame_row(station or cast.station)
        detections = [
            Detection(
                frame=frame, index=n, defect_class=classes[0], x1=1, y1=1, x2=9, y2=9,
                score=0.5 + 0.4 * n / 100, counts=True, served_model=detector(), node="edge-1",
            )
            for n in range(min(100, regions - first))
        ]  # fmt: skip
        Detection.objects.bulk_create(detections)
        review = Review.objects.create(frame=frame, reviewer=cast.bob, verdict="accept", part=part)
        if part == "defective":
            told = classes[0] if right else classes[1]
            Mark.objects.bulk_create(
                Mark(review=review, detection=d, defect_class=told, x1=1, y1=1, x2=9, y2=9, from_model=right)
                for d in detections
            )


def asks(cast: Cast, sure_regions: str = "skipped") -> None:
    Station.objects.filter(pk=cast.station.pk).update(sure_regions=sure_regions)
    cast.station.refresh_from_db()


def test_a_line_without_a_station_that_asks_proves_nothing(cast: Cast) -> None:
    reviewed(cast, ENOUGH)

    assert sureness.review(line_id=cast.line.pk) is None
    assert not Sureness.objects.exists()


def test_enough_right_regions_prove_a_score_and_too_few_none(cast: Cast) -> None:
    asks(cast)
    reviewed(cast, ENOUGH - 100)
    few = sureness.review(line_id=cast.line.pk)
    assert few is not None
    assert (few.threshold, few.rounds) == (None, 0)

    reviewed(cast, 100)
    row = sureness.review(line_id=cast.line.pk)
    assert row is not None
    assert row.threshold == pytest.approx(0.5)
    assert (row.judged, row.wrong, row.rounds) == (ENOUGH, 0, 1)
    assert row.upper_bound <= sureness.EPSILON
    assert sureness.threshold_of(cast.station, detector().pk) == row.threshold
    assert sureness.threshold_of(cast.second_station, detector().pk) is None  # it does not ask
    assert sureness.threshold_of(cast.station, detector().pk + 1) is None  # another model's scores


@pytest.mark.parametrize("how", [{"right": False}, {"part": "good"}])
def test_regions_that_people_named_otherwise_or_dismissed_prove_nothing(cast: Cast, how: dict[str, Any]) -> None:
    asks(cast)
    reviewed(cast, ENOUGH, **how)
    row = sureness.review(line_id=cast.line.pk)

    assert row is not None
    assert (row.threshold, row.judged) == (None, ENOUGH)


def test_what_another_line_says_counts_for_nothing(cast: Cast) -> None:
    asks(cast)
    reviewed(cast, ENOUGH, station=cast.other_station)
    row = sureness.review(line_id=cast.line.pk)

    assert row is not None
    assert row.threshold is None


def test_the_audit_takes_the_bound_back_when_reviews_disprove_it(cast: Cast) -> None:
    asks(cast)
    reviewed(cast, ENOUGH)
    sureness.review(line_id=cast.line.pk)
    reviewed(cast, 20, right=False)
    row = sureness.review(line_id=cast.line.pk)

    assert row is not None
    assert (row.threshold, row.disproved, row.audited, row.audited_wrong) == (None, True, 20, 20)
    assert sureness.threshold_of(cast.station, detector().pk) is None


def test_a_few_errors_that_the_bound_allows_leave_it(cast: Cast) -> None:
    asks(cast)
    reviewed(cast, ENOUGH)
    sureness.review(line_id=cast.line.pk)
    reviewed(cast, 300)
    reviewed(cast, 1, right=False)
    row = sureness.review(line_id=cast.line.pk)

    assert row is not None
    assert (row.threshold is None, row.audited, row.audited_wrong) == (False, 301, 1)
