"""When a picture was taken: what a camera can mean is kept, what a device without a clock says is refused."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.utils import timezone as clock
from hypothesis import given
from hypothesis import strategies as st

from inspections.intake import captured, ingest
from inspections.models import Frame
from tests.cast import Cast, add_frame, picture, token_for

YEAR_1 = "0001-01-01T00:00:00+01:00"
YEAR_9999 = "9999-12-31T23:59:59-05:00"
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
OFFSETS = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
IMPOSSIBLE = (
    st.datetimes(datetime(1, 1, 1), datetime(1989, 12, 30)) | st.datetimes(datetime(2201, 1, 1), datetime.max)
).flatmap(lambda naive: OFFSETS.map(lambda offset: naive.replace(tzinfo=offset)))


@given(IMPOSSIBLE)
def test_a_time_of_no_camera_is_refused_with_a_code(when: datetime) -> None:
    with pytest.raises(captured.BadMoment) as refused:
        captured.moment(when.isoformat())
    assert (refused.value.code, refused.value.status) == ("bad_captured_at", 400)


@given(st.datetimes(datetime(1990, 1, 2), datetime(2026, 6, 1)), OFFSETS)
def test_a_time_that_a_camera_can_mean_is_kept(naive: datetime, offset: timezone) -> None:
    captured.check(naive.replace(tzinfo=offset), now=NOW + timedelta(days=1))


@pytest.mark.parametrize(("ahead", "kept"), [(timedelta(hours=23), True), (timedelta(hours=25), False)])
def test_a_camera_may_be_a_day_ahead(ahead: timedelta, kept: bool) -> None:
    if kept:
        captured.check(NOW + ahead, now=NOW)
        return
    with pytest.raises(captured.BadMoment):
        captured.check(NOW + ahead, now=NOW)


@pytest.mark.stack
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("when", [YEAR_1, YEAR_9999, "1970-01-01T00:00:00Z", "2400-01-01T00:00:00+00:00"])
def test_a_device_without_a_clock_is_told_so_and_stops_nobody(cast: Cast, client: Client, when: str) -> None:
    key = token_for(cast.line, "ingest", "read")
    headers: Any = {"authorization": f"Bearer {key}", "x-captured-at": when}
    sent = client.post(
        f"/api/v1/stations/{cast.station.pk}/frames", picture(), content_type="image/jpeg", headers=headers
    )
    assert (sent.status_code, sent.json()["code"]) == (400, "bad_captured_at")
    add_frame(cast.station, captured_at=clock.now())
    seen = client.get("/api/v1/frames", headers={"authorization": f"Bearer {key}"})
    assert (seen.status_code, len(seen.json()["frames"])) == (200, 1)


@pytest.mark.stack
@pytest.mark.django_db(transaction=True)
def test_no_other_door_lets_it_in(cast: Cast) -> None:
    """Neither a caller of the service, nor whoever writes to the table."""
    with pytest.raises(captured.BadMoment):
        ingest.add_frame(station=cast.station, data=picture(), sender="x", captured_at=datetime(1, 1, 1, tzinfo=UTC))
    frame = add_frame(cast.station)
    for when in ("0001-01-01 00:00:00 BC", "10000-01-01", "infinity", "1989-12-31", "2200-01-01"):
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("UPDATE inspections_frame SET captured_at = %s WHERE id = %s", [when, frame.pk])
    assert Frame.objects.get().captured_at is None
