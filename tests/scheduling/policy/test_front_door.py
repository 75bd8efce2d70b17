"""What the door is told: when one more request would be answered behind so many others."""

from typing import Any

import pytest

from scheduling.policy import FleetState, NodeState
from scheduling.policy.front_door import answer_curve, answer_s
from scheduling.policy.items import Load

MODEL = "edge_detector"


def fleet(*, service_ms: float = 40.0, slots: int = 1, **more: Any) -> FleetState:
    node = NodeState("edge", capacity=slots, **more)
    node.service.prior_s[MODEL] = service_ms / 1000
    node.link.typical, node.link.rtt_s = 1e9, 0.0
    return FleetState.of([node])


def test_each_request_ahead_costs_its_service_time():
    curve = answer_curve(fleet(), 100.0, model=MODEL, load=Load(1_000), ahead=(0, 4, 8))

    assert [count for count, _ in curve] == [0, 4, 8]
    assert [took for _, took in curve] == pytest.approx([0.04, 0.20, 0.36], abs=1e-4)


def test_what_is_on_the_nodes_counts_and_the_state_stays_as_it_was():
    state = fleet()
    state.nodes["edge"].sent("one", 100.0, 1_000, MODEL)
    before = state.to_json()

    assert answer_curve(state, 100.0, model=MODEL, load=Load(1_000))[0][1] == pytest.approx(0.08, abs=1e-4)
    assert state.to_json() == before


@pytest.mark.parametrize(("ahead", "expected"), [(0, 0.04), (2, 0.12), (4, 0.20), (6, 0.28), (100, 4.04)])
def test_between_points_it_is_in_proportion_and_beyond_at_the_last_pace(ahead, expected):
    assert answer_s([(0, 0.04), (4, 0.20), (8, 0.36)], ahead) == pytest.approx(expected)


def test_without_a_node_nothing_is_foretold():
    assert answer_curve(fleet(drained=True), 100.0, model=MODEL, load=Load(1_000)) == []
    assert answer_s([], 3) is None
