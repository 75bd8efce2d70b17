"""Each rule does what its name says, and all keep off Nodes that are out of rotation."""

import random

import pytest

from scheduling.policy import POLICIES, FleetState, Item, NodeState, get_policy
from scheduling.policy.admission import SameAdmission

MODEL = "edge_detector"


def node(name, *, slots=1, service_ms=40.0, kind="edge", outstanding=0, **options):
    made = NodeState(name, kind=kind, capacity=slots, **options)
    made.service.prior_s[MODEL] = service_ms / 1000
    for number in range(outstanding):
        made.sent(f"{name}.{number}", 99.9, 1000, MODEL)
    return made


def answered(made, *, response_ms, service_ms=40.0, times=5, at=90.0):
    for number in range(times):
        made.sent(f"{made.name}-past-{number}", at, 1000, MODEL)
        made.answered(f"{made.name}-past-{number}", at + response_ms / 1000, service_ms, 0.0)
    return made


def choices(policy, nodes, count=1, now=100.0):
    items = [Item(str(n), MODEL, 1000, 100.3, 100.0) for n in range(count)]
    return [p.node for p in policy.place(items, FleetState.of(nodes), now)]


@pytest.mark.parametrize(
    ("policy", "nodes", "expected"),
    [
        ("least-outstanding", [node("busy", outstanding=2), node("idle", outstanding=1)], "idle"),
        ("weighted-least-outstanding", [node("fast", service_ms=10, outstanding=2), node("slow")], "fast"),
        ("shortest-expected-delay", [node("fast", service_ms=10, outstanding=2), node("slow")], "fast"),
        ("shortest-expected-delay", [node("fast", service_ms=10, outstanding=5), node("slow")], "slow"),
        ("power-of-two", [node("busy", outstanding=2), node("idle")], "idle"),
        (
            "peak-ewma",
            [answered(node("was-slow"), response_ms=300), answered(node("quick"), response_ms=60)],
            "quick",
        ),
        ("c3", [node("long-queue", service_ms=10, outstanding=4), node("slow")], "slow"),
        (
            "hot-cold",
            [answered(node("hot", outstanding=3), response_ms=50), answered(node("cold"), response_ms=90)],
            "cold",
        ),
        (
            "hot-cold",
            [answered(node("quick", slots=4), response_ms=50), answered(node("slow", slots=4), response_ms=90)],
            "quick",
        ),
        ("heartbeat-score-fresh", [node("busy", outstanding=3), node("idle")], "idle"),
        ("edge-only", [node("cloud", kind="cloud", service_ms=1), node("edge")], "edge"),
        ("cloud-only", [node("edge", service_ms=1), node("cloud", kind="cloud")], "cloud"),
    ],
)
def test_a_rule_picks_the_node_it_likes(policy, nodes, expected):
    assert choices(get_policy(policy, random.Random(1)), nodes) == [expected]


def test_round_robin_takes_turns():
    nodes = [node("a"), node("b", service_ms=900), node("c")]

    assert choices(get_policy("round-robin"), nodes, 6) == ["a", "b", "c"] * 2


def test_weighted_round_robin_takes_turns_by_speed():
    taken = choices(get_policy("weighted-round-robin"), [node("fast", service_ms=10), node("slow", service_ms=30)], 40)

    assert taken.count("fast") == 30


def test_random_uses_every_node():
    taken = choices(get_policy("random", random.Random(1)), [node("a"), node("b")], 100)

    assert 30 < taken.count("a") < 70


def test_an_old_heartbeat_sends_everything_the_same_way():
    nodes = [node("a"), node("b")]
    policy = get_policy("heartbeat-score-1s")
    for number in range(10):
        (name,) = choices(policy, nodes, now=100 + number / 20)
        next(n for n in nodes if n.name == name).sent(f"r{number}", 100.0, 1000, MODEL)

    assert sorted(len(n.ledger) for n in nodes) == [0, 10]
    assert choices(policy, nodes, now=101.1) == [min(nodes, key=lambda n: len(n.ledger)).name]


def test_several_items_of_one_call_do_not_herd():
    taken = choices(get_policy("least-outstanding"), [node("a"), node("b")], 10)

    assert taken.count("a") == 5


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_every_policy_keeps_off_nodes_out_of_rotation(name):
    out = [
        node("drained", drained=True),
        node("other-model", models=frozenset({"describer"})),
        node("drained-cloud", kind="cloud", drained=True),
    ]
    policy = get_policy(name, random.Random(1))
    edge, cloud = node("edge"), node("cloud", kind="cloud")

    assert set(choices(policy, [*out, edge, cloud], 2)) <= {"edge", "cloud"}
    assert choices(get_policy(name, random.Random(1)), out) == [None]


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_every_policy_explains_what_it_sends(name):
    nodes = [node("edge"), node("cloud", kind="cloud"), node("off", drained=True)]
    (placed,) = get_policy(name, random.Random(1)).place(
        [Item("1", MODEL, 1000, 100.3, 100.0)], FleetState.of(nodes), 100.0
    )

    assert placed.node in placed.reason
    assert "ms predicted" in placed.reason
    assert {a.node for a in placed.alternatives} == {n.name for n in nodes} - {placed.node}


def test_the_same_admission_lets_a_rule_choose_among_those_in_time_only():
    slow = node("slow-but-idle", service_ms=900)
    busy = node("busy", service_ms=10, outstanding=3)
    rule = SameAdmission(get_policy("least-outstanding"))  # type: ignore[arg-type]

    assert choices(get_policy("least-outstanding"), [slow, busy]) == ["slow-but-idle"]
    assert choices(rule, [slow, busy]) == ["busy"]
    (placed,) = rule.place([Item("1", MODEL, 1000, 100.3, 100.0)], FleetState.of([slow]), 100.0)
    assert placed.action == "send"
    assert placed.reason.startswith("late: slow-but-idle")
