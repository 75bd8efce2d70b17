"""A row that the database holds and Python cannot read stops nobody: it is set aside, the others go on.

`received_at` stands for any column: year 10000 is a time for PostgreSQL and none for Python. The database's own clock
writes it, so only somebody with SQL can poison it.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import DataError, connection
from django.test import Client
from django.utils import timezone

from inspections.events import numbering
from inspections.models import Decision, Event, Frame, Step
from inspections.pipeline import findings, liveness, steps
from scheduling.models import Dispatch
from tests.cast import Cast, add_frame
from tests.inspections.fake_nodes import FakeNode
from tests.inspections.pipeline.test_worker import frames, working
from tests.services import Service

pytestmark = [
    pytest.mark.stack,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_server"),
]
UNREADABLE = ["10000-01-01 00:00+00", "294276-01-01 00:00+00", "0001-01-01 00:00 BC", "infinity", "-infinity"]


def poison(frame: Frame, when: str = UNREADABLE[0], column: str = "received_at") -> Frame:
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE inspections_frame SET {column} = %s WHERE id = %s", [when, frame.pk])
    return frame


def poison_step(frame: Frame, when: str, column: str) -> Frame:
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE inspections_step SET {column} = %s WHERE frame_id = %s", [when, frame.pk])
    return frame


def outcomes() -> dict[Any, str]:
    return dict(Decision.objects.values_list("frame_id", "code"))


@pytest.mark.parametrize("when", UNREADABLE)
def test_a_frame_that_cannot_be_read_is_held_and_the_others_are_decided(cast: Cast, when: str) -> None:
    good = frames(cast.station, 6)
    bad = poison(add_frame(cast.station, 100), when)
    other = add_frame(cast.other_station, 101)
    with working(FakeNode("edge-1")) as worker:
        worker.run_until_idle()
        assert not worker._held
        assert not worker.fleet.ledger.own["edge-1"]  # type: ignore[attr-defined]
    assert outcomes() == {frame.pk: "clean" for frame in (*good, other)} | {bad.pk: "failed"}
    step = Step.objects.defer("created_at").get(frame=bad.pk)
    assert (step.state, step.error_code) == ("failed", "bad_data")
    assert "DataError" in step.error_detail
    assert list(Event.objects.filter(frame_id=bad.pk).order_by("seq").values_list("type", flat=True)) == [
        "frame.added", "frame.failed", "frame.decided", "frame.complete",
    ]  # fmt: skip


@pytest.mark.parametrize("column", ["created_at", "deadline_at"])
@pytest.mark.parametrize("when", UNREADABLE)
def test_a_step_with_an_impossible_time_does_not_hide_the_queue(cast: Cast, when: str, column: str) -> None:
    poison_step(add_frame(cast.station, 100), when, column)
    frames(cast.station, 3)
    with working(FakeNode("edge-1")) as worker:
        worker.run_until_idle()
    assert set(outcomes().values()) == {"clean"}
    assert len(outcomes()) == 4


@pytest.mark.parametrize("when", UNREADABLE)
def test_late_frames_are_held_beside_one_that_cannot_be_read(cast: Cast, when: str) -> None:
    for seed, station in enumerate((cast.station, cast.station, cast.other_station)):
        add_frame(station, seed)
    Frame.objects.update(deadline_at=timezone.now() - timedelta(seconds=1))
    poison(Frame.objects.order_by("id")[0], when)
    assert steps.hold_overdue() == 3
    assert set(outcomes().values()) == {"late"}
    assert all(0 <= ms < 1e16 for ms in Decision.objects.values_list("latency_ms", flat=True))


def test_a_line_that_cannot_be_held_does_not_keep_the_others_waiting(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here the events of one line cannot be written, for one of its frames."""
    bad, good, other = (add_frame(s, n) for n, s in enumerate((cast.station, cast.station, cast.other_station)))
    Frame.objects.update(deadline_at=timezone.now() - timedelta(seconds=1))
    real = numbering.record_all

    def breaks(*, line_id: int, changes: Any) -> int:
        if any(change.frame_id == bad.pk for change in changes):
            raise DataError("no such value")
        return real(line_id=line_id, changes=changes)

    monkeypatch.setattr(numbering, "record_all", breaks)
    assert steps.hold_overdue() == 2
    assert outcomes() == {good.pk: "late", other.pk: "late"}


def test_lists_show_the_readable_rows(cast: Cast, client: Client) -> None:
    good = frames(cast.station, 4)
    poison(good[1])
    client.force_login(cast.vera)
    answer = client.get("/api/v1/frames?limit=2")
    assert answer.status_code == 200
    seen = [frame["id"] for frame in answer.json()["frames"]]
    rest = client.get(f"/api/v1/frames?before={answer.json()['next_before']}")
    seen += [frame["id"] for frame in rest.json()["frames"]]
    assert seen == [str(frame.pk) for frame in (good[3], good[2], good[0])]
    assert rest.json()["next_before"] is None
    alone = client.get(f"/api/v1/frames/{good[1].pk}")
    assert (alone.status_code, alone.json()["code"]) == (422, "unstorable")


@pytest.mark.parametrize(
    "name",
    ["o" * 75, "nul\x00", "half \ud83d", "x" * 10_000, "\x00", "\udfff" * 3, "\x00" * 61, "a\x00\ud83d" * 40],
    ids=lambda name: f"{len(name)} of {name[0]!a}",
)
def test_what_a_node_says_and_the_database_cannot_hold_ends_in_hold_at_once(cast: Cast, name: str) -> None:
    """A defect class of 75 letters, NUL, half a surrogate: no other worker could store it either."""
    node = FakeNode("edge-1", score=0.9)
    node.detect = _names(node.detect, name)  # type: ignore[method-assign]
    good, bad = add_frame(cast.other_station, 1), add_frame(cast.station, 2)
    Step.objects.filter(frame=good).update(state="done", finished_at=timezone.now())
    with working(node) as worker:
        worker.run_until_idle()
    step = Step.objects.get(frame=bad)
    assert (node.calls, step.state, step.attempts, step.error_code) == (1, "done", 1, "")
    assert outcomes() == {bad.pk: "unplaced"}
    assert Decision.objects.get().outcome == "hold"
    assert Frame.objects.get(pk=bad.pk).completed_at


def _names(detect: Callable[..., Any], name: str) -> Callable[..., Any]:
    def act(*args: Any, **more: Any) -> Any:
        answer = detect(*args, **more)
        return replace(answer, regions=tuple(replace(region, class_name=name) for region in answer.regions))

    return act


def test_what_a_node_complains_of_can_be_kept_whatever_it_says(cast: Cast) -> None:
    add_frame(cast.station)
    step = Step.objects.get()
    claim = steps.claim(nodes={step.pk: "edge-1"}, owner="w", lease_s=30)[0]
    steps.fail(claim=claim, code="bad_frame", detail="it said \x00 and \ud83d" + "!" * 5000)
    step.refresh_from_db()
    assert step.error_detail.startswith("it said \ufffd and ?")
    assert len(step.error_detail) == 1000


def test_a_database_that_is_away_is_not_taken_for_bad_data(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import OperationalError

    def away(*_: Any, **__: Any) -> None:
        raise OperationalError("server closed the connection unexpectedly")

    add_frame(cast.station)
    with working(FakeNode("edge-1")) as worker, monkeypatch.context() as patch:
        patch.setattr(findings, "commit_detections", away)
        worker.run_until_idle()
    step = Step.objects.get()
    assert (step.state, step.error_code) == ("running", "")
    assert not Decision.objects.exists()


def test_a_dispatch_that_cannot_be_written_sets_its_own_step_aside(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    good = frames(cast.station, 3)
    bad = add_frame(cast.station, 9)
    with working(FakeNode("edge-1")) as worker:
        real = worker.fleet.rows_of_attempts.row

        def row(assignment: Any, *more: Any) -> Dispatch:
            made = real(assignment, *more)
            if assignment.request.subject == str(bad.pk):
                made.reason = "\x00"
            return made

        monkeypatch.setattr(worker.fleet.rows_of_attempts, "row", row)
        worker.run_until_idle()
    assert outcomes() == {frame.pk: "clean" for frame in good} | {bad.pk: "failed"}


def test_the_queue_is_looked_at_also_where_a_row_cannot_be_read(cast: Cast, redis_server: Service) -> None:
    poison_step(add_frame(cast.station), "-infinity", "created_at")
    poison(add_frame(cast.station, 2), "-infinity", "deadline_at")
    found = liveness.queue()
    assert found.overdue_s == found.waiting_s == 1e9
    assert found.holds_late
    assert found.stands_still
