"""A recorded decision can be taken again: the identical one by its own policy, another one by another policy."""

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from scheduling.dispatch.dispatcher import NODES_RECORDED_A_SECOND
from scheduling.dispatch.ledger import Completion
from scheduling.dispatch.values import Assignment, Request
from scheduling.models import Dispatch, RecordedDecision
from scheduling.policy import POLICIES
from scheduling.policy.types import Item, Quality
from scheduling.replay.records import DecisionRecord, differences, replay
from scheduling.services import decisions
from scheduling.services.dispatching import FleetDispatcher
from tests.inspections.fake_nodes import FakeNode, runtime_of

pytestmark = [pytest.mark.stack, pytest.mark.django_db]
QUALITIES = (Quality("JPEG 75", 75, 0.6), Quality("JPEG 50", 50, 0.25))


class Clock:
    """Time that only a test moves, in steps that no float holds exactly."""

    now = 1000.1

    def __call__(self) -> float:
        return self.now


def busy_runtime() -> FleetDispatcher:
    runtime = runtime_of(*(FakeNode(f"edge-{n}") for n in range(4)), cloud=[FakeNode("cloud-1")])
    runtime.clock = Clock()
    runtime._recorded.a_second = 10_000
    return runtime


def requests(runtime: FleetDispatcher, rng: random.Random, policy: str, first: int) -> list[Request]:
    now = runtime.clock()
    return [
        Request(
            item=Item(
                id=str(first + n),
                model=rng.choice(["edge_detector", "edge_detector", "describer"]),
                bytes=rng.randrange(1_000, 90_000),
                deadline_at=now + rng.uniform(-0.1, 0.6),
                arrived_at=now - rng.random(),
                units=rng.choice([1.0, 1.5]),
                qualities=QUALITIES if rng.random() < 0.5 else (),
                edge_sure=rng.random() < 0.2,
            ),
            subject="a frame",
            policy=policy,
        )
        for n in range(rng.randrange(1, 9))
    ]


def work(runtime: FleetDispatcher, policy: str, *, rounds: int = 60, seed: int = 1) -> Iterator[DecisionRecord]:
    """Place, answer and fail at random as a worker does; the records that production stored meanwhile."""
    rng, under_way = random.Random(seed), list[Assignment]()
    for number in range(rounds):
        runtime.clock.now += rng.uniform(0.001, 0.08)  # type: ignore[attr-defined]
        assignments, _ = runtime.place(requests(runtime, rng, policy, 100 * number), limit=8)
        runtime.begin(assignments)
        under_way += assignments
        for assignment in [one for one in under_way if rng.random() < 0.5]:
            under_way.remove(assignment)
            end(runtime, assignment, rng)
    return (decisions.load(row) for row in RecordedDecision.objects.order_by("id"))


def end(runtime: FleetDispatcher, assignment: Assignment, rng: random.Random) -> None:
    state, now = runtime.state.nodes[assignment.node], runtime.clock()
    runtime.ledger.ended(Completion(assignment.request_id, assignment.node))
    if rng.random() < 0.05:
        state.failed(assignment.request_id, now, "unavailable")
    else:
        state.answered(assignment.request_id, now, rng.uniform(1, 60), rng.choice([None, rng.uniform(0, 20)]))
    if rng.random() < 0.2:
        runtime.probed(assignment.node, elapsed_ms=rng.uniform(1, 90), ok=rng.random() < 0.8)
    if rng.random() < 0.2:
        runtime.canary(assignment.node, ok=True)


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_what_production_stored_replays_to_the_identical_decision(policy: str) -> None:
    records = list(work(busy_runtime(), policy))

    assert len(records) >= 15
    assert [differences(one, replay(one)) for one in records] == [[]] * len(records)


def test_a_state_that_was_tampered_with_does_not_replay_to_the_same() -> None:
    """The comparison itself can fail."""
    records = list(work(busy_runtime(), "pct-lb"))
    found = 0
    for one in records:
        for node in one.state["nodes"]:
            node["service"]["by_model"] = {"edge_detector": {"1": 9.0}}
        found += bool(differences(one, replay(one)))
    assert found == len(records)


def test_another_policy_may_be_asked_about_the_same_state() -> None:
    records = list(work(busy_runtime(), "pct-lb"))
    other = [{p.item_id: p.node for p in replay(one, "round-robin") if p.sends} for one in records]
    assert any(theirs != one.chosen for theirs, one in zip(other, records, strict=True))
    assert all(set(theirs) >= set(one.chosen) for theirs, one in zip(other, records, strict=True))


def test_a_dispatch_points_to_what_its_policy_saw() -> None:
    runtime = busy_runtime()
    list(work(runtime, "pct-lb", rounds=5))
    for row in Dispatch.objects.select_related("record", "node"):
        assert row.record is not None
        past = decisions.load(row.record)
        (said,) = [one for one in past.decided if one["node"] == row.node.name and one["reason"] == row.reason]
        assert said["predicted_ms"] == row.predicted_ms
        assert said["alternatives"] == row.alternatives
        assert past.policy_version


def test_a_busy_worker_keeps_a_sample() -> None:
    runtime = busy_runtime()
    runtime._recorded.a_second = NODES_RECORDED_A_SECOND
    runtime.clock = lambda: 50.0
    for n in range(20):
        assignments, _ = runtime.place(requests(runtime, random.Random(n), "round-robin", 100 * n), limit=9)
        runtime.begin(assignments)
    assert RecordedDecision.objects.count() == NODES_RECORDED_A_SECOND // len(runtime.state.nodes)
    assert Dispatch.objects.filter(record=None).count() > 0


def test_records_are_pruned_by_number_and_age_and_their_dispatches_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    list(work(busy_runtime(), "pct-lb", rounds=12))
    rows, kept = Dispatch.objects.count(), RecordedDecision.objects.count()
    assert kept > 4
    monkeypatch.setattr(decisions, "MOST_RECORDS", 3)

    assert decisions.prune() == kept - 3
    RecordedDecision.objects.update(at=timezone.now() - timedelta(days=8))
    assert decisions.prune() == 3
    assert Dispatch.objects.count() == rows


@pytest.mark.parametrize(("name", "value"), [("MOST_BYTES", 100), ("MOST_BYTES", 0)])
def test_a_record_that_is_too_large_is_left_out_and_the_work_goes_on(
    monkeypatch: pytest.MonkeyPatch, name: str, value: Any
) -> None:
    monkeypatch.setattr(decisions, name, value)
    list(work(busy_runtime(), "pct-lb", rounds=5))
    assert not RecordedDecision.objects.exists()
    assert Dispatch.objects.exists()
