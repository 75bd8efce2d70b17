"""What left is called back while another Node can still make the deadline, and a Node in doubt comes last."""

import pytest

from scheduling.policy import FleetState, Item, NodeState
from scheduling.policy.admission import SameAdmission
from scheduling.policy.baselines.shortest_expected_delay import ShortestExpectedDelay
from scheduling.policy.node import REISSUED
from scheduling.policy.pct_lb import PctLb

MODEL = "edge_detector"


def node(name, *, service_ms=40.0, rate=1e6, rtt_ms=10.0, **options):
    made = NodeState(name, **options)
    made.service.prior_s[MODEL] = service_ms / 1000
    made.link.typical = rate
    made.link.rtt_s = rtt_ms / 1000
    return made


def item(name="1", *, deadline_at=100.3, **options):
    return Item(name, MODEL, 10_000, deadline_at, 100.0, **options)


def place(wanted, *nodes, policy=None):
    return (policy or PctLb()).place([wanted], FleetState.of(nodes), 100.0)[0]


def reissued(made, *, sent_at=99.8, at=99.95):
    made.sent("late", sent_at, 10_000, MODEL)
    made.failed("late", at, REISSUED)
    return made


def test_an_answer_that_is_long_overdue_is_called_back_in_time_for_the_next_best_node():
    placed = place(item(), node("fast"), node("other", service_ms=80))  # 60 and 100 ms

    assert placed.node == "fast"
    assert placed.reissue_s == pytest.approx(0.150)  # twice 60 ms and 30 more; the other would need 100 of the 300


def test_it_is_called_back_sooner_where_the_other_node_needs_the_time():
    placed = place(item(), node("fast"), node("other", service_ms=120))  # 60 and 140 ms

    assert placed.reissue_s == pytest.approx(0.300 - 1.25 * 0.140 - 0.010)


@pytest.mark.parametrize(
    ("wanted", "others"),
    [
        (item(), []),
        (item(excluded=frozenset({"other"})), ["other"]),
        (item(attempt=3), ["other"]),
        (item(deadline_at=100.18), ["other"]),
    ],
    ids=["nobody else", "nobody else may", "last attempt", "no time for a second try"],
)
def test_it_is_left_to_run_where_calling_it_back_could_not_help(wanted, others):
    placed = place(wanted, node("fast"), *(node(name, service_ms=80) for name in others))

    assert placed.node == "fast"
    assert placed.reissue_s is None


def test_a_node_that_has_never_answered_is_let_to_answer():
    unknown = node("unknown")
    del unknown.service.prior_s[MODEL]
    placed = place(item(), unknown, node("other", service_ms=80))
    assert (placed.node, placed.reissue_s) == ("unknown", None)

    unknown.sent("first", 99.0, 10_000, MODEL)
    unknown.answered("first", 99.1, 50.0, 0.0)
    assert place(item(), unknown, node("other", service_ms=80)).reissue_s is not None


def test_late_work_is_never_called_back():
    placed = place(item(deadline_at=99.0), node("fast"), node("other"))

    assert placed.sends
    assert placed.reissue_s is None


def test_a_recall_casts_doubt_without_tripping_the_breaker():
    slow = node("slow")
    for number in range(5):
        slow.sent(f"r{number}", 99.0 + number / 10, 10_000, MODEL)
        slow.failed(f"r{number}", 99.05 + number / 10, REISSUED)

    assert slow.doubted
    assert slow.breaker.state == "closed"
    assert slow.counts["reissues"] == 5


def test_what_was_called_back_bounds_the_rate_of_the_link():
    stalled = reissued(node("stalled"), sent_at=99.0, at=99.5)

    assert stalled.link.rate(99.5) <= 10_000 / 0.5


def test_a_node_in_doubt_serves_only_what_no_other_can():
    doubted = reissued(node("doubted", service_ms=5))
    doubted.link.forget_rate(99.95)

    assert place(item(), doubted, node("other", service_ms=150)).node == "other"
    assert place(item(), doubted, node("other", service_ms=600)).node == "doubted"
    assert place(item(), doubted).node == "doubted"


@pytest.mark.parametrize("clears", ["answer", "probe"])
def test_an_answer_or_a_quick_probe_ends_the_doubt(clears):
    doubted = reissued(node("doubted", service_ms=5))
    if clears == "answer":
        doubted.sent("good", 99.96, 100, MODEL)
        doubted.answered("good", 99.98, 5.0, 0.0)
    else:
        doubted.probed(99.98, 10.0)
        doubted.probed(99.99, 10.0)

    assert not doubted.doubted


def test_the_same_admission_lets_a_rule_use_a_doubted_node_only_it_can_answer():
    doubted = reissued(node("doubted", service_ms=5))
    doubted.link.forget_rate(99.95)
    policy = SameAdmission(ShortestExpectedDelay())

    assert place(item(), doubted, node("other", service_ms=600), policy=policy).node == "doubted"
