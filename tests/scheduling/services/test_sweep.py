"""The sweep: attempts that nobody will book any more are closed; all others are left alone."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from scheduling.models import Dispatch, Node
from scheduling.services.dispatching import LONGEST_DISPATCH, book
from scheduling.services.sweep import sweep
from tests.inspections.fake_nodes import FakeNode, runtime_of
from tests.scheduling.services.test_dispatching import DETECT, placed

pytestmark = [pytest.mark.stack, pytest.mark.django_db]


def dispatch(outcome: str, *, age: timedelta) -> Dispatch:
    node, _ = Node.objects.get_or_create(name="edge-1", kind="edge", grpc_url="127.0.0.1:1")
    values: dict[str, Any] = {"subject": "a frame", "model": "edge_detector", "attempt": 1, "node": node}
    return Dispatch.objects.create(**values, policy="pct-lb", outcome=outcome, sent_at=timezone.now() - age)


@pytest.mark.parametrize(
    ("outcome", "age", "after"),
    [
        ("running", LONGEST_DISPATCH + timedelta(seconds=1), "late"),
        ("running", LONGEST_DISPATCH - timedelta(seconds=5), "running"),
        ("ok", LONGEST_DISPATCH * 10, "ok"),
        ("failed", LONGEST_DISPATCH * 10, "failed"),
    ],
)
def test_only_what_ran_longer_than_any_attempt_may_is_closed(outcome: str, age: timedelta, after: str) -> None:
    row = dispatch(outcome, age=age)
    sweep()
    row.refresh_from_db()
    assert row.outcome == after
    assert row.error_code == ("holder_lost" if after == "late" else "")


def test_an_answer_that_is_booked_after_all_wins() -> None:
    runtime = runtime_of(FakeNode("edge-1"))
    answered = runtime.carry_out(placed(runtime), DETECT)
    Dispatch.objects.update(sent_at=timezone.now() - LONGEST_DISPATCH * 2)
    assert sweep() == 1
    book(answered.provenance)
    assert Dispatch.objects.get().outcome == "ok"


def test_sweeping_twice_changes_nothing_more() -> None:
    dispatch("running", age=LONGEST_DISPATCH * 2)
    assert sweep() == 1
    assert sweep() == 0
