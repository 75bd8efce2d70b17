"""The Worker: whatever nodes, the database and Redis do, every frame ends once and no wake-up is lost."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connections
from django.utils import timezone

from inspections.media import storage
from inspections.models import Decision, Description, Detection, Event, Frame, Station, Step
from inspections.pipeline import findings, steps
from inspections.pipeline import worker as worker_module
from inspections.pipeline.stages import STAGES
from inspections.pipeline.worker import Worker, own_connection
from scheduling.client.answers import NodeError
from scheduling.models import Dispatch
from scheduling.policy.items import LATE_SHARE
from tests.cast import Cast, add_frame
from tests.inspections.fake_nodes import FakeNode, raises, runtime_of, unavailable
from tests.services import take_away
from tests.threads import together
from tests.waiting import eventually

pytestmark = [
    pytest.mark.stack,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_server"),
]
WAIT_S = 60.0


@contextmanager
def working(*nodes: FakeNode, cloud: tuple[FakeNode, ...] = (), **more: Any) -> Iterator[Worker]:
    defaults: dict[str, Any] = {"lease_s": 30, "threads": 8, "name": "w"}
    worker = Worker(fleet=runtime_of(*nodes, cloud=cloud), **defaults | more)
    try:
        yield worker
    finally:
        worker.stop()
        connections.close_all()


@contextmanager
def polled(worker: Worker, every_s: float = 0.05) -> Iterator[None]:
    """The loops of a real worker process, which go on over any trouble with the database."""
    ended = threading.Event()

    def forever(act: Callable[[], Any]) -> None:
        while not ended.wait(every_s):
            with contextlib.suppress(DatabaseError), own_connection():
                act()

    acts = (worker.run_until_idle, worker.renew, steps.reap, steps.hold_overdue)
    threads = [threading.Thread(target=forever, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join(30)


def all_complete() -> bool:
    return not Frame.objects.filter(completed_at__isnull=True).exists()


def frames(station: Station, count: int) -> list[Frame]:
    return [add_frame(station, seed) for seed in range(count)]


# -- the way of a frame -----------------------------------------------------------------------------


def test_what_waits_is_decided_and_complete_when_drain_returns(cast: Cast) -> None:
    frames(cast.station, 20)
    with working(FakeNode("edge-1")) as worker:
        assert worker.run_until_idle() == 20
    assert all_complete()
    assert set(Decision.objects.values_list("outcome", flat=True)) == {"pass"}
    assert set(Dispatch.objects.values_list("outcome", "attempt", "scope")) == {("ok", 1, cast.station.pk)}


def test_a_defect_is_described_in_the_same_drain(cast: Cast) -> None:
    frame = add_frame(cast.station)
    with working(FakeNode("edge-1", score=0.9), cloud=(FakeNode("cloud-1"),)) as worker:
        assert worker.run_until_idle() == 2
    assert all_complete()
    assert Description.objects.get().answer == {"appearance": "A gap."}
    types = list(Event.objects.filter(frame_id=frame.pk).order_by("seq").values_list("type", flat=True))
    assert types == ["frame.added", "frame.detected", "frame.decided", "frame.described", "frame.complete"]


def test_drain_with_nothing_to_do_returns_at_once(cast: Cast) -> None:
    with working(FakeNode("edge-1")) as worker:
        assert worker.run_until_idle() == 0


def test_two_workers_share_the_queue_and_do_nothing_twice(cast: Cast) -> None:
    frames(cast.station, 40)
    one, two = FakeNode("edge-1"), FakeNode("edge-1")
    with working(one) as first, working(two, name="w2") as second:
        started = together(2, lambda n: (first, second)[n].run_until_idle())
    assert sum(started) == one.calls + two.calls == 40
    assert Detection.objects.count() == 40
    assert all_complete()


# -- nodes ------------------------------------------------------------------------------------------


def test_a_failing_node_hands_over_to_the_other_and_says_so(cast: Cast) -> None:
    bad, good = FakeNode("edge-1", before=raises(unavailable())), FakeNode("edge-2")
    frames(cast.station, 6)
    with working(bad, good) as worker, polled(worker):
        eventually(all_complete)
    assert set(Step.objects.values_list("attempts", flat=True)) == {1}
    failed = Dispatch.objects.filter(outcome="failed")
    assert failed.exists() == bool(bad.calls)
    assert set(failed.values_list("error_code", flat=True)) <= {"unavailable"}
    assert Dispatch.objects.filter(outcome="ok", node__name="edge-2").count() == 6


def test_a_slow_node_keeps_its_lease_by_renewing(cast: Cast) -> None:
    let_go = threading.Event()
    slow = FakeNode("edge-1", before=lambda: let_go.wait(WAIT_S))
    add_frame(cast.station)
    with working(slow, lease_s=0.5) as worker, polled(worker):
        eventually(lambda: slow.calls)
        leases = {Step.objects.get().lease_until}
        eventually(lambda: leases.add(Step.objects.get().lease_until) or len(leases) > 6)
        let_go.set()
        eventually(all_complete)
    assert slow.calls == 1
    assert Step.objects.get().attempts == 1


def test_a_late_answer_is_dropped_where_another_worker_was_faster(cast: Cast) -> None:
    let_go = threading.Event()
    slow, quick = FakeNode("edge-1", score=0.9, before=lambda: let_go.wait(WAIT_S)), FakeNode("edge-1", score=0.1)
    add_frame(cast.station)
    with working(slow, name="late", threads=1) as late, working(quick, name="second") as second:
        thread = threading.Thread(target=late.run_until_idle)
        thread.start()
        eventually(lambda: slow.calls)
        Step.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        steps.reap()
        second.run_until_idle()
        let_go.set()
        thread.join(WAIT_S)
    assert Decision.objects.get().outcome == "pass"
    assert [d.score for d in Detection.objects.all()] == [0.1]


def test_a_late_job_does_not_stop_the_renewal_of_the_same_step(cast: Cast) -> None:
    """The worker that lost a Step may be the one that claims it again; the first job's end is not the second's."""
    turns = [threading.Event(), threading.Event()]
    node = FakeNode("edge-1")
    node.before = lambda: turns[node.calls - 1].wait(WAIT_S)
    add_frame(cast.station)
    with working(node) as worker:
        thread = threading.Thread(target=worker.run_until_idle)
        thread.start()
        eventually(lambda: node.calls == 1)
        Step.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        steps.reap()
        worker.run_until_idle()
        eventually(lambda: node.calls == 2)
        turns[0].set()
        eventually(lambda: len(worker._held) == 1)
        before = Step.objects.get().lease_until
        worker.renew()
        assert Step.objects.get().lease_until > before
        turns[1].set()
        thread.join(WAIT_S)
    assert all_complete()


def test_without_a_node_a_frame_waits_and_finishes_when_one_returns(cast: Cast) -> None:
    gone = [True]

    def answer() -> None:
        if gone[0]:
            raise unavailable()

    node = FakeNode("edge-1", before=answer)
    add_frame(cast.station)
    with working(node) as worker, polled(worker):
        eventually(lambda: node.calls)
        eventually(lambda: Step.objects.get().state == "waiting")
        assert Step.objects.get().error_code == "unavailable"
        assert not Decision.objects.exists()
        gone[0] = False
        eventually(all_complete)
    assert Decision.objects.get().outcome == "pass"


def test_a_backlog_that_is_late_anyway_does_not_hide_what_can_still_make_it(cast: Cast) -> None:
    """At most a share of the places is for late steps while others wait; all of them where none do."""
    frames(cast.station, 40)
    Step.objects.update(deadline_at=timezone.now() - timedelta(minutes=1))
    looked = worker_module._waiting_steps(STAGES.first.kind, STAGES.first.look_ahead)
    assert len(looked) == STAGES.first.look_ahead

    live = {add_frame(cast.station, 100 + n).pk for n in range(30)}
    looked = worker_module._waiting_steps(STAGES.first.kind, STAGES.first.look_ahead)

    assert len(looked) == STAGES.first.look_ahead
    assert sum(step.frame_id in live for step in looked) == len(looked) - len(looked) // LATE_SHARE


def test_without_any_node_nothing_is_claimed(cast: Cast) -> None:
    add_frame(cast.station)
    with working() as worker:
        assert worker.run_until_idle() == 0
    assert Step.objects.get().state == "waiting"


def test_a_cloud_that_is_away_does_not_hold_up_decisions(cast: Cast) -> None:
    """Late descriptions have the earliest deadlines of all; they must not hide the frames."""
    away = FakeNode("cloud-1", before=raises(unavailable("cloud-1")))
    with working(FakeNode("edge-1", score=0.9), cloud=(away,)) as worker:
        old = frames(cast.station, 60)
        worker.run_until_idle()
        Step.objects.filter(kind="describe").update(deadline_at=timezone.now() - timedelta(hours=1))
        new = add_frame(cast.station, 1000)
        worker.run_until_idle()
    new.refresh_from_db()
    assert new.decided_at
    assert Frame.objects.filter(decided_at__isnull=False).count() == len(old) + 1


def test_a_picture_that_no_node_can_read_is_held(cast: Cast) -> None:
    node = FakeNode("edge-1", before=raises(NodeError("bad_frame", "not a JPEG", node="edge-1")))
    add_frame(cast.station)
    with working(node, pause_s=lambda _: 0.0) as worker, polled(worker):
        eventually(all_complete)
    assert (Decision.objects.get().outcome, Step.objects.get().error_code) == ("hold", "bad_frame")


def test_a_picture_that_is_gone_from_the_store_is_held(cast: Cast) -> None:
    storage.picture_path(add_frame(cast.station)).unlink()
    node = FakeNode("edge-1")
    with working(node) as worker:
        worker.run_until_idle()
        assert not worker.fleet.ledger.own["edge-1"]  # type: ignore[attr-defined]
    assert node.calls == 0
    assert (Decision.objects.get().outcome, Step.objects.get().error_code) == ("hold", "bad_media")


def test_a_bug_is_tried_again_a_few_times_and_then_held(cast: Cast) -> None:
    node = FakeNode("edge-1", before=raises(ZeroDivisionError("oops")))
    add_frame(cast.station)
    with working(node, pause_s=lambda _: 0.0) as worker, polled(worker):
        eventually(all_complete)
    assert node.calls == Step.MAX_ATTEMPTS
    assert Step.objects.get().error_detail == "ZeroDivisionError: oops"
    assert Decision.objects.get().outcome == "hold"


def test_credits_come_back_whatever_happens(cast: Cast) -> None:
    errors: list[Exception] = [unavailable(), ZeroDivisionError(), NodeError("bad_frame", "no", node="edge-1")]

    def answer() -> None:
        if errors:
            raise errors.pop()

    frames(cast.station, 4)
    with working(FakeNode("edge-1", before=answer)) as worker, polled(worker):
        eventually(lambda: not errors)
        eventually(lambda: not Step.objects.filter(state="running").exists() and not worker._held)
        eventually(lambda: not worker.fleet.ledger.own["edge-1"])  # type: ignore[attr-defined]
        eventually(lambda: not worker.fleet.state.nodes["edge-1"].ledger)


def test_a_database_error_before_the_node_was_asked_gives_its_credit_back(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that stays in the ledger for ever makes the node look stuck, and nothing is sent there any more."""

    def away(*_: Any, **__: Any) -> None:
        raise DatabaseError("away")

    add_frame(cast.station)
    node = FakeNode("edge-1")
    with working(node) as worker:
        with monkeypatch.context() as patch:
            patch.setattr(findings, "thresholds_of", away)
            worker.run_until_idle()
        assert node.calls == 0
        assert not worker.fleet.state.nodes["edge-1"].ledger
        assert not worker.fleet.ledger.own["edge-1"]  # type: ignore[attr-defined]


def test_a_claim_that_fails_gives_its_credits_back(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise DatabaseError("away")

    add_frame(cast.station)
    with working(FakeNode("edge-1")) as worker:
        monkeypatch.setattr(steps, "claim", away)
        with pytest.raises(DatabaseError):
            worker.run_until_idle()
        assert not worker.fleet.state.nodes["edge-1"].ledger


# -- what is underneath -----------------------------------------------------------------------------


def test_frames_are_inspected_while_redis_is_away(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    take_away(monkeypatch)
    frames(cast.station, 5)
    with working(FakeNode("edge-1")) as worker:
        assert worker.run_until_idle() == 5
    assert all_complete()


# -- wake-ups ---------------------------------------------------------------------------------------


def test_no_wake_up_is_lost_between_two_drains(cast: Cast) -> None:
    """Whoever adds a frame and calls `run_until_idle` knows that it is taken up, by that call or by one that runs."""

    def camera(index: int) -> None:
        for n in range(12):
            add_frame(cast.station, index * 100 + n)
            worker.run_until_idle()

    with working(FakeNode("edge-1"), threads=4) as worker:
        together(6, camera)
        eventually(all_complete)
        assert Frame.objects.count() == 72
    assert Detection.objects.count() == 72


def test_a_worker_that_was_stopped_begins_nothing_and_does_not_spin(cast: Cast) -> None:
    add_frame(cast.station)
    with working(FakeNode("edge-1")) as worker:
        worker.stop()
        thread = threading.Thread(target=worker.run_until_idle)
        thread.start()
        thread.join(5)
        assert not thread.is_alive()
    assert Step.objects.get().state == "waiting"


def test_no_more_requests_are_under_way_than_there_are_threads(cast: Cast) -> None:
    under_way, most, lock = [0], [0], threading.Lock()

    def count() -> None:
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        threading.Event().wait(0.02)
        with lock:
            under_way[0] -= 1

    frames(cast.station, 24)
    with working(FakeNode("edge-1", before=count), FakeNode("edge-2", before=count), threads=3) as worker:
        worker.run_until_idle()
    assert all_complete()
    assert 1 <= most[0] <= 3
