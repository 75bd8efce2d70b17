"""From what became of each arrival to the figures of the verdict. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.schedule_real.faults import Noticed
from benchmarks.schedule_real.scenario import PHASES
from benchmarks.schedule_real.worker import Outcome

OURS = "pct-lb"
ABOVE = 0.01  # a rule may be above ours by chance, but by no more than that


def on_time_share(outcomes: Iterable[Outcome], *, start_s: float = 0.0, end_s: float = math.inf) -> float | None:
    """Share of the arrivals of that stretch that were committed within their deadline; None without any."""
    counted = [one for one in outcomes if start_s <= one.arrival.at_s < end_s]
    if not counted:
        return None
    return sum(is_on_time(one) for one in counted) / len(counted)


def is_on_time(one: Outcome) -> bool:
    return one.committed_at_s is not None and one.committed_at_s <= one.arrival.at_s + one.arrival.deadline_s


def latency_p95_ms(outcomes: Iterable[Outcome]) -> float | None:
    """From arrival to commit, lost ones as infinite; None without arrivals."""
    took = sorted(
        math.inf if one.committed_at_s is None else 1000 * (one.committed_at_s - one.arrival.at_s)
        for one in outcomes
        if one.arrival.at_s >= 0
    )
    return took[math.ceil(0.95 * len(took)) - 1] if took else None


def prediction_error(outcomes: Iterable[Outcome]) -> float | None:
    """Median of |predicted - measured| / measured over the first attempts that were answered."""
    errors = [
        abs(one.predicted_ms - one.measured_ms) / one.measured_ms
        for one in outcomes
        if one.arrival.at_s >= 0 and one.predicted_ms is not None and one.measured_ms
    ]
    return median(errors) if errors else None


def verdict(
    runs: Mapping[str, Sequence[dict[int, Outcome]]], noticed: Sequence[Noticed], accepted: Sequence[int]
) -> dict[str, Any]:
    """The last line. `runs`: of each policy, one for each repeat; `accepted`: how many arrivals each repeat had."""
    every = [run for policy in runs.values() for run in policy]
    said = _figures(runs, noticed, accepted, every)
    return said | {"shortfalls": shortfalls(said, noticed)}


def shortfalls(said: Mapping[str, Any], noticed: Sequence[Noticed]) -> list[str]:
    """What was asked for and was not so, one sentence each."""
    found = [f"{said[what]} requests were {what}." for what in ("lost", "doubled") if said[what]]
    shares = said["on_time"]
    ours = shares.get(OURS)
    for rule, share in shares.items():
        if ours is not None and (share or 0.0) > ours + ABOVE:
            found.append(f"{rule} was on time more often than {OURS}: {share:.2%} against {ours:.2%}.")
    for one in noticed:
        if one.out_s is None or one.back_s is None:
            found.append(f"{one.node}, {one.what}, was not {'out of' if one.out_s is None else 'back in'} rotation.")
    return found


def _figures(
    runs: Mapping[str, Sequence[dict[int, Outcome]]],
    noticed: Sequence[Noticed],
    accepted: Sequence[int],
    every: Sequence[dict[int, Outcome]],
) -> dict[str, Any]:
    return {
        "on_time": {policy: _rounded(_median(on_time_share(r.values()) for r in rs), 4) for policy, rs in runs.items()},
        "p95_ms": {policy: _rounded(_median(latency_p95_ms(r.values()) for r in rs), 1) for policy, rs in runs.items()},
        "killed_out_s": _worst(noticed, "killed", "out_s"),
        "stopped_out_s": _worst(noticed, "stopped", "out_s"),
        "back_s": _worst(noticed, "", "back_s"),
        "lost": sum(accepted) * len(runs) - sum(one.commits > 0 for run in every for one in run.values()),
        "doubled": sum(one.commits > 1 for run in every for one in run.values()),
        "prediction_error_median": _rounded(_median(prediction_error(r.values()) for r in runs.get(OURS, ())), 3),
        "on_time_by_phase": {
            phase: {policy: _rounded(_median(_phase(r, phase) for r in rs), 4) for policy, rs in runs.items()}
            for phase in PHASES
        },
        "silent_out_s": _worst(noticed, "silent", "out_s"),
        "repeats": len(accepted),
    }


def _phase(run: dict[int, Outcome], phase: str) -> float | None:
    start_s, end_s = PHASES[phase]
    return on_time_share(run.values(), start_s=start_s, end_s=end_s)


def _worst(noticed: Sequence[Noticed], what: str, attribute: str) -> float | None:
    """The longest of them all; None when one was never noticed, or none happened."""
    found = [getattr(one, attribute) for one in noticed if one.what == what or not what]
    return None if not found or None in found else _rounded(max(found), 2)


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None or math.isinf(value) else round(value, digits)
