"""Figures of a benchmark: shares, paired intervals, and the last line that machines read."""

import random
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from benchmarks.schedule import pipeline, scenarios
from benchmarks.schedule.links import is_synthetic
from benchmarks.schedule.runs import ABLATED, CLAIRVOYANT, OURS
from benchmarks.schedule.scenarios import settings
from scheduling.policy.admission import ADMISSION

RESAMPLES = 1000
DESCRIBES_NOTHING = "edge-only"  # so in two stages it is no comparison
Rows = list[dict[str, Any]]
Table = dict[str, dict[str, Rows]]


def by_scenario(rows: Iterable[dict[str, Any]]) -> dict[str, dict[str, Rows]]:
    table: dict[str, dict[str, Rows]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        table[row["scenario"]][row["policy"]].append(row)
    return table


def share(rows: Rows) -> float:
    """Share of all arrivals that were answered in time."""
    counts = [count for row in rows for count in row["blocks"]]
    return float(sum(in_time for _, in_time in counts) / max(1, sum(arrived for arrived, _ in counts)))


def difference(ours: Rows, other: Rows) -> tuple[float, float]:
    """95 % interval of our share minus the other's: bootstrap over the seeds that both ran on, and within each over
    its blocks of 5 s. Blocks alone would make it too narrow: those of one seed have their weather in common.
    """
    theirs = {row["seed"]: row["blocks"] for row in other}
    seeds = [
        [(mine[0], mine[1] - block[1]) for mine, block in zip(row["blocks"], theirs[row["seed"]], strict=True)]
        for row in ours
        if row["seed"] in theirs
    ]
    rng, found = random.Random("interval"), []
    for _ in range(RESAMPLES):
        drawn = [pair for pairs in rng.choices(seeds, k=len(seeds)) for pair in rng.choices(pairs, k=len(pairs))]
        found.append(sum(d for _, d in drawn) / max(1, sum(n for n, _ in drawn)))
    found.sort()
    return found[int(0.025 * RESAMPLES)], found[int(0.975 * RESAMPLES)]


def is_rule(name: str) -> bool:
    return name not in (OURS, CLAIRVOYANT) and not name.startswith(ABLATED)


def best(policies: dict[str, Rows], *, admission: bool) -> tuple[str, float]:
    """The rule on time most often, of those that ran on all seeds that ours ran on."""
    shares = {
        name: share(rows)
        for name, rows in policies.items()
        if is_rule(name) and name.endswith(ADMISSION) == admission and len(rows) == len(policies[OURS])
    }
    name = max(shares, key=lambda n: shares[n])
    return name, shares[name]


def on_common_seeds(ours: Rows, other: Rows) -> Rows:
    """Our runs on the seeds that the other ran on too."""
    seeds = {row["seed"] for row in other}
    return [row for row in ours if row["seed"] in seeds]


def nearest(policies: dict[str, Rows]) -> list[tuple[str, float, float, float]]:
    """Every rule as (name, our share minus its own on the seeds both ran on, 95 % interval), the nearest first."""
    found = []
    for name, rows in policies.items():
        if is_rule(name):
            gap = share(on_common_seeds(policies[OURS], rows)) - share(rows)
            found.append((name, gap, *difference(policies[OURS], rows)))
    return sorted(found, key=lambda entry: entry[1])


def scenario_summary(policies: dict[str, Rows]) -> dict[str, Any]:
    plain, admitted = best(policies, admission=False), best(policies, admission=True)
    return {
        "actions": sorted({action for row in policies[OURS] for action in row["actions"]}),
        "lost": sum(row["lost"] for row in policies[OURS]),
        "ours": round(share(policies[OURS]), 5),
        "clairvoyant": round(share(policies[CLAIRVOYANT]), 5),
        "best_baseline": [plain[0], round(plain[1], 5)],
        "best_baseline_with_admission": [admitted[0].removesuffix(ADMISSION), round(admitted[1], 5)],
    }


def pipeline_summary(policies: dict[str, Rows]) -> dict[str, dict[str, float]]:
    fields = {"on_time": 4, "p95_ms": 1, "bytes": 0, "cloud_s": 4}
    return {
        name: {f: round(sum(row[f] for row in rows) / len(rows), digits) for f, digits in fields.items()}
        for name, rows in policies.items()
    }


def shortfalls(one_stage: Table, two_stage: Table, allowed: dict[str, tuple[str, ...]]) -> list[str]:
    """What was asked for and was not so, one sentence each: a scenario that did not run, a request that was lost, an
    action that its stations do not allow, a rule that is above ours by more than chance.
    """
    tables = {**one_stage, **two_stage}
    found = [f"{name} did not run." for name in allowed if OURS not in tables.get(name, {})]
    for name, policies in tables.items():
        ours = policies.get(OURS, [])
        lost, done = sum(row["lost"] for row in ours), {action for row in ours for action in row["actions"]}
        found += [f"{name}: {lost} requests were lost."] if lost else []
        found += [f"{name}: '{a}' occurred, which its stations do not allow." for a in sorted(done - {*allowed[name]})]
        rules = above({rule: rows for rule, rows in policies.items() if name in one_stage or rule != DESCRIBES_NOTHING})
        found += [f"{name}: {rule} is above {OURS}, {_points(low, high)} points." for rule, low, high in rules]
    return found


def above(policies: dict[str, Rows]) -> list[tuple[str, float, float]]:
    """The rules that are on time more often than ours, by an interval that excludes zero."""
    compared = nearest(policies) if OURS in policies else []
    return [(rule, -high, -low) for rule, _, low, high in compared if high < 0]


def _points(low: float, high: float) -> str:
    return f"{100 * low:+.2f} to {100 * high:+.2f}"


def last_line(
    one_stage: Table,
    two_stage: Table,
    held: dict[str, float],
    decisions: tuple[float, float],
) -> dict[str, Any]:
    known = (*scenarios.one_stage(), *pipeline.scenarios())
    return {
        "shortfalls": shortfalls(one_stage, two_stage, {scenario.name: scenario.actions for scenario in known}),
        "traces": not any(is_synthetic(name) for pair in settings()["pairs"] for name in pair),
        "scenarios": {name: scenario_summary(policies) for name, policies in one_stage.items()},
        "pipeline": {name: pipeline_summary(policies) for name, policies in two_stage.items()},
        "capacity_share": held[OURS],
        "decision_ms_p50": round(decisions[0], 3),
        "decision_ms_p99": round(decisions[1], 3),
    }
