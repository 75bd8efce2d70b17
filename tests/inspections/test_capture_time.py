"""Capture times: what a device's clock may say, and that nothing else gets past the door."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspections.services.capture_time import AHEAD, EARLIEST, BadMoment, captured_at


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31T12:00:00.5+01:00", datetime(2026, 1, 31, 11, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("1990-01-01T00:00:00+00:00", EARLIEST),
    ],
)
def test_a_time_with_its_offset_is_read_in_utc(text: str, moment: datetime) -> None:
    assert captured_at(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-01-31T12:00:00",
        "2026-02-31T12:00:00+00:00",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-05:00",
        "1970-01-01T00:00:00Z",
        "1989-12-31T23:59:59Z",
        "A\ud83d",
        "2026-01-31T12:00:00+00:00\x00",
        "2026-01-31T12:00:00+99:99",
    ],
)
def test_what_is_no_time_of_a_picture_is_refused_with_a_code(text: str) -> None:
    with pytest.raises(BadMoment) as refused:
        captured_at(text)
    assert refused.value.code == "bad_captured_at"
    assert refused.value.hint
    refused.value.detail.encode()


OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(timezones=OFFSETS))
def test_any_date_is_within_the_bounds_or_refused(moment: datetime) -> None:
    try:
        found = captured_at(moment.isoformat())
    except BadMoment:
        return
    assert EARLIEST <= found <= datetime.now(UTC) + AHEAD
    assert found == moment
