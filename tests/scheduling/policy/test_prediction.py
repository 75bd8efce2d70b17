"""Predictions against numbers worked out by hand."""

import pytest

from scheduling.policy import FleetState, Item, NodeState
from scheduling.policy.prediction import FleetForecast, Weights

MODEL = "edge_detector"


def node(name="edge", *, slots=1, service_ms=40.0, rate=1e6, rtt_ms=10.0, **options):
    """A Node of known speed: `rate` bytes a second, so 10 kB take 10 ms."""
    made = NodeState(name, capacity=slots, **options)
    made.service.prior_s[MODEL] = service_ms / 1000
    made.link.typical = rate
    made.link.rtt_s = rtt_ms / 1000
    return made


def item(name="1", *, size=10_000, deadline_at=100.3, **options):
    return Item(name, MODEL, size, deadline_at, 100.0, **options)


def predicted_ms(*nodes, wanted, now=100.0, weights=None):
    fleet = FleetForecast(FleetState.of(nodes), now, weights or Weights(), [wanted])
    forecast, took = fleet.best(wanted, wanted.bytes)
    return forecast.name, 1000 * took


@pytest.mark.parametrize(
    ("outstanding", "slots", "expected_ms"),
    [
        # upload 10 + half round trip 5 + service 40 + half round trip 5
        (0, 1, 60.0),
        # the first: arrives at 15, ends at 55; ours arrives at 25, waits until 55, ends at 95, is back at 100
        (1, 1, 100.0),
        # with two slots nobody waits: uplink 20 + 5 + 40 + 5
        (1, 2, 70.0),
        # two before us on two slots end at 55 and 65; ours starts at 55
        (2, 2, 100.0),
    ],
)
def test_outstanding_requests_delay_the_next_one(outstanding, slots, expected_ms):
    edge = node(slots=slots)
    for number in range(outstanding):
        edge.sent(f"before-{number}", 100.0, 10_000, MODEL)

    assert predicted_ms(edge, wanted=item())[1] == pytest.approx(expected_ms)


@pytest.mark.parametrize(
    ("size", "units", "expected_ms"), [(10_000, 1.0, 60.0), (50_000, 1.0, 100.0), (10_000, 3.0, 140.0)]
)
def test_bytes_and_units_count(size, units, expected_ms):
    assert predicted_ms(node(), wanted=item(size=size, units=units))[1] == pytest.approx(expected_ms)


def test_the_uplink_is_a_serial_queue_even_when_the_slots_are_idle():
    edge = node(slots=8)
    for number in range(5):
        edge.sent(f"before-{number}", 100.0, 10_000, MODEL)

    assert predicted_ms(edge, wanted=item())[1] == pytest.approx(60 + 5 * 10 + 0)
    parallel = predicted_ms(edge, wanted=item(), weights=Weights(serial_uplink=False))[1]
    assert parallel == pytest.approx(60)


def test_a_slow_node_is_used_only_when_waiting_for_the_fast_one_is_worse():
    fast, slow = node("fast", service_ms=12), node("slow", service_ms=50)

    assert predicted_ms(fast, slow, wanted=item())[0] == "fast"
    for number in range(5):
        fast.sent(f"before-{number}", 100.0, 10_000, MODEL)
    assert predicted_ms(fast, slow, wanted=item())[0] == "slow"


def test_a_node_whose_predictions_are_off_is_set_back_but_its_time_is_not_changed():
    sure, doubtful = node("sure", service_ms=42), node("doubtful", service_ms=40)
    for error_s in (0.1, -0.1) * 20:
        doubtful.error.observe(error_s)

    name, took = predicted_ms(sure, doubtful, wanted=item())
    assert (name, took) == ("sure", pytest.approx(62))
    assert predicted_ms(sure, doubtful, wanted=item(), weights=Weights(kappa=0))[0] == "doubtful"


def test_an_uplink_that_should_long_have_ended_makes_the_node_slower_by_as_much():
    edge = node()
    edge.sent("stuck", 100.0, 10_000, MODEL)  # expected back at 100.060

    assert edge.slowness(100.05) == 1.0
    assert edge.slowness(100.08) == 1.0  # 1.33 times the expected, within tolerance
    assert edge.slowness(100.60) == pytest.approx(10.0)
    assert predicted_ms(edge, node("other", service_ms=200), wanted=item(), now=100.6)[0] == "other"


def test_an_answer_ends_the_suspicion():
    edge = node()
    edge.sent("stuck", 100.0, 10_000, MODEL)
    assert edge.slowness(100.6) > 5
    edge.answered("stuck", 100.7, 40.0, 0.0)

    assert edge.slowness(100.7) == 1.0


def test_the_scan_by_bounds_finds_the_same_minimum_as_a_full_scan():
    nodes = [node(f"n{i}", slots=1 + i % 3, service_ms=10 + 7 * i, rate=2e5 * (1 + i % 5)) for i in range(30)]
    items = [item(str(i), size=5_000 + 1_700 * (i % 11), units=1 + i % 3) for i in range(48)]
    fleet = FleetForecast(FleetState.of(nodes), 100.0, Weights(), items)
    for wanted in items:
        forecast, took = fleet.best(wanted, wanted.bytes)
        every = [
            one.answer_s(wanted.bytes, fleet.unit_s(MODEL, one) * wanted.units) for one in fleet.forecasts.values()
        ]
        assert took == min(every)
        fleet.take(wanted, wanted.bytes, forecast)
