"""Writes the results page: tables, two plots, and how to repeat them. Every figure comes from the runs given."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

from benchmarks.schedule import figures, pipeline, scenarios
from benchmarks.schedule.links import is_synthetic
from benchmarks.schedule.runs import (
    ABLATED,
    CLAIRVOYANT,
    FIRST_PIPELINE_SEED,
    FIRST_SEED,
    OURS,
    QUANTILES,
    Size,
)
from benchmarks.schedule.scenarios import settings
from scheduling.policy.admission import ADMISSION

NOTES = Path(__file__).with_name("notes.md")
Table = dict[str, dict[str, figures.Rows]]
ACTIONS = ("send", "degrade", "wait", "skip")
PLOTTED = (OURS, CLAIRVOYANT, "shortest-expected-delay", "peak-ewma", "heartbeat-score-fresh", "edge-only+admission")


def write(
    folder: Path, size: Size, one_stage: Table, two_stage: Table, held: dict[str, float], line: dict[str, Any]
) -> None:
    """`scheduling.md` and its plots in `folder`. Scenarios without a run of ours or the clairvoyant are left out."""
    folder.mkdir(parents=True, exist_ok=True)
    _plot_latency(one_stage, folder / "scheduling-latency.svg")
    _plot_load(one_stage, folder / "scheduling-load.svg")
    parts = [
        _head(size, one_stage),
        _actions(one_stage, two_stage),
        _shares(one_stage),
        _details(one_stage),
        _every_rule(one_stage),
    ]
    parts += [_ablation(one_stage)]
    parts += [
        _pipeline(two_stage),
        _limits(held, line),
        _accuracy(folder / "degradation.json"),
        NOTES.read_text().strip(),
        _repeat(),
    ]
    (folder / "scheduling.md").write_text("\n\n".join(part for part in parts if part) + "\n")


def _head(size: Size, one_stage: Table) -> str:
    traces = sorted({name for pair in settings()["pairs"] for name in pair})
    made_up = [name for name in traces if is_synthetic(name)]
    source = "synthetic traces (AIVD_DATA was not set)" if made_up else "the 5G traces of `AIVD_DATA/5g`"
    seeds = {row["seed"] for policies in one_stage.values() for rows in policies.values() for row in rows}
    return (
        "# Choosing a node: results\n\n"
        "Simulated; the policy is the very module that the workers import. "
        f"Links follow {source}. The {size.name} form: {len(seeds)} of {size.seeds} seeds, {size.seconds} s of "
        "simulated time for each scenario and seed, identical arrivals, payloads, service noise and weather for "
        "every policy.\n\n"
        "A request is the Item that the worker makes of a Step (`scheduling/policy/items.py`; a test compares them "
        "field by field): what was accepted is never dropped, and after its deadline it waits for spare capacity.\n\n"
        "*On time* is the share of all arrivals answered within 300 ms. *Same admission* lets pct-lb hold back in "
        "front of a rule what no Node is predicted to answer in time: the rule chooses among the others. Every rule "
        "shares the breaker and the failover; calling back what is long overdue is pct-lb's own, and the ablation "
        "shows what it is worth. "
        "Intervals are a 95 % bootstrap of the paired difference, over the seeds and within each over stretches of "
        "5 s, in points: pct-lb is called better only where the interval excludes zero.\n\n"
        f"The policy was tuned on seeds 100 to 115 (and, long before, on 0). The seeds of this page begin at "
        f"{FIRST_SEED}, for two stages at {FIRST_PIPELINE_SEED}, and were first run when it stood."
    )


def _actions(one_stage: Table, two_stage: Table) -> str:
    lines = [
        "## What may become of a request\n",
        "By what the scenario's stations allow: `as-made` is every station until an engineer changes it. Beside it how "
        "often it did, for each 100 arrivals under pct-lb; one that waited counts once.\n",
        "| scenario | station | " + " | ".join(ACTIONS) + " |",
        "|---|---|" + "---|" * len(ACTIONS),
    ]
    known = {scenario.name: scenario for scenario in (*scenarios.one_stage(), *pipeline.scenarios())}
    for name, policies in {**one_stage, **two_stage}.items():
        if OURS in policies and name in known:
            lines.append(
                f"| {name} | {known[name].station} | " + " | ".join(_often(known[name], policies[OURS])) + " |"
            )
    return "\n".join(lines)


def _often(scenario: scenarios.Scenario, rows: figures.Rows) -> list[str]:
    arrived = sum(row["arrived"] for row in rows)
    often = {action: 100 * sum(row["actions"].get(action, 0) for row in rows) / arrived for action in ACTIONS}
    return [f"{often[action]:.1f}" if action in scenario.actions else "" for action in ACTIONS]


def _shares(one_stage: Table) -> str:
    lines = [
        "## On time, one stage\n",
        "| scenario | pct-lb | clairvoyant | share of it | best rule | pct-lb minus it | best with same admission | "
        "pct-lb minus it |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, policies in one_stage.items():
        if OURS not in policies or CLAIRVOYANT not in policies:
            continue
        ours, seer = figures.share(policies[OURS]), figures.share(policies[CLAIRVOYANT])
        cells = [name, f"**{ours:.2%}**", f"{seer:.2%}", f"{ours / seer:.1%}"]
        for admission in (False, True):
            rule, share = figures.best(policies, admission=admission)
            cells += [f"{rule.removesuffix(ADMISSION)} {share:.2%}", _interval(policies[OURS], policies[rule])]
        lines.append("| " + " | ".join(cells) + " |")
    lines.append("\n" + _above(one_stage))
    lines.append("\n![On-time share against load](scheduling-load.svg)\n\n![Latency](scheduling-latency.svg)")
    return "\n".join(lines)


def _above(tables: Table) -> str:
    """Which rules are above ours in the points, and which by more than chance, over every rule and scenario."""
    points, proven, count = [], [], 0
    for name, policies in sorted(tables.items()):
        for rule, gap, low, high in figures.nearest(policies) if OURS in policies else ():
            count += 1
            if gap < 0:
                points.append(f"{rule} in {name} by {-100 * gap:.2f} ({100 * low:+.2f} to {100 * high:+.2f})")
            if high < 0:
                proven.append(f"{rule} in {name}")
    said = f"Of {count} comparisons (every rule, with and without the admission, on the seeds it ran on), "
    said += "pct-lb is behind in " + ("; ".join(points) if points else "none") + ". "
    return said + "The interval excludes zero in a rule's favour in " + (", ".join(proven) if proven else "none") + "."


def _every_rule(one_stage: Table) -> str:
    """How far every rule is behind ours, in points, alone and behind our admission."""
    names = [n for n in sorted(one_stage) if OURS in one_stage[n]]
    gaps = {n: {rule: gap for rule, gap, _, _ in figures.nearest(one_stage[n])} for n in names}
    rules = sorted({rule for found in gaps.values() for rule in found})
    if not rules:
        return ""
    short = [n.replace("static-", "").replace("driving-", "") for n in names]
    lines = [
        "## Every rule\n",
        "Points of on-time share that pct-lb is ahead, on the seeds that the rule ran on (those that came near in "
        "tuning: all; the others: the first). An empty cell was not run. `1+1` is the pair static-1 and driving-1, and "
        "so on.\n",
        "| rule | " + " | ".join(short) + " |",
        "|---|" + "---|" * len(names),
    ]
    for rule in rules:
        lines.append(
            f"| {rule} | " + " | ".join(f"{100 * gaps[n][rule]:.2f}" if rule in gaps[n] else "" for n in names) + " |"
        )
    return "\n".join(lines)


def _interval(ours: figures.Rows, other: figures.Rows) -> str:
    low, high = figures.difference(ours, other)
    return f"{100 * low:+.2f} to {100 * high:+.2f}"


def _details(one_stage: Table) -> str:
    lines = [
        "## pct-lb in detail\n",
        "| scenario | p50 ms | p95 ms | p99 ms | JPEG 75 or 50 | had to wait | given back | lost | prediction error |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, policies in one_stage.items():
        rows = policies.get(OURS)
        if not rows:
            continue
        arrived = sum(row["arrived"] for row in rows)
        quantiles = [sum(row["quantiles_ms"][QUANTILES.index(q)] for row in rows) / len(rows) for q in (50, 95, 99)]
        degraded, waited = (sum(r["actions"].get(a, 0) for r in rows) / arrived for a in ("degrade", "wait"))
        given_back, lost = (sum(row[f] for row in rows) for f in ("given_back", "lost"))
        error = sum(row["error_median"] for row in rows) / len(rows)
        timings = " | ".join(f"{q:.0f}" for q in quantiles)
        lines.append(f"| {name} | {timings} | {degraded:.2%} | {waited:.2%} | {given_back} | {lost} | {error:.1%} |")
    return "\n".join(lines)


def _ablation(one_stage: Table) -> str:
    names: list[str] = []
    losses: dict[str, dict[str, str]] = defaultdict(dict)
    for name, policies in sorted(one_stage.items()):
        without = {p: rows for p, rows in policies.items() if p.startswith(ABLATED)}
        if without and OURS in policies:
            for name_without, rows in without.items():
                losses[name_without.removeprefix(ABLATED)][name] = _loss(policies[OURS], rows)
            names.append(name)
    if not names:
        return ""
    short = [n.replace("static-", "").replace("driving-", "") for n in names]
    lines = [
        "## Ablation\n",
        "Points of on-time share gained (+) or lost (-) when one term is switched off, with its 95 % interval; bold "
        "where that excludes zero.\n",
        "| without | " + " | ".join(short) + " |",
        "|---|" + "---|" * len(names),
    ]
    lines += [f"| {term} | " + " | ".join(row.get(n, "") for n in names) + " |" for term, row in losses.items()]
    return "\n".join(lines)


def _loss(ours: figures.Rows, without: figures.Rows) -> str:
    low, high = figures.difference(without, ours)
    change = figures.share(without) - figures.share(figures.on_common_seeds(ours, without))
    bold = "**" if low > 0 or high < 0 else ""
    return f"{bold}{100 * change:+.2f}{bold} ({100 * low:+.2f} to {100 * high:+.2f})"


def _pipeline(two_stage: Table) -> str:
    parts = []
    for name, policies in sorted(two_stage.items()):
        summary = figures.pipeline_summary(policies)
        lines = [
            f"### {name}\n",
            "| policy | on time | pct-lb minus it, points | p95 ms | cloud bytes a frame | cloud seconds a frame |",
            "|---|---|---|---|---|---|",
        ]
        for policy, row in sorted(summary.items(), key=lambda entry: -entry[1]["on_time"]):
            gap = _interval(policies[OURS], policies[policy]) if policy != OURS and OURS in policies else ""
            lines.append(
                f"| {policy} | {row['on_time']:.2%} | {gap} | {row['p95_ms']:.0f} | {row['bytes']:.0f} "
                f"| {row['cloud_s']:.3f} |"
            )
        parts.append("\n".join(lines))
    if not parts:
        return ""
    head = (
        "## Two stages\n\nA frame is on time when it is decided within 300 ms of its arrival and its crops are "
        "described within 700 ms of that, each stage by its own deadline as in production; edge-only "
        "describes nothing. A frame of which the last region was skipped, because the edge was sure, is on time too."
    )
    compared = {
        name: {rule: rows for rule, rows in policies.items() if rule != figures.DESCRIBES_NOTHING}
        for name, policies in two_stage.items()
    }
    return "\n\n".join([head, _above(compared), *parts])


def _limits(held: dict[str, float], line: dict[str, Any]) -> str:
    if not held:
        return ""
    rates = ", ".join(f"{name} {share:.2f}" for name, share in sorted(held.items(), key=lambda entry: -entry[1]))
    return (
        "## Capacity and decision time\n\n"
        "Largest rate on wires at which 99 of 100 arrivals are answered within the SLO, as a share of the capacity "
        f"bound: {rates}. One seed, Poisson arrivals, loads up to the bound itself; 0.00 means below the least load "
        f"tried ({min(settings()['capacity']['loads'])}).\n\n"
        f"Placing 48 items over 50 Nodes: p50 {line['decision_ms_p50']} ms, p99 {line['decision_ms_p99']} ms of "
        "processor time."
    )


def _accuracy(path: Path) -> str:
    if not path.is_file():
        return ""
    found = json.loads(path.read_text())
    lines = [
        "## Accuracy after degradation\n",
        f"The rungs of the admission's ladder on {found['boards']} generated boards and their "
        f"{found['rungs'][0]['crops']} defects, with the shipped models: the detector sees the frame at the rung's "
        "JPEG quality (and the Node's own template), the describer the true context crops at that quality.\n",
        "| rung | frame kB | detector mAP at IoU 0.33 | detector F at IoU 0.33 | crop kB | describer names the class |",
        "|---|---|---|---|---|---|",
    ]
    for rung in found["rungs"]:
        lines.append(
            f"| {rung['rung']} (JPEG {rung['jpeg']}) | {rung['frame_kb']} | {rung['map_iou33']:.3f} "
            f"| {rung['f_iou33']:.3f} | {rung['crop_kb']} | {rung['describer_class_share']:.1%} |"
        )
    digests = f"detector `{found['detector'][:12]}`, describer `{found['describer'][:12]}`"
    lines.append(f"\nBy {digests}; `python -m benchmarks.schedule.degradation`.")
    return "\n".join(lines)


def _repeat() -> str:
    return (
        "## Repeat\n\n```\n"
        "AIVD_DATA=/path/to/data make bench-schedule ARGS=--report          # quick form\n"
        "AIVD_DATA=/path/to/data FULL=1 make bench-schedule ARGS=--report   # every seed, raw rows kept here\n"
        "```\n\nThe last line is JSON; the command fails where that names a shortfall: a scenario that did not run, "
        "a request that was lost, an action that the stations of a scenario do not allow, or a rule that is above "
        "pct-lb by an interval that excludes zero.\n\n"
        "Scenarios, fleet and links: `benchmarks/schedule/scenarios.toml`. Not modelled: clocks that differ, several "
        "workers with a ledger each, and uploads that share a link instead of queueing."
    )


def _plot_latency(one_stage: Table, path: Path) -> None:
    name = next((n for n in one_stage if n.startswith("network@0.6")), None)
    figure, axes = pyplot.subplots(figsize=(7, 4))
    for policy in PLOTTED if name else ():
        rows = one_stage[name].get(policy) if name else None
        if rows:
            answered = [(row["arrived"] - row["lost"]) / row["arrived"] for row in rows]
            share = sum(answered) / len(answered)
            mean = [sum(row["quantiles_ms"][i] for row in rows) / len(rows) for i in range(len(QUANTILES))]
            axes.plot(mean, [share * q / 100 for q in QUANTILES], label=policy)
    axes.axvline(300, color="grey", linestyle=":", label="SLO")
    axes.set(xlabel="latency in ms", ylabel="share of arrivals answered", xlim=(0, 900), title=name or "")
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def _plot_load(one_stage: Table, path: Path) -> None:
    figure, axes = pyplot.subplots(figsize=(7, 4))
    loads = sorted({n.split("/")[0].split("@")[1] for n in one_stage if n.startswith("network@")})
    for policy in PLOTTED:
        points = []
        for load in loads:
            rows = [r for n, ps in one_stage.items() if n.startswith(f"network@{load}") for r in ps.get(policy, ())]
            if rows:
                points.append((float(load), 100 * figures.share(rows)))
        if points:
            axes.plot(*zip(*points, strict=True), marker="o", label=policy)
    axes.set(xlabel="load as a share of capacity", ylabel="on time, %", title="network, all trace pairs")
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)
