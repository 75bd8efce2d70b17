"""Policies by name, as a line's settings and the benchmark know them. Adding a policy adds one line here."""

import random
from collections.abc import Callable

from scheduling.policy.admission import ADMISSION, SameAdmission
from scheduling.policy.baselines.base import Baseline
from scheduling.policy.baselines.c3 import C3
from scheduling.policy.baselines.heartbeat_score import HeartbeatScore
from scheduling.policy.baselines.hot_cold import HotCold
from scheduling.policy.baselines.least_outstanding import LeastOutstanding
from scheduling.policy.baselines.one_kind import OneKind
from scheduling.policy.baselines.peak_ewma import PeakEwma
from scheduling.policy.baselines.power_of_two import PowerOfTwo
from scheduling.policy.baselines.random_choice import RandomChoice
from scheduling.policy.baselines.round_robin import RoundRobin
from scheduling.policy.baselines.shortest_expected_delay import ShortestExpectedDelay
from scheduling.policy.baselines.weighted_least_outstanding import WeightedLeastOutstanding
from scheduling.policy.baselines.weighted_round_robin import WeightedRoundRobin
from scheduling.policy.pct_lb import PctLb
from scheduling.policy.protocol import Policy

POLICIES: dict[str, Callable[[random.Random], Policy]] = {
    "pct-lb": lambda rng: PctLb(),
    "random": RandomChoice,
    "round-robin": lambda rng: RoundRobin(),
    "weighted-round-robin": lambda rng: WeightedRoundRobin(),
    "power-of-two": PowerOfTwo,
    "least-outstanding": lambda rng: LeastOutstanding(),
    "weighted-least-outstanding": lambda rng: WeightedLeastOutstanding(),
    "shortest-expected-delay": lambda rng: ShortestExpectedDelay(),
    "peak-ewma": lambda rng: PeakEwma(),
    "c3": lambda rng: C3(),
    "hot-cold": lambda rng: HotCold(),
    "heartbeat-score-fresh": lambda rng: HeartbeatScore(age_s=0.0),
    "heartbeat-score-1s": lambda rng: HeartbeatScore(age_s=1.0),
    "edge-only": lambda rng: OneKind("edge"),
    "cloud-only": lambda rng: OneKind("cloud"),
}


def get_policy(name: str, rng: random.Random | None = None) -> Policy:
    """A fresh policy: some keep a counter or an old reading, so each worker makes its own. ValueError if unknown.

    A rule's name and `+admission` is the rule behind our admission: benchmarks compare with it, no line offers it.
    rng: where the random rules take their chances; seeded by the system when None.
    """
    plain = name.removesuffix(ADMISSION)
    policy = POLICIES[plain](rng or random.Random()) if plain in POLICIES else None
    if policy is not None and plain == name:
        return policy
    if isinstance(policy, Baseline):
        return SameAdmission(policy)
    raise ValueError(f"No policy '{name}'; choose one of {', '.join(sorted(POLICIES))}.")
