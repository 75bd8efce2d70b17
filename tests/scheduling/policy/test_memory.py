"""A policy goes on where it was after its memory was written down and read again, and says in a sentence what it is."""

import json
import random

import pytest

from scheduling.policy import POLICIES, FleetState, Item, NodeState, Policy, get_policy

MODEL = "edge_detector"
REMEMBERING = {"round-robin", "weighted-round-robin", "heartbeat-score-fresh", "heartbeat-score-1s"}


def fleet() -> FleetState:
    nodes = [NodeState(name, capacity=2) for name in ("first", "second", "third")]
    for number, node in enumerate(nodes):
        node.service.prior_s[MODEL] = 0.01 * (number + 1)
    return FleetState.of(nodes)


def chosen(policy: Policy, state: FleetState, now: float) -> list[str | None]:
    items = [Item(str(number), MODEL, 1000, now + 0.3, now) for number in range(4)]
    return [placed.node for placed in policy.place(items, state, now)]


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_a_restored_policy_chooses_as_the_one_that_never_stopped(name: str) -> None:
    state = fleet()
    going_on, fresh = get_policy(name, random.Random(1)), get_policy(name, random.Random(1))
    chosen(going_on, state, 100.0)
    state.nodes["first"].sent("busy", 100.1, 50_000, MODEL)  # a reading of a second ago does not know of it
    fresh.restore(json.loads(json.dumps(going_on.memory(), allow_nan=False)))

    again = random.Random(7).getstate()
    for policy in (going_on, fresh):
        if hasattr(policy, "rng"):
            policy.rng.setstate(again)
    assert chosen(fresh, state, 100.2) == chosen(going_on, state, 100.2)
    assert fresh.memory() == going_on.memory()


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_only_rules_that_take_turns_or_readings_remember_anything(name: str) -> None:
    policy = get_policy(name)
    chosen(policy, fleet(), 100.0)

    assert bool(policy.memory()) == (name in REMEMBERING)


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_a_policy_is_described_in_one_line(name: str) -> None:
    text = get_policy(name).description

    assert text.endswith(".")
    assert text == " ".join(text.split())
