"""What lower quality saved, told to those who may see the station; and the settings that allow it."""

from typing import Any

import pytest

from inspections.models import Frame, Station
from scheduling.services import fleet
from tests.cast import Cast, add_dispatch, frame_row, picture

pytestmark = [pytest.mark.stack, pytest.mark.django_db]


def test_the_ladders_bytes_are_those_of_ones_own_stations(cast: Cast, as_person: Any) -> None:
    add_dispatch(frame_row(cast.station), quality="JPEG 75", full_bytes=100_000, payload_bytes=40_000)
    add_dispatch(frame_row(cast.station), quality="JPEG 50", full_bytes=100_000, payload_bytes=25_000)
    add_dispatch(frame_row(cast.station), full_bytes=100_000, payload_bytes=100_000)
    add_dispatch(frame_row(cast.other_station), quality="JPEG 50", full_bytes=100_000, payload_bytes=1)

    told = as_person(cast.vera).get("/api/v1/savings").json()

    assert told["ladder"] == {"requests": 2, "bytes": 135_000, "by_quality": {"JPEG 50": 1, "JPEG 75": 1}}
    assert told["skipped"] == {"regions": 0, "bytes": 0, "tokens": 0, "seconds": 0.0}
    assert as_person(cast.norah).get("/api/v1/savings").json()["ladder"]["requests"] == 0


def test_crops_count_by_what_was_sent_because_nobody_made_them_as_they_are(cast: Cast, as_person: Any) -> None:
    """What was foreseen of a crop is a guess: one that weighs more than that must not take away what a frame saved."""
    frame: dict[str, Any] = {"quality": "JPEG 75", "full_bytes": 100_000, "payload_bytes": 40_000}
    crops: dict[str, Any] = {"quality": "JPEG 75", "model": "describer", "full_bytes": 12_000, "payload_bytes": 31_000}
    add_dispatch(frame_row(cast.station), **frame)
    add_dispatch(frame_row(cast.station), **crops)

    told = as_person(cast.vera).get("/api/v1/savings").json()["ladder"]

    assert told == {"requests": 2, "bytes": 60_000 + 19_000, "by_quality": {"JPEG 75": 2}}


def test_an_engineer_allows_it_and_a_viewer_may_not(cast: Cast, as_person: Any) -> None:
    url, change = f"/api/v1/stations/{cast.station.pk}", {"ladder": True, "sure_regions": "later"}
    assert as_person(cast.vera).patch(url, change, format="json").status_code == 403

    told = as_person(cast.alice).patch(url, {**change, "describe_within_ms": 2_000}, format="json").json()

    assert (told["ladder"], told["sure_regions"], told["describe_within_ms"]) == (True, "later", 2_000)
    assert as_person(cast.alice).patch(url, {"sure_regions": "never"}, format="json").status_code == 400


def test_a_sender_to_a_station_that_asks_for_it_hears_429_with_retry_after(
    cast: Cast, as_person: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = {"at": 1.0, "nodes": {}, "curves": {"edge_detector": [[0, 8.2], [4, 12.0]]}}
    monkeypatch.setattr(fleet, "worker_views", lambda: [view])
    Station.objects.filter(pk=cast.station.pk).update(admission=True, deadline_ms=1_000)
    url = f"/api/v1/stations/{cast.station.pk}/frames"

    answer = as_person(cast.alice).post(url, picture(), content_type="image/jpeg")

    assert (answer.status_code, answer["Retry-After"]) == (429, "8")
    assert answer.json()["code"] == "overloaded"
    assert not Frame.objects.exists()
