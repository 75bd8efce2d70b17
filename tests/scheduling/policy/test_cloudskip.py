"""The threshold for skipping the cloud: its bound is exact, and it never promises more than the data prove."""

import random

import pytest
from scipy.stats import beta

from scheduling.policy.cloudskip import audited, calibrate, disproved, upper_bound


@pytest.mark.parametrize(("wrong", "total"), [(0, 300), (1, 500), (7, 1000), (40, 90), (0, 1)])
def test_the_bound_is_clopper_and_pearsons(wrong, total):
    assert upper_bound(wrong, total, 0.05) == pytest.approx(beta.ppf(0.95, wrong + 1, total - wrong), rel=1e-6)


def test_without_enough_evidence_nothing_is_skipped():
    found = calibrate([0.99] * 200, [True] * 200, epsilon=0.01)

    assert found.tau is None
    assert not found.sure(1.0)
    assert "nothing may be skipped" in str(found)


def test_a_threshold_is_proven_where_the_edge_is_right():
    rng = random.Random(3)
    scores = [rng.random() for _ in range(5000)]
    found = calibrate(scores, [s > 0.5 or rng.random() < 0.7 for s in scores], epsilon=0.02)

    assert 0.45 < found.tau < 0.6
    assert found.upper_bound <= 0.02
    assert found.sure(0.99)
    assert not found.sure(float("nan"))


def test_the_promise_holds_as_often_as_it_says():
    """True error at tau above epsilon in at most about delta of the calibrations."""
    rng, broken, rounds = random.Random(5), 0, 200
    for _ in range(rounds):
        scores = [rng.random() for _ in range(800)]
        found = calibrate(scores, [rng.random() < 0.9 + 0.1 * s for s in scores], epsilon=0.03, delta=0.1, steps=20)
        if found.tau is not None:
            true_error = 0.1 - 0.1 * (1 + found.tau) / 2
            broken += true_error > 0.03
    assert broken / rounds <= 0.1 + 0.065


def test_outcomes_must_match_scores():
    with pytest.raises(ValueError, match="2 scores but 1 outcomes"):
        calibrate([0.1, 0.2], [True])


def test_the_audit_sample_is_the_same_on_every_worker_and_of_the_size_asked():
    keys = [f"region-{n}" for n in range(20_000)]
    sample = {k for k in keys if audited(k)}

    assert sample == {k for k in keys if audited(k)}
    assert 0.017 < len(sample) / len(keys) < 0.023


def test_an_audit_alarms_only_when_the_bound_is_disproven():
    scores = [i / 1000 for i in range(1000)]
    found = calibrate(scores, [True] * 1000)

    assert not disproved(1, 100, epsilon=found.epsilon, delta=found.delta)
    assert disproved(6, 100, epsilon=found.epsilon, delta=found.delta)
    assert not disproved(0, 0, epsilon=found.epsilon, delta=found.delta)
