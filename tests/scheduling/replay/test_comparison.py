"""A recorded stretch decided again by another policy: what is counted, by which yardstick, and what is shown."""

from dataclasses import replace

import pytest

from scheduling.policy.fleet import FleetState
from scheduling.policy.node import NodeState
from scheduling.policy.types import Item
from scheduling.replay.comparison import MOST_EXAMPLES, PolicyComparison
from scheduling.replay.records import DecisionRecord, DecisionSnapshot, RecordedPolicy

NOW = 1000.0


def node(name: str, service_ms: float, **more: object) -> NodeState:
    state = NodeState(name=name, capacity=4, models=frozenset({"edge_detector"}), **more)  # type: ignore[arg-type]
    for n in range(3):  # three answers, so that its speed is known
        state.sent(f"{name}{n}", NOW - 9 + n, 0, "edge_detector")
        state.answered(f"{name}{n}", NOW - 9 + n + service_ms / 1000, service_ms, 0.0)
    return state


def item(n: int, *, slack_ms: float = 200.0) -> Item:
    return Item(f"{n}", "edge_detector", 1_000, NOW + slack_ms / 1000, NOW - 0.01)


def stretch(*looks: list[Item], by: str = "pct-lb", nodes: tuple[NodeState, ...] | None = None) -> list[DecisionRecord]:
    policy = RecordedPolicy(by)
    state = FleetState.of(nodes or (node("fast", 20), node("slow", 400)))
    records = []
    for items in looks:
        placed, before = policy.place(items, state, NOW)
        seen = DecisionSnapshot(by, tuple(items), state.to_json(), tuple(placed), 1.7e9, before)
        records.append(seen.record())
    return records


def compared(policy: str, records: list[DecisionRecord]) -> dict:
    comparison = PolicyComparison(policy)
    for past in records:
        comparison.add(DecisionRecord.from_json(past.to_json()))
    return comparison.result()


@pytest.mark.parametrize("policy", ["pct-lb", "round-robin", "random", "heartbeat-score-1s"])
def test_the_policy_that_decided_comes_to_the_same_decisions(policy: str) -> None:
    whole = stretch([item(9)], [item(1), item(2)], [item(3)], by=policy)
    result = compared(policy, whole[1:])  # it joins in the middle, with turns taken and readings made
    assert (result["looks"], result["decisions"], result["same_node"]) == (2, 3, 3)
    assert result["was"]["by_node"] == result["would"]["by_node"]
    assert (result["examples"], result["median_change_ms"]) == ([], None)


def test_round_robin_would_have_sent_every_other_request_to_the_slow_node_and_too_late() -> None:
    result = compared("round-robin", stretch(*([item(n)] for n in range(4))))
    assert result["was"]["by_node"] == {"fast": 4}
    assert result["would"]["by_node"] == {"fast": 2, "slow": 2}
    assert (result["was"]["in_time_share"], result["would"]["in_time_share"]) == (1.0, 0.5)
    assert result["would"]["p95_predicted_ms"] > 400 > result["was"]["p95_predicted_ms"]
    assert result["median_change_ms"] == pytest.approx(380, abs=15)
    assert [example["would"]["node"] for example in result["examples"]] == ["slow", "slow"]
    assert result["recorded_by"] == {"pct-lb": 4}


def test_both_choices_are_measured_by_the_times_that_were_foreseen_then() -> None:
    (past,) = stretch([item(1)])
    (said,) = past.decided
    foreseen = {other["node"]: other["predicted_ms"] for other in said["alternatives"]}
    records = [past, past]  # round robin's second turn is the slow one
    (example,) = compared("round-robin", records)["examples"]
    assert example["would"]["predicted_ms"] == pytest.approx(foreseen["slow"], abs=0.01)
    assert example["was"]["predicted_ms"] == pytest.approx(said["predicted_ms"], abs=0.01)


def test_a_recorded_rule_that_predicts_nothing_is_measured_by_the_same_yardstick() -> None:
    result = compared("pct-lb", stretch([item(1)], [item(2)], by="round-robin"))
    assert result["was"]["by_node"] == {"fast": 1, "slow": 1}
    assert result["was"]["p95_predicted_ms"] > 400
    assert result["would"]["by_node"] == {"fast": 2}


def test_what_only_waited_is_no_decision_and_what_would_have_waited_is_told_apart() -> None:
    # Round robin binds all eight at once; late binding keeps what the node has no credit for.
    records = stretch([item(n, slack_ms=5_000) for n in range(8)], by="round-robin", nodes=(node("only", 50),))
    result = compared("pct-lb", records)
    assert result["decisions"] == 8
    assert result["would"]["sent"] + result["would"]["not_sent"]["wait"] == 8
    assert result["would"]["not_sent"]["wait"] > 0
    assert result["examples"][0]["would"] == {"action": "wait", "node": None, "predicted_ms": None}
    again = compared("round-robin", stretch([item(n, slack_ms=5_000) for n in range(8)], nodes=(node("only", 50),)))
    assert again["decisions"] == again["was"]["sent"] < 8


def test_each_machines_clock_has_a_memory_of_its_own() -> None:
    (past,) = stretch([item(1)])
    other_machine = replace(past, at=past.at + 5_000)
    result = compared("round-robin", [past, other_machine, past, other_machine])
    assert result["would"]["by_node"] == {"fast": 2, "slow": 2}


def test_a_long_stretch_shows_the_decisions_that_differ_most() -> None:
    records = stretch(*([item(n)] for n in range(3 * MOST_EXAMPLES)))
    examples = compared("round-robin", records)["examples"]
    assert len(examples) == MOST_EXAMPLES
    sizes = [abs(example["change_ms"]) for example in examples]
    assert sizes == sorted(sizes, reverse=True)


def test_a_record_that_is_not_whole_is_refused() -> None:
    (past,) = stretch([item(1)])
    with pytest.raises(KeyError):
        PolicyComparison("random").add(replace(past, state={"nodes": [{"name": "edge-1"}]}))
