"""What pct-lb decides, and how it says so."""

import json

import pytest

from scheduling.policy import FleetState, Item, NodeState, Quality, get_policy
from scheduling.policy.pct_lb import PctLb

MODEL = "edge_detector"
HALF = Quality("JPEG 50", 50, 0.5)


def node(name, *, slots=1, service_ms=40.0, rate=1e6, rtt_ms=10.0, **options):
    made = NodeState(name, capacity=slots, **options)
    made.service.prior_s[MODEL] = service_ms / 1000
    made.link.typical = rate
    made.link.rtt_s = rtt_ms / 1000
    return made


def item(name="1", *, size=10_000, deadline_at=100.3, **options):
    return Item(name, MODEL, size, deadline_at, 100.0, **options)


def place(*items, nodes, now=100.0, policy=None):
    return {p.item_id: p for p in (policy or PctLb()).place(items, FleetState.of(nodes), now)}


def test_a_decision_says_what_was_predicted_and_what_else_was_possible():
    fast, slow, away = node("edge-gpu-2", service_ms=23), node("orin-1"), node("jetson-1", drained=True)

    placed = place(item(), nodes=[fast, slow, away])["1"]

    assert placed.reason == (
        "edge-gpu-2: 43 ms predicted (upload 10, wait 0, service 23, round trip 10); orin-1 60 ms; jetson-1 drained"
    )
    assert placed.predicted_ms == pytest.approx(43)
    assert placed.breakdown.total_ms == pytest.approx(placed.predicted_ms)
    assert [(a.node, a.why_not) for a in placed.alternatives] == [("orin-1", None), ("jetson-1", "drained")]


def test_a_decision_is_explained_as_it_was_made_also_when_asked_later():
    edge, other = node("edge"), node("other", service_ms=90)
    placed = place(item("a"), item("b"), nodes=[edge, other])
    edge.sent("a", 100.0, 10_000, MODEL)
    edge.answered("a", 100.2, 150.0, 0.0)

    assert placed["b"].alternatives[0].predicted_ms == pytest.approx(110)
    assert placed["b"].breakdown.wait_ms == pytest.approx(30)


@pytest.mark.parametrize(
    ("change", "why_not"),
    [
        ({"drained": True}, "drained"),
        ({"refusal": "serves contract 3, this system speaks 4"}, "serves contract 3, this system speaks 4"),
        ({"models": frozenset({"describer"})}, "does not serve edge_detector"),
    ],
)
def test_a_node_out_of_the_question_is_an_alternative_with_its_reason(change, why_not):
    placed = place(item(), nodes=[node("edge"), node("out", service_ms=1, **change)])["1"]

    assert placed.node == "edge"
    assert [(a.node, a.predicted_ms, a.why_not) for a in placed.alternatives] == [("out", None, why_not)]


def test_an_item_keeps_away_from_nodes_that_failed_it():
    placed = place(item(excluded=frozenset({"out"})), nodes=[node("edge"), node("out", service_ms=1)])["1"]

    assert placed.node == "edge"
    assert placed.alternatives[0].why_not == "failed this request before"


def test_an_open_breaker_takes_a_node_out_and_its_canary_brings_it_back():
    edge, broken = node("edge"), node("broken", service_ms=1)
    broken.breaker.open(99.5)

    assert place(item(), nodes=[edge, broken])["1"].node == "edge"
    late = place(item(deadline_at=101.3), nodes=[edge, broken], now=100.6)["1"]
    assert late.node == "broken"


def test_only_items_with_credit_leave_and_the_rest_wait_for_their_node():
    items = [item(str(n), size=100) for n in range(5)]

    placed = place(*items, nodes=[node("edge", rtt_ms=0)])

    assert [placed[str(n)].action for n in range(5)] == ["send", "send", "wait", "wait", "wait"]


def test_the_earliest_deadline_goes_first_whatever_the_order_of_arrival():
    early, late = item("early", deadline_at=100.2), item("late", deadline_at=100.3)

    placed = place(late, early, nodes=[node("edge")])

    assert placed["early"].predicted_ms < placed["late"].predicted_ms


def test_an_item_that_fits_nowhere_gets_a_lower_quality_first():
    wanted = item(size=300_000, qualities=(HALF,))

    placed = place(wanted, nodes=[node("edge")])["1"]

    assert (placed.action, placed.node, placed.quality) == ("degrade", "edge", HALF)
    assert "at JPEG 50" in placed.reason


@pytest.mark.parametrize(("edge_sure", "action"), [(True, "skip"), (False, "send")])
def test_what_nobody_answers_in_time_is_skipped_where_the_edge_is_sure_and_else_late(edge_sure, action):
    wanted = item(size=900_000, qualities=(HALF,), edge_sure=edge_sure)

    placed = place(wanted, nodes=[node("edge")])["1"]

    assert placed.action == action
    assert ("late: " if action == "send" else "skipped: ") in placed.reason


def test_what_the_edge_is_sure_of_is_sent_like_any_other_while_there_is_time():
    assert place(item(edge_sure=True), nodes=[node("edge")])["1"].action == "send"


def test_an_item_that_could_still_make_it_waits_instead_of_being_refused():
    busy = node("edge", service_ms=100)
    for number in range(3):
        busy.sent(f"before-{number}", 100.0, 10_000, MODEL)

    placed = place(item(), nodes=[busy])["1"]

    assert placed.action == "wait"
    assert "no Node is predicted within 300 ms" in placed.reason


def test_late_work_leaves_half_of_a_node_for_live_items():
    cloud = node("cloud", slots=4, service_ms=50, rate=1e8)
    late = [item(str(n), deadline_at=95.0) for n in range(4)]

    placed = place(*late, nodes=[cloud])
    assert [p.action for p in placed.values()] == ["send", "wait", "wait", "wait"]

    cloud.sent("0", 100.0, 10_000, MODEL)
    cloud.sent("x", 100.0, 10_000, MODEL)
    later = place(*late[1:], nodes=[cloud], now=100.01)
    assert {p.action for p in later.values()} == {"wait"}


def test_late_work_keeps_a_node_of_one_slot_busy_while_nothing_live_waits():
    cloud = node("cloud", slots=1, service_ms=50, rate=1e8)
    cloud.sent("0", 100.0, 10_000, MODEL)
    late = item("1", deadline_at=95.0)
    live = item("2", deadline_at=100.03)

    assert place(late, nodes=[cloud], now=100.01)["1"].action == "send"
    assert place(late, live, nodes=[cloud], now=100.01)["1"].action == "wait"
    cloud.sent("3", 100.01, 10_000, MODEL)
    assert place(late, nodes=[cloud], now=100.02)["1"].action == "wait"


def test_what_is_late_anyway_does_not_take_the_place_of_what_can_still_make_it():
    cloud = node("cloud", slots=1, service_ms=50, rate=1e8)
    late, live = item("1", deadline_at=95.0), item("2", deadline_at=100.3)
    assert {name: one.action for name, one in place(late, live, nodes=[cloud]).items()} == {"1": "wait", "2": "send"}


def fully_loaded_with_live_work(now):
    """A Node of which more than half is always busy, and live items that wait for the rest."""
    busy = node("edge", slots=2, service_ms=40, rate=1e8)
    for number in range(2):
        busy.sent(f"live-{number}", now - 0.01, 10_000, MODEL)
    return busy, [item(f"next-{n}", deadline_at=now + 0.3) for n in range(4)]


@pytest.mark.parametrize(("late_s", "goes"), [(9.0, False), (11.0, True)])
def test_what_has_long_been_late_goes_ahead_once_in_a_while_under_a_load_that_never_ends(late_s, goes):
    turns = []
    for number in range(8):
        now = 100.0 + number * 0.125 + 0.06
        busy, live = fully_loaded_with_live_work(now)
        placed = place(item("late", deadline_at=now - late_s), *live, nodes=[busy], now=now)
        turns.append(placed["late"].action == "send")

    assert turns.count(True) == (1 if goes else 0)


def test_without_any_node_an_item_waits():
    assert place(item(), nodes=[])["1"].action == "wait"
    assert place(item(), nodes=[node("edge", drained=True)])["1"].action == "wait"
    assert place(item(edge_sure=True, deadline_at=99.0), nodes=[])["1"].action == "skip"


def test_a_recorded_state_replays_to_the_identical_decision():
    nodes = [node("edge", slots=2), node("cloud", rtt_ms=40, rate=3e6, slots=8, service_ms=20)]
    for number in range(6):
        target = nodes[number % 2]
        target.sent(f"r{number}", 100 + number / 100, 40_000 + number, MODEL)
        if number % 3 == 0:
            target.answered(f"r{number}", 100.09 + number / 100, 33.3 + number, 0.7)
    nodes[0].failed("r2", 100.12, "unavailable")
    waiting = [item(str(n), size=30_000 + 999 * n, deadline_at=100.5, qualities=(HALF,)) for n in range(12)]
    state = FleetState.of(nodes)
    recorded = json.loads(json.dumps(state.to_json()))

    for now in (100.13, 100.2, 101.7):
        policy = get_policy("pct-lb")
        live = [p.to_json() for p in policy.place(waiting, state, now)]
        replayed = [p.to_json() for p in policy.place(waiting, FleetState.from_json(recorded), now)]
        assert live == replayed


def test_placing_does_not_change_the_state():
    edge = node("edge")
    edge.sent("before", 100.0, 10_000, MODEL)
    before = edge.to_json()
    place(*(item(str(n)) for n in range(10)), nodes=[edge])

    assert edge.to_json() == before


def test_an_unknown_policy_is_refused_with_the_names_there_are():
    with pytest.raises(ValueError, match="No policy 'best'; choose one of c3, "):
        get_policy("best")
