"""`make bench-schedule-real`: policies against each other on six real Triton nodes, while things go wrong.

The same arrivals, links and faults for every policy, one after the other, in an order that changes with each repeat.
Every rule stands behind our admission. Quick form: 2 repeats, under 15 minutes; FULL=1: 5. Raw rows under
var/bench/schedule-real; the last line is the verdict as JSON; exit 0 only if that names no shortfall.
"""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.schedule_real import decide
from benchmarks.schedule_real.faults import FaultThread, Noticed
from benchmarks.schedule_real.figures import OURS, is_on_time, on_time_share, verdict
from benchmarks.schedule_real.fleet import RealFleet
from benchmarks.schedule_real.scenario import FAULTS, LENGTH_S, NODES, WARM_UP_S, Arrival, arrivals
from benchmarks.schedule_real.worker import Outcome, Worker
from benchmarks.stack import bench_folder
from scheduling.client.triton import NodeClient
from scheduling.dispatch.ledger import SharedLedger
from scheduling.policy.admission import ADMISSION

BASELINES = tuple(
    rule + ADMISSION for rule in ("peak-ewma", "heartbeat-score-fresh", "least-outstanding", "shortest-expected-delay")
)
DRAIN_S = 60.0  # at most; what is not answered by then counts as lost
SKIP_S = 30  # the traces begin with a minute in which hardly any link works at all
REPEATS = {"quick": 2, "full": 5}


def main() -> int:
    options = _options()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job begins with it ignored
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the context managers clean up
    folder = bench_folder("schedule-real")
    policies = tuple(options.policies.split(",")) if options.policies else (OURS, *BASELINES)
    traces = Path(os.environ["AIVD_DATA"]) / "5g" if os.environ.get("AIVD_DATA") else None
    if traces is None or not traces.is_dir():
        print("AIVD_DATA has no 5g traces: every link has a constant rate, and the figures are of that.")
        traces = None
    with RealFleet(NODES, folder, traces) as fleet:
        decision = decide.figures(fleet.redis(), rounds=options.decisions)
        print(f"decisions: {decision}", flush=True)
        runs, noticed, accepted = _repeats(fleet, policies, options, folder)
    said = verdict(runs, noticed, accepted)
    print(json.dumps({**said, **decision, "traces": traces is not None}))
    return 1 if said["shortfalls"] else 0


def _repeats(
    fleet: RealFleet, policies: Sequence[str], options: argparse.Namespace, folder: Path
) -> tuple[dict[str, list[dict[int, Outcome]]], list[Noticed], list[int]]:
    runs: dict[str, list[dict[int, Outcome]]] = {policy: [] for policy in policies}
    noticed, accepted = list[Noticed](), list[int]()
    for repeat in range(options.repeats):
        frames = arrivals(options.seed + repeat, length_s=options.length_s)
        accepted.append(len(frames))
        turn = repeat % len(policies)
        for policy in (*policies[turn:], *policies[:turn]):
            outcomes, seen = run_one(fleet, policy, frames, skip_s=SKIP_S + int(LENGTH_S) * repeat)
            runs[policy].append(outcomes)
            noticed += seen if policy == OURS else []
            _keep(folder, repeat, policy, outcomes, seen)
            _tell(repeat, policy, outcomes, seen)
    return runs, noticed, accepted


def run_one(
    fleet: RealFleet, policy: str, frames: Sequence[Arrival], *, skip_s: int
) -> tuple[dict[int, Outcome], list[Noticed]]:
    """One policy, from a state that knows nothing but the declared profiles."""
    client = fleet.redis()
    client.flushdb()
    clients = {name: NodeClient(member.grpc_url, name=name) for name, member in fleet.members.items()}
    worker = Worker(policy, SharedLedger(client), clients, NODES)
    faults: FaultThread | None = None
    try:
        worker.start()
        fleet.set_links(skip_s=skip_s)
        started_at = time.monotonic() + WARM_UP_S + 0.1
        faults = FaultThread(fleet, FAULTS, worker.in_rotation, started_at)
        faults.start()
        outcomes = worker.run(frames, started_at=started_at, drain_s=DRAIN_S)
        faults.cancel() if frames[-1].at_s < FAULTS[-1].end_s else faults.join(30)
        if faults.trouble is not None:
            raise faults.trouble
        return outcomes, faults.noticed
    finally:
        if faults is not None:
            faults.cancel()
            faults.join(30)
        worker.close()
        for each in clients.values():
            each.close()


def _keep(folder: Path, repeat: int, policy: str, outcomes: dict[int, Outcome], seen: Sequence[Noticed]) -> None:
    with (folder / "runs.jsonl").open("a") as file:
        rows = [asdict(one) for one in outcomes.values()]
        file.write(json.dumps({"repeat": repeat, "policy": policy, "noticed": [asdict(n) for n in seen], "rows": rows}))
        file.write("\n")


def _tell(repeat: int, policy: str, outcomes: dict[int, Outcome], seen: Sequence[Noticed]) -> None:
    share = on_time_share(outcomes.values()) or 0.0
    by_node: dict[str, int] = {}
    for one in outcomes.values():
        by_node[one.node] = by_node.get(one.node, 0) + is_on_time(one)
    found: list[Any] = [f"{n.what} out {_s(n.out_s)} back {_s(n.back_s)}" for n in seen]
    print(f"repeat {repeat + 1} {policy}: {100 * share:.2f} % on time; {'; '.join(found)}; {by_node}", flush=True)


def _s(value: float | None) -> str:
    return "never" if value is None else f"{value:.2f} s"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.schedule_real", description=__doc__)
    full = os.environ.get("FULL") == "1"
    parser.add_argument("--repeats", type=int, default=REPEATS["full" if full else "quick"])
    parser.add_argument("--policies", default="", help="names, separated by commas; ours and four rules without it")
    parser.add_argument("--length-s", type=float, default=LENGTH_S)
    parser.add_argument("--decisions", type=int, default=500, help="how many are timed")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
