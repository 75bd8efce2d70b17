"""What is decided by a time is decided by the database's clock, whatever web and workers believe."""

import ast
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from aivd_web.kernel.database import database_now
from inspections.intake import sweep
from inspections.models import Decision, Frame, IdempotencyKey, Step
from inspections.pipeline import liveness, steps
from inspections.services import tokens
from scheduling.models import Dispatch
from scheduling.services.dispatching import running
from scheduling.services.sweep import close_lost_dispatches
from tests.cast import Cast, add_frame
from tests.inspections.fake_nodes import FakeNode
from tests.inspections.pipeline.test_worker import frames, working

ROOT = Path(__file__).resolve().parents[1]
DECIDING = ("inspections", "scheduling", "aivd_web/demo")
CLOCKS = {"timezone.now", "datetime.now", "datetime.utcnow", "time.time", "datetime.datetime.now", "date.today"}
ALLOWED = {
    # Whether a camera's clock is a day ahead: nobody waits for it, and the table has the last word.
    "inspections/intake/captured.py",
    # Files' ages by the clock that the file system has, which is this machine's.
    "inspections/intake/sweep.py",
    # For people: when a decision was recorded, when a view was told, when a model was made, what was heard when.
    "scheduling/dispatch/dispatcher.py",
    "scheduling/services/heartbeat.py",
    "aivd_web/demo/follower.py",
}
NODES = "scheduling/serving/"  # runs on a node, which knows no database
OFF = [timedelta(hours=1), timedelta(hours=-1), timedelta(days=400), timedelta(days=-400)]


def clocks_in(path: Path) -> list[int]:
    """Lines on which a clock of the process is read."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)]
    return [node.lineno for node in calls if ast.unparse(node) in CLOCKS]


def test_no_clock_of_a_process_takes_part() -> None:
    found = {
        f"{path.relative_to(ROOT)}:{line}"
        for folder in DECIDING
        for path in (ROOT / folder).rglob("*.py")
        for line in clocks_in(path)
        if (name := str(path.relative_to(ROOT))) not in ALLOWED and not name.startswith(NODES)
    }
    assert not found, "read the database's clock: Now() in a query, or database_now()"


def test_the_search_finds_a_clock(tmp_path: Path) -> None:
    texts = ("timezone.now()", "f(default=timezone.now)", "x = datetime.now(UTC)", "time.time()")
    for number, text in enumerate(texts):
        path = tmp_path / f"{number}.py"
        path.write_text(text)
        assert clocks_in(path) == [1]


@pytest.fixture(params=OFF, ids=str)
def clock_that_is_off(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> timedelta:
    """This process believes that it is another time."""
    off: timedelta = request.param
    real = time.time
    monkeypatch.setattr(timezone, "now", lambda: datetime.now(UTC) + off)
    monkeypatch.setattr(time, "time", lambda: real() + off.total_seconds())
    return off


@pytest.mark.stack
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("redis_server")
class TestAProcessWhoseClockIsOff:
    def test_it_decides_in_time_and_holds_nothing_falsely(self, cast: Cast, clock_that_is_off: timedelta) -> None:
        frames(cast.station, 8)
        assert steps.hold_overdue() == 0
        with working(FakeNode("edge-1"), lease_s=2) as worker:
            worker.run_until_idle()
            worker.renew()
        assert steps.reap() == steps.hold_overdue() == 0
        assert set(Decision.objects.values_list("outcome", flat=True)) == {"pass"}
        assert all(0 <= ms < 60_000 for ms in Decision.objects.values_list("latency_ms", flat=True))
        for frame in Frame.objects.select_related("decision", "inspection"):
            now = database_now()
            assert frame.deadline_at - frame.received_at == timedelta(milliseconds=cast.station.deadline_ms)
            assert frame.received_at <= frame.decided_at <= frame.completed_at <= now
            assert now - frame.received_at < timedelta(minutes=2)
            assert frame.decision.decided_at == frame.decided_at
            assert abs(frame.inspection.started_at - now) < timedelta(minutes=2)
        for step in Step.objects.all():
            assert step.created_at <= step.finished_at <= database_now()

    def test_it_holds_what_is_late(self, cast: Cast, clock_that_is_off: timedelta) -> None:
        add_frame(cast.station)
        Frame.objects.update(deadline_at=Now())
        assert steps.hold_overdue() == 1

    def test_what_it_gives_back_may_be_tried_again_soon(self, cast: Cast, clock_that_is_off: timedelta) -> None:
        add_frame(cast.station)
        failing = FakeNode("edge-1", before=lambda: 1 / 0)
        with working(failing) as worker:
            worker.run_until_idle()
        step = Step.objects.get()
        assert step.state == "waiting"
        assert step.not_before - database_now() < timedelta(seconds=10)
        steps.fail(claim=steps.claim(nodes={step.pk: "edge-1"}, owner="w", lease_s=3)[0], code="broken", detail="no")
        again = steps.retry(frame=Frame.objects.get(), by="alice")
        assert timedelta(0) < again.deadline_at - database_now() <= timedelta(milliseconds=cast.station.deadline_ms)

    def test_tokens_expire_when_they_expire(self, cast: Cast, clock_that_is_off: timedelta) -> None:
        now = database_now()
        for expires_at, usable in ((now + timedelta(minutes=1), True), (now - timedelta(seconds=1), False)):
            issued = tokens.issue(name="c", line=cast.line, scopes=["read"], by=None, expires_at=expires_at)
            assert issued.token.is_usable is usable
            if usable:
                assert tokens.find(text=issued.text).is_usable
                continue
            with pytest.raises(tokens.TokenExpired):
                tokens.find(text=issued.text)

    def test_what_is_on_the_nodes_is_neither_forgotten_nor_closed(
        self, cast: Cast, clock_that_is_off: timedelta
    ) -> None:
        add_frame(cast.station)
        node = FakeNode("edge-1")
        seen: list[Any] = []
        node.before = lambda: seen.extend([running(), close_lost_dispatches()])
        with working(node) as worker:
            worker.run_until_idle()
        assert [len(seen[0]), seen[1]] == [1, 0]
        assert abs(Dispatch.objects.get().sent_at - database_now()) < timedelta(minutes=1)

    def test_keys_are_kept_for_their_time(self, cast: Cast, clock_that_is_off: timedelta) -> None:
        add_frame(cast.station, idempotency_key="k")
        assert sweep.sweep(now=Now()).keys == 0
        assert IdempotencyKey.objects.exists()

    def test_health_sees_no_standstill(self, cast: Cast, clock_that_is_off: timedelta) -> None:
        add_frame(cast.station)
        found = liveness.queue()
        assert not found.holds_late
        assert not found.stands_still
        assert found.waiting_s < 60
