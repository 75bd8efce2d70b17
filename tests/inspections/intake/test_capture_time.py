"""Capture times as text: whatever a sender writes, it is a time within the bounds or refused with a code."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspections.intake.captured import AHEAD, BadMoment, moment
from inspections.models.frame import EARLIEST_CAPTURE


@pytest.mark.parametrize(
    "text",
    ["yesterday", "2026-02-31T12:00:00+00:00", "A\ud83d", "2026-01-31T12:00:00+00:00\x00", "2026-01-31T12:00:00+99:99"],
)
def test_what_is_no_time_is_refused_with_words_that_can_be_sent(text: str) -> None:
    with pytest.raises(BadMoment) as refused:
        moment(text)
    assert refused.value.code == "bad_captured_at"
    assert refused.value.hint
    refused.value.detail.encode()


OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(timezones=OFFSETS).map(datetime.isoformat) | st.text(st.characters(), min_size=1))
def test_any_text_is_within_the_bounds_or_refused(text: str) -> None:
    try:
        found = moment(text)
    except BadMoment as refusal:
        refusal.detail.encode()
        return
    assert found is not None
    assert EARLIEST_CAPTURE <= found <= datetime.now(UTC) + AHEAD
