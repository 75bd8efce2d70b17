"""How many frames were late in the last hour: of one's own lines, and of that hour."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from aivd_web.kernel.ids import first_at, uuid7
from inspections.models import Station
from inspections.pipeline import decide
from tests.cast import Cast, frame_row


def test_the_first_id_of_a_moment_is_not_above_those_made_in_it() -> None:
    before = datetime.now(UTC)
    made = [uuid7() for _ in range(100)]
    assert all(first_at(before) <= one for one in made)
    assert all(one < first_at(datetime.now(UTC) + timedelta(milliseconds=2)) for one in made)


@pytest.mark.stack
@pytest.mark.django_db
def test_only_frames_of_the_last_hour_on_ones_own_lines_count(cast: Cast, as_person: Any) -> None:
    now = timezone.now()

    def frame(station: Station, *, late: bool, minutes_ago: int = 1) -> None:
        row = frame_row(station, id=first_at(now - timedelta(minutes=minutes_ago)))
        decide.write(frame=row, decision=decide.too_late(100) if late else decide.by_detections([]), now=now)

    frame(cast.station, late=True)
    frame(cast.second_station, late=False, minutes_ago=59)
    frame(cast.station, late=True, minutes_ago=61)
    frame(cast.other_station, late=True, minutes_ago=2)
    assert as_person(cast.vera).get("/api/v1/lateness").json() == {"minutes": 60, "received": 2, "late": 1}
    assert as_person(cast.ada).get("/api/v1/lateness").json() == {"minutes": 60, "received": 3, "late": 2}
    assert as_person(cast.norah).get("/api/v1/lateness").json()["received"] == 0


@pytest.mark.stack
@pytest.mark.django_db
def test_one_policy_is_recommended(cast: Cast, as_person: Any) -> None:
    (row,) = as_person(cast.vera).get("/api/v1/line-policies").json()
    assert [each["name"] for each in row["available"] if each["recommended"]] == ["pct-lb"]
