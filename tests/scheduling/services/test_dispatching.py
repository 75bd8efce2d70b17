"""FleetDispatcher: a request gets a node and its credit, moves on when the node fails, and leaves nothing behind."""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.db import DatabaseError

from scheduling.client.answers import NodeError
from scheduling.client.inference import DetectInference
from scheduling.dispatch.dispatcher import MAX_ATTEMPTS
from scheduling.dispatch.values import Assignment, Request, RequestFailed
from scheduling.models import Dispatch, Node, Placement, ServedModel
from scheduling.policy.types import Item
from scheduling.services.dispatching import FleetDispatcher, book
from tests.inspections.fake_nodes import FakeNode, raises, runtime_of, unavailable

pytestmark = [pytest.mark.stack, pytest.mark.django_db]


def request(runtime: FleetDispatcher, name: str = "1", **more: Any) -> Request:
    now = runtime.clock()
    values: dict[str, Any] = {"id": name, "model": "edge_detector", "bytes": 50_000, "arrived_at": now}
    return Request(item=Item(**values | {"deadline_at": now + 10} | more), subject=f"frame {name}", policy="pct-lb")


def placed(runtime: FleetDispatcher, **more: Any) -> Assignment:
    (assignment,), _ = runtime.place([request(runtime, **more)], limit=1)
    return runtime.begin([assignment])[0]


DETECT = DetectInference(b"picture", min_score=0.25, timeout_s=5)


def nothing_under_way(runtime: FleetDispatcher) -> bool:
    ledger: Any = runtime.ledger
    return not any(state.ledger for state in runtime.state.nodes.values()) and not any(ledger.own.values())


def test_an_answer_is_booked_with_what_was_predicted_and_measured() -> None:
    runtime = runtime_of(FakeNode("edge-1"))
    answered = runtime.carry_out(placed(runtime), DETECT)
    book(answered.provenance)
    row = Dispatch.objects.get()
    assert (row.outcome, row.node.name, row.attempt, row.subject) == ("ok", "edge-1", 1, "frame 1")
    assert row.measured_ms is not None
    assert row.predicted_ms is not None
    assert row.reason
    assert row.served_model == ServedModel.objects.get(pk=answered.provenance.served_model_id)
    assert Placement.objects.get().served_model == row.served_model
    assert nothing_under_way(runtime)


def test_a_dispatch_is_running_until_it_is_booked() -> None:
    runtime = runtime_of(FakeNode("edge-1"))
    runtime.carry_out(placed(runtime), DETECT)
    assert Dispatch.objects.get().outcome == "running"


def test_a_failed_node_is_followed_by_the_other_with_a_row_for_each() -> None:
    runtime = runtime_of(FakeNode("edge-1", before=raises(unavailable())))
    assignment = placed(runtime)
    other = FakeNode("edge-2")
    runtime = _joined(runtime, other)
    book(runtime.carry_out(assignment, DETECT).provenance)
    rows = Dispatch.objects.order_by("attempt").values_list("attempt", "node__name", "outcome", "error_code")
    assert list(rows) == [(1, "edge-1", "failed", "unavailable"), (2, "edge-2", "ok", "")]
    assert nothing_under_way(runtime)


def _joined(runtime: FleetDispatcher, node: FakeNode) -> FleetDispatcher:
    """`node` comes to a fleet that is at work."""
    before = runtime.client
    runtime_of(node)
    runtime.client = lambda name: node if name == node.name else before(name)  # type: ignore[assignment,return-value]
    runtime.refresh()
    return runtime


def test_three_nodes_are_asked_at_most() -> None:
    nodes = [FakeNode(f"edge-{n}", before=raises(unavailable(f"edge-{n}"))) for n in range(5)]
    runtime = runtime_of(*nodes)
    with pytest.raises(RequestFailed) as failed:
        runtime.carry_out(placed(runtime), DETECT)
    assert sum(node.calls for node in nodes) == MAX_ATTEMPTS == 3
    assert max(node.calls for node in nodes) == 1
    assert not failed.value.blames_request
    assert nothing_under_way(runtime)


def test_with_no_node_left_the_request_is_not_to_blame() -> None:
    runtime = runtime_of(FakeNode("edge-1", before=raises(unavailable())))
    with pytest.raises(RequestFailed) as failed:
        runtime.carry_out(placed(runtime), DETECT)
    assert (failed.value.code, failed.value.blames_request) == ("unavailable", False)
    assert nothing_under_way(runtime)


def too_costly(node: str) -> NodeError:
    return NodeError("too_costly", "The picture took longer than the 3 s that it may take.", node=node)


def failure(runtime: FleetDispatcher, **more: Any) -> RequestFailed:
    with pytest.raises(RequestFailed) as failed:
        runtime.carry_out(placed(runtime, **more), DETECT)
    assert nothing_under_way(runtime)
    return failed.value


def test_what_two_nodes_call_too_costly_is_the_requests_and_no_node_suffers() -> None:
    nodes = [FakeNode(f"edge-{n}", before=raises(too_costly(f"edge-{n}"))) for n in range(3)]
    runtime = runtime_of(*nodes)
    failed = failure(runtime)
    assert (failed.code, failed.blames_request, failed.final) == ("too_costly", True, True)
    assert sum(node.calls for node in nodes) == 2
    assert "longer than the 3 s" in failed.detail
    assert not any(runtime.given_up(node.name) or runtime.state.nodes[node.name].doubted for node in nodes)


def test_one_node_alone_says_it_twice() -> None:
    runtime = runtime_of(FakeNode("edge-1", before=raises(too_costly("edge-1"))))
    first, second = failure(runtime), failure(runtime)
    assert (first.final, second.final) == (False, True)
    assert not failure(runtime, name="2").final


def test_a_request_that_nodes_let_time_out_while_they_live_is_to_blame_in_the_end() -> None:
    late = [NodeError("deadline", "too late", node=f"edge-{n}") for n in range(2)]
    nodes = [FakeNode(f"edge-{n}", before=raises(late[n])) for n in range(2)]
    runtime = runtime_of(*nodes)
    outcomes = [failure(runtime) for _ in range(2)]
    assert [one.final for one in outcomes] == [False, True]
    assert sum(node.calls for node in nodes) == 4


def test_nodes_that_are_gone_are_to_blame_and_not_the_request() -> None:
    late = [NodeError("deadline", "too late", node=f"edge-{n}") for n in range(2)]
    nodes = [FakeNode(f"edge-{n}", before=raises(late[n])) for n in range(2)]
    runtime = runtime_of(*nodes)
    for node in nodes:
        node.lives = False
    for _ in range(8):
        for node in nodes:
            runtime.canary(node.name, ok=True)  # as after a rest: it gets requests again
        assert not failure(runtime).blames_request


def test_a_deadline_of_a_suspect_does_not_take_out_a_node_that_answers_others() -> None:
    clock = [100.0]
    node = FakeNode("edge-1")
    runtime = runtime_of(node)
    runtime.clock = lambda: clock[0]
    for number in range(10):
        runtime.suspicions.note("slow", "edge-2", "held_up", long_stay=False, lives=False)
        slow = placed(runtime, name="slow")
        node.before = lambda: None
        clock[0] += 1
        book(runtime.carry_out(placed(runtime, name=f"quick {number}"), DETECT).provenance)
        clock[0] += 4
        code = runtime._to_whose_account(slow, "deadline", 5000)
        runtime._ended(slow, code=code)
    assert not runtime.given_up("edge-1")
    assert not runtime.state.nodes["edge-1"].doubted


def test_a_request_that_was_held_up_with_others_is_asked_for_alone() -> None:
    held = NodeError("held_up", "one of them", node="edge-0")
    first, second = FakeNode("edge-0", before=raises(held)), FakeNode("edge-1", before=raises(held))
    asked_alone = []
    for node in (first, second):
        node.alone = lambda node=node: asked_alone.append(node.name) or node  # type: ignore[method-assign, misc]
    runtime = runtime_of(first, second)
    failed = failure(runtime)
    assert (failed.blames_request, first.calls + second.calls, len(asked_alone)) == (False, 2, 1)


def test_a_large_frame_takes_no_slot_and_a_second_one_waits() -> None:
    runtime = runtime_of(FakeNode("edge-1"))
    state = runtime.state.nodes["edge-1"]
    room = state.credit("edge_detector")
    placed(runtime, name="large", units=100.0)
    assert state.credit("edge_detector") == room
    again, _ = runtime.place([request(runtime, "larger", units=200.0)], limit=1)
    assert again == []
    assert placed(runtime, name="usual").node == "edge-1"


def test_what_no_node_can_do_is_tried_once() -> None:
    bad = NodeError("bad_frame", "not a JPEG", node="edge-1")
    nodes = [FakeNode(f"edge-{n}", before=raises(bad)) for n in range(2)]
    runtime = runtime_of(*nodes)
    with pytest.raises(RequestFailed) as failed:
        runtime.carry_out(placed(runtime), DETECT)
    assert failed.value.blames_request
    assert sum(node.calls for node in nodes) == 1
    assert nothing_under_way(runtime)


def test_a_bug_in_the_caller_leaves_nothing_behind() -> None:
    runtime = runtime_of(FakeNode("edge-1", before=raises(ZeroDivisionError())))
    with pytest.raises(ZeroDivisionError):
        runtime.carry_out(placed(runtime), DETECT)
    assert nothing_under_way(runtime)


def test_a_database_that_fails_on_the_way_to_the_next_node_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runtime = runtime_of(FakeNode("edge-1", before=raises(unavailable())))
    assignment = placed(runtime)
    runtime = _joined(runtime, FakeNode("edge-2"))

    def away(_: Any) -> None:
        raise DatabaseError("away")

    monkeypatch.setattr(runtime, "begin", away)
    with pytest.raises(DatabaseError):
        runtime.carry_out(assignment, DETECT)
    assert nothing_under_way(runtime)


def test_releasing_gives_back_once_and_says_nothing_against_the_node() -> None:
    runtime = runtime_of(FakeNode("edge-1"))
    assignment = placed(runtime)
    for _ in range(2):
        runtime.release(assignment)
    assert nothing_under_way(runtime)
    assert runtime.state.nodes["edge-1"].breaker.state == "closed"
    assert "unexpected_failures" not in runtime.state.nodes["edge-1"].counts


def test_no_more_is_placed_than_asked_for() -> None:
    runtime = runtime_of(FakeNode("edge-1"), FakeNode("edge-2"))
    assignments, decisions = runtime.place([request(runtime, str(n)) for n in range(6)], limit=2)
    assert len(assignments) == 2
    assert len(decisions) == 6


def test_a_node_without_credit_gets_nothing_more() -> None:
    runtime = runtime_of(FakeNode("edge-1"))
    waiting = [request(runtime, str(n)) for n in range(40)]
    now = runtime.clock()
    runtime.clock = lambda: now
    sent = 0
    while assignments := runtime.place(waiting[sent:], limit=40)[0]:
        sent += len(assignments)
    assert 0 < sent <= runtime.state.nodes["edge-1"].credit_limit("edge_detector") < 40


def drained() -> None:
    Node.objects.update(draining=True)


def wrong() -> None:
    Node.objects.update(health="wrong_contract", health_detail="scores is FP64, expected FP32")


def gone() -> None:
    Node.objects.all().delete()


@pytest.mark.parametrize("change", [drained, wrong, gone])
def test_what_a_person_or_the_heartbeat_set_takes_a_node_out(change: Callable[[], None]) -> None:
    runtime = runtime_of(FakeNode("edge-1"))
    change()
    runtime.refresh()
    assignments, _ = runtime.place([request(runtime)], limit=1)
    assert not assignments


def test_estimates_survive_a_refresh() -> None:
    runtime = runtime_of(FakeNode("edge-1"))
    before = runtime.state.nodes["edge-1"]
    runtime.refresh()
    assert runtime.state.nodes["edge-1"] is before


def test_failures_in_a_row_open_the_breaker_and_an_answer_closes_it() -> None:
    runtime = runtime_of(FakeNode("edge-1", before=raises(unavailable())))
    for n in range(3):
        with pytest.raises(RequestFailed):
            runtime.carry_out(placed(runtime, name=str(n)), DETECT)
    assert runtime.given_up("edge-1")
    runtime.canary("edge-1", ok=True)
    assert not runtime.given_up("edge-1")


def test_a_canary_that_failed_takes_the_node_out_at_once() -> None:
    runtime = runtime_of(FakeNode("edge-1"))
    runtime.canary("edge-1", ok=False)
    assignments, _ = runtime.place([request(runtime)], limit=1)
    assert not assignments
    assert runtime.view()["edge-1"]["breaker"] == "open"


def test_many_threads_leave_the_books_balanced() -> None:
    """Placing and answering from many threads: every credit comes back."""
    runtime = runtime_of(FakeNode("edge-1"), FakeNode("edge-2"))
    lock = threading.Lock()
    done: list[str] = []

    def work(index: int) -> None:
        for n in range(20):
            assignments, _ = runtime.place([request(runtime, f"{index}-{n}")], limit=1)
            for assignment in assignments:
                runtime.release(assignment)
                with lock:
                    done.append(assignment.request_id)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(done) == len(set(done)) > 0
    assert nothing_under_way(runtime)


def test_a_dispatch_knows_how_long_there_was_to_the_deadline() -> None:
    assignment = placed(runtime_of(FakeNode("edge-1")))
    slack_ms = Dispatch.objects.get(pk=assignment.dispatch_id).slack_ms
    assert slack_ms is not None
    assert 0 < slack_ms <= 1000 * (assignment.request.item.deadline_at - assignment.request.item.arrived_at)


def test_a_rule_that_predicts_nothing_is_held_to_the_prediction_for_the_node_it_chose() -> None:
    runtime = runtime_of(FakeNode("edge-1"), FakeNode("edge-2"))
    (assignment,), _ = runtime.place([replace(request(runtime), policy="round-robin")], limit=1)
    runtime.begin([assignment])
    row = Dispatch.objects.get()
    assert row.predicted_ms == pytest.approx(sum(row.breakdown[name] for name in FORESEEN), abs=0.01)
    assert row.reason.startswith("by round-robin")


FORESEEN = ("upload_ms", "wait_ms", "service_ms", "rtt_ms")
