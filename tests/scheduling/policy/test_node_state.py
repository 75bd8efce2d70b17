"""The ledger, the estimates and the breaker of one Node, under anything that may be reported to them."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling.policy import NodeState
from scheduling.policy.breaker import Breaker

MODEL = "edge_detector"
NUMBERS = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True), st.floats(0, 1e4))
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["sent", "answered", "failed", "probed", "dead"]),
        st.integers(0, 6),
        st.floats(-5, 5),
        NUMBERS,
        NUMBERS,
        st.sampled_from([None, 0, 1, 3, 8, -2]),
        st.sampled_from(["unavailable", "timeout", "bad_frame"]),
    ),
    max_size=60,
)


def happen(node, events):
    """Apply the events; the clock mostly goes on, and sometimes back."""
    at = 1000.0
    for kind, number, step, one, two, batch, code in events:
        at += step
        request = f"r{number}"
        if kind == "sent":
            node.sent(request, at, 1000.0 if one is None else one, MODEL, 1.0 if two is None else two)
        elif kind == "answered":
            node.answered(request, at, one, two, batch)
        elif kind == "failed":
            node.failed(request, at, code)
        else:
            node.probed(at, one, ok=kind == "probed")
        yield at


@settings(deadline=None)
@given(EVENTS)
def test_no_report_breaks_the_ledger_or_the_estimates(events):
    node = NodeState("edge", capacity=2)
    outstanding = set()
    for (kind, number, *_), at in zip(events, happen(node, events), strict=False):
        if kind == "sent":
            outstanding.add(f"r{number}")
        elif kind in ("answered", "failed"):
            outstanding.discard(f"r{number}")
        assert set(node.ledger) == outstanding
        assert node.credit(MODEL) >= 0
        assert math.isfinite(node.link.rate(at))
        assert node.link.rate(at) > 0
        assert math.isfinite(node.seconds(MODEL))
        assert node.seconds(MODEL) >= 0
        assert math.isfinite(node.error.sigma_s)
        assert node.slowness(at) >= 1.0


@settings(deadline=None)
@given(EVENTS)
def test_a_state_survives_being_written_and_read(events):
    node = NodeState("edge", models=frozenset({MODEL}))
    at = max(happen(node, events), default=1000.0)
    read = NodeState.from_json(json.loads(json.dumps(node.to_json())))

    assert read.to_json() == node.to_json()
    assert read.projection(at + 0.5) == node.projection(at + 0.5)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["sent", "good", "bad"]), st.floats(0, 3)), max_size=60))
def test_a_breaker_moves_only_along_its_arrows(events):
    allowed = {("closed", "open"), ("open", "half-open"), ("half-open", "open"), ("half-open", "closed")}
    breaker, at = Breaker(), 0.0
    for kind, step in events:
        at += step
        before = breaker.state
        if kind == "sent":
            if not breaker.allows(at):
                continue
            breaker.sent(at)
        elif before == "open":
            continue  # nothing is under way on an open breaker but what was sent before it opened
        elif kind == "good":
            breaker.succeeded(at)
        else:
            breaker.failed(at)
        assert before == breaker.state or (before, breaker.state) in allowed


def test_three_failures_in_a_row_open_the_breaker_and_a_canary_closes_it():
    node = NodeState("edge")
    for number in range(3):
        node.sent(f"r{number}", 100.0, 1000, MODEL)
        node.failed(f"r{number}", 100.1, "unavailable")

    assert node.why_not(MODEL, 100.5) == "breaker open"
    assert node.why_not(MODEL, 101.2) == ""
    assert node.credit(MODEL) == 1
    node.sent("canary", 101.2, 1000, MODEL)
    assert node.why_not(MODEL, 101.5) == "breaker half-open"
    node.answered("canary", 101.6, 40.0, 0.0)
    assert node.why_not(MODEL, 101.7) == ""


def test_half_of_ten_calls_failing_opens_the_breaker():
    breaker = Breaker()
    for number in range(10):
        (breaker.failed if number % 2 else breaker.succeeded)(100.0 + number)

    assert breaker.state == "open"


def test_two_failed_probes_open_the_breaker_without_any_traffic():
    node = NodeState("edge")
    node.probed(100.0, None, ok=False)
    assert node.why_not(MODEL, 100.1) == ""
    node.probed(100.5, None, ok=False)

    assert node.why_not(MODEL, 100.6) == "breaker open"


def test_a_bad_frame_is_not_the_nodes_fault():
    node = NodeState("edge")
    for number in range(20):
        node.sent(f"r{number}", 100.0, 1000, MODEL)
        node.failed(f"r{number}", 100.1, "bad_frame")

    assert node.breaker.state == "closed"


def test_answers_nobody_waits_for_are_counted_and_change_nothing():
    node = NodeState("edge")
    node.sent("r", 100.0, 1000, MODEL)
    node.answered("r", 100.1, 40.0, 0.0)
    before = node.seconds(MODEL)
    node.answered("r", 100.2, 4000.0, 0.0)
    node.answered("after failover", 100.3, 4000.0, 0.0)

    assert node.counts["unexpected_answers"] == 2
    assert node.seconds(MODEL) == before


@pytest.mark.parametrize("service_ms", [math.nan, math.inf, -3.0, None, 99_000.0])
def test_a_service_time_that_no_clock_measured_teaches_nothing(service_ms):
    node = NodeState("edge")
    node.sent("r", 100.0, 1000, MODEL)
    node.answered("r", 100.1, service_ms, 0.0)

    assert node.service.by_model == {}
    assert node.counts["implausible_timings"] == 1
    assert not node.ledger


def test_service_times_believe_bad_news_fast_and_forget_it_slowly():
    node = NodeState("edge")
    for number, service_ms in enumerate((40.0, 140.0, 40.0)):
        node.sent(f"r{number}", 100.0 + number, 1000, MODEL)
        node.answered(f"r{number}", 100.5 + number, service_ms, 0.0)

    assert 1000 * node.seconds(MODEL) == pytest.approx((40 + 0.4 * 100) - 0.1 * 40)


@pytest.mark.parametrize(
    ("capacity", "batch", "each_ms"),
    [(1, 1, 40.0), (1, 4, 10.0), (4, 4, 40.0), (4, 2, 40.0), (2, 4, 20.0), (1, 0, 40.0), (1, None, 40.0)],
)
def test_a_batch_takes_no_more_places_than_its_node_has(capacity, batch, each_ms):
    """On a Node of one place four in a batch of 40 ms are four of 10; on one of four each keeps a place for 40."""
    node = NodeState("gpu", capacity=capacity)
    node.sent("r", 100.0, 1000, MODEL)
    node.answered("r", 100.5, 40.0, 0.0, batch)

    assert 1000 * node.seconds(MODEL) == pytest.approx(each_ms)


def test_what_an_earlier_version_recorded_of_batches_is_read_as_the_time_of_one():
    data = NodeState("edge").to_json()
    data["max_batch"] = 8
    data["service"]["by_model"] = {MODEL: {"1": 0.02, "4": 0.05}}

    assert NodeState.from_json(data).seconds(MODEL) == 0.02


@pytest.mark.parametrize(("rtt_ms", "credit"), [(0.0, 3), (40.0, 5), (200.0, 12)])
def test_credit_hides_the_round_trip(rtt_ms, credit):
    node = NodeState("cloud", capacity=2)
    node.service.prior_s[MODEL] = 0.045
    node.link.rtt_s = rtt_ms / 1000

    assert node.credit(MODEL) == credit


def test_the_rate_of_a_link_is_learned_from_what_is_left_of_the_latency():
    node = NodeState("edge")
    node.link.rtt_s = 0.010
    for number in range(20):
        at = 100.0 + number
        node.sent(f"r{number}", at, 50_000, MODEL)
        node.answered(f"r{number}", at + 0.010 + 0.1 + 0.040 + 0.005, 40.0, 5.0)

    assert node.link.rate(119.3) == pytest.approx(500_000, rel=0.01)


def test_an_old_reading_drifts_back_to_what_the_link_usually_gives():
    node = NodeState("edge")
    node.link.typical, node.link.uploads = 1e6, 1000
    node.link.observe_upload(100.0, 60_000, 6.0)

    assert node.link.rate(100.1) < 20_000
    assert node.link.rate(103.0) < node.link.rate(110.0) < 1e6
    assert node.link.rate(200.0) == pytest.approx(node.link.typical)
