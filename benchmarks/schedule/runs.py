"""Which policies run on which scenarios. One JSON line for each run: a stopped benchmark goes on where it was."""

import json
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.schedule import pipeline
from benchmarks.schedule.scenarios import (
    Scenario,
    Workload,
    at_capacity,
    build_workload,
    build_world,
    one_stage,
    settings,
)
from benchmarks.schedule.simulator import Clairvoyant, Result, simulate
from benchmarks.schedule.world import World
from scheduling.policy import POLICIES, FleetState, Item, NodeState, Policy, get_policy
from scheduling.policy.admission import ADMISSION, SameAdmission
from scheduling.policy.baselines.base import Baseline
from scheduling.policy.pct_lb import PctLb
from scheduling.policy.prediction import Weights

OURS = "pct-lb"
CLAIRVOYANT = "clairvoyant"
ABLATED = "pct-lb without "
ABLATION: dict[str, Callable[[], PctLb]] = {
    "admission": lambda: PctLb(admission=False),
    "late binding": lambda: PctLb(late_binding=False),
    "patience": lambda: PctLb(patience=False),
    "serial uplink": lambda: PctLb(weights=Weights(serial_uplink=False)),
    "stall and silence": lambda: PctLb(weights=Weights(slowness=False)),
    "wait": lambda: PctLb(weights=Weights(wait=False)),
    "recall": lambda: PctLb(reissues=False),
    "last resort for Nodes in doubt": lambda: PctLb(weights=Weights(doubt=False)),
    "deviation (kappa 0)": lambda: PctLb(weights=Weights(kappa=0.0)),
}
QUANTILES = (*range(0, 100, 5), 97, 98, 99, 100)
ABLATED_ON = ("network@0.6", "slowdowns@0.6", "crash@0.6")


# The policy was tuned on seeds 100 to 115 and, before, on 0. Those from 1000 and 2000 gave earlier figures; the seeds
# from here were first run for the page that stands.
FIRST_SEED = 3000
FIRST_PIPELINE_SEED = 4000


@dataclass(frozen=True, slots=True)
class Size:
    """How much is run. `seconds` of simulated time for each scenario and seed.

    every_rule: for how many of the seeds all rules run; the CONTENDERS run for all. ablated: seeds of the ablation.
    """

    name: str
    seeds: int
    seconds: int
    every_rule: int = 1
    ablated: int = 1

    @property
    def seed_numbers(self) -> range:
        return range(FIRST_SEED, FIRST_SEED + self.seeds)

    @property
    def pipeline_seed_numbers(self) -> range:
        return range(FIRST_PIPELINE_SEED, FIRST_PIPELINE_SEED + self.seeds)

    def asks_for(self, row: dict[str, Any]) -> bool:
        """Whether a kept result is one of this size: a file may hold more than was asked for."""
        seconds = int(row["key"].split("|")[2])
        return seconds == self.seconds and row["seed"] in (*self.seed_numbers, *self.pipeline_seed_numbers)


QUICK = Size("quick", 2, 15)
FULL = Size("full", 6, 15, ablated=2)
# The rules that came near in tuning; the others were points behind and run on fewer seeds.
CONTENDERS = ("edge-only", "peak-ewma", "heartbeat-score-fresh")


class Log:
    """Results kept as JSON lines; a run whose key is there is not run again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text().splitlines() if path.is_file() else []
        self.rows: dict[str, dict[str, Any]] = {(row := json.loads(line))["key"]: row for line in lines if line}

    def run(self, key: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        if key not in self.rows:
            started = time.process_time()
            row = {"key": key, **measure(), "cpu_s": round(time.process_time() - started, 2)}
            self.rows[key] = row
            with self.path.open("a") as lines:
                lines.write(json.dumps(row) + "\n")
        return self.rows[key]


def everyone(rules: Iterable[str] = POLICIES) -> list[str]:
    """Ours, the clairvoyant and `rules`, each of these alone and behind our admission."""
    rules = [name for name in rules if name != OURS]
    return [CLAIRVOYANT, OURS, *rules, *(name + ADMISSION for name in rules)]


def make(name: str, seed: int, world: World, work: Workload) -> Policy:
    """The policy of that name as the benchmark knows it, with chances of its own."""
    if name == CLAIRVOYANT:
        return Clairvoyant(world, work)  # type: ignore[return-value]
    if name.startswith(ABLATED):
        return ABLATION[name.removeprefix(ABLATED)]()
    policy = get_policy(name, random.Random(f"policy {seed}"))
    rule = policy.rule if isinstance(policy, SameAdmission) else policy
    if isinstance(rule, Baseline):
        rule.explained = False
    return policy


def run_one_stage(size: Size, log: Log, say: Callable[[str], None]) -> None:
    """Seed by seed, those that may come near first, so that a stopped benchmark has whole seeds of them."""
    for number, seed in enumerate(size.seed_numbers):
        for scenario in one_stage():
            _run_names(scenario, seed, size.seconds, everyone(CONTENDERS), log)
            say(f"seed {number + 1} of {size.seeds}: {scenario.name}")
    for number, seed in enumerate(size.seed_numbers):
        for scenario in one_stage():
            names = everyone() if number < size.every_rule else []
            if number < size.ablated and scenario.name.startswith(ABLATED_ON):
                names += [ABLATED + term for term in ABLATION]
            _run_names(scenario, seed, size.seconds, names, log)
            say(f"every rule, seed {number + 1}: {scenario.name}")


def _run_names(scenario: Scenario, seed: int, seconds: int, names: list[str], log: Log) -> None:
    work: Workload | None = None
    for name in names:
        key = f"{scenario.name}|{seed}|{seconds}|{name}"
        if key in log.rows:
            continue
        work = work or build_workload(scenario, build_world(scenario, seed, seconds), seed, seconds)
        log.run(key, lambda name=name, work=work: _measure(scenario, seed, seconds, name, work))  # type: ignore[misc]


def _measure(scenario: Scenario, seed: int, seconds: int, name: str, work: Workload) -> dict[str, Any]:
    world = build_world(scenario, seed, seconds)
    result = simulate(make(name, seed, world, work), work, world)
    return {"scenario": scenario.name, "seed": seed, "policy": name, **summary(result), "capacity": work.capacity}


def summary(result: Result) -> dict[str, Any]:
    latencies, errors = sorted(result.latencies_ms) or [0.0], sorted(result.errors)
    quantiles = [round(latencies[int(q / 100 * (len(latencies) - 1))], 1) for q in QUANTILES]
    return {
        "arrived": result.arrived,
        "on_time": result.on_time,
        "actions": dict(result.actions),
        "given_back": result.given_back,
        "lost": result.lost,
        "bytes": round(result.bytes),
        "busy_s": round(result.busy_s, 3),
        "blocks": [result.blocks[b] for b in sorted(result.blocks)],
        "quantiles_ms": quantiles,
        "error_median": errors[len(errors) // 2] if errors else None,
    }


def run_pipeline(size: Size, log: Log, say: Callable[[str], None]) -> None:
    rules = [name for name in POLICIES if name not in (OURS, "edge-only", "cloud-only")]
    seconds = size.seconds
    for number, seed in enumerate(size.pipeline_seed_numbers):
        for scenario in pipeline.scenarios():
            for name in [OURS, "edge-only", "cloud-only", *rules, *(rule + ADMISSION for rule in rules)]:
                key = f"{scenario.name}|{seed}|{seconds}|{name}"
                log.run(key, lambda n=name, sc=scenario, s=seed: _measure_pipeline(sc, s, seconds, n))  # type: ignore[misc]
            say(f"seed {number + 1} of {size.seeds}: {scenario.name}")


def _measure_pipeline(scenario: Scenario, seed: int, seconds: int, name: str) -> dict[str, Any]:
    world, work, frames = pipeline.build(scenario, seed, seconds)
    style = name if name in pipeline.STYLES else "both"
    policy = make(name, seed, world, work)
    result = pipeline.Pipeline(policy, work, world, frames, style, scenario.leeway).outcome()
    return {"scenario": scenario.name, "seed": seed, "policy": name, **asdict(result)}


def run_capacity(size: Size, log: Log, say: Callable[[str], None]) -> dict[str, float]:
    """The largest load, as a share of the capacity bound, at which 99 of 100 arrivals are answered within the SLO.

    Every rule is asked at the load that ours
    holds; a rule that fails there is searched below it.
    """
    names = [OURS, *(n for n in POLICIES if n not in (OURS, "edge-only", "cloud-only", "random", "round-robin"))]
    held = {}
    for name in names:
        held[name] = _largest_held(name, settings()["capacity"]["loads"], size, log)
        say(f"capacity: {name} holds {held[name]:.2f}")
    return held


def _largest_held(name: str, loads: list[float], size: Size, log: Log) -> float:
    low, high = -1, len(loads)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _holds(name, loads[middle], size, log) else (low, middle)
    return loads[low] if low >= 0 else 0.0


def _holds(name: str, load: float, size: Size, log: Log) -> bool:
    _run_names(at_capacity(load), FIRST_SEED, size.seconds, [name], log)
    row = log.rows[f"capacity@{load}|{FIRST_SEED}|{size.seconds}|{name}"]
    return bool(row["on_time"] >= 0.99 * row["arrived"])


def decision_times(rounds: int = 400) -> tuple[float, float]:
    """p50 and p99 of placing 48 items over 50 Nodes with work on each, in milliseconds of processor time."""
    rng = random.Random("decisions")
    state = FleetState.of(NodeState(f"node-{i}", capacity=1 + i % 4) for i in range(50))
    for node in state.nodes.values():
        node.service.prior_s["edge_detector"] = rng.uniform(0.01, 0.1)
        for k in range(node.capacity):
            node.sent(f"{node.name}.{k}", 9.99, 60_000, "edge_detector")
    items = [
        Item(str(i), "edge_detector", rng.randint(20_000, 90_000), 10.3 + rng.random() / 10, 10.0) for i in range(48)
    ]
    policy, times = PctLb(), []
    for number in range(rounds):
        now = 10.0 + number * 1e-6
        started = time.thread_time()
        policy.place(items, state, now)
        times.append(1000 * (time.thread_time() - started))
    times.sort()
    return times[len(times) // 2], times[int(0.99 * len(times))]


def shares(policies: list[str], scenario: Scenario, seed: int, seconds: int) -> dict[str, float]:
    """On-time share of a few policies on one scenario; for tests and for trying a new policy."""
    work = build_workload(scenario, build_world(scenario, seed, seconds), seed, seconds)
    found = {}
    for name in policies:
        world = build_world(scenario, seed, seconds)
        found[name] = simulate(make(name, seed, world, work), work, world).share
    return found
