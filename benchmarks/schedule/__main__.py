"""`python -m benchmarks.schedule`: prove the scheduler in simulation, and say so in one JSON line at the end.

Stations as they are made come first, then those that allow more; each scenario names the actions that it may use.
FULL=1 runs more seeds at length and keeps the raw results in docs/benchmarks/. --report writes the results page. Exit 0
only if the last line names no shortfall.
"""

import argparse
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

from benchmarks.schedule import figures, report, runs
from benchmarks.stack import bench_folder

SIZES = ("seeds", "seconds", "every_rule", "ablated")
DOCS = Path(__file__).parents[2] / "docs" / "benchmarks"


def main() -> int:
    options = _options()
    full = os.environ.get("FULL") == "1"
    size = replace(runs.FULL if full else runs.QUICK, **{k: v for k in SIZES if (v := getattr(options, k)) is not None})
    log = runs.Log(options.raw or (DOCS / "scheduling-runs.jsonl" if full else bench_folder("schedule") / "runs.jsonl"))
    runs.run_one_stage(size, log, _say)
    runs.run_pipeline(size, log, _say)
    held = runs.run_capacity(size, log, _say)
    rows = [row for row in log.rows.values() if size.asks_for(row)]
    one_stage = figures.by_scenario(row for row in rows if not row["scenario"].startswith(("pipeline", "capacity")))
    two_stage = figures.by_scenario(row for row in rows if row["scenario"].startswith("pipeline"))
    line = figures.last_line(one_stage, two_stage, held, runs.decision_times())
    if options.report:
        report.write(DOCS, size, one_stage, two_stage, held, line)
    print(json.dumps(line))
    return 1 if line["shortfalls"] else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.schedule", description=__doc__)
    parser.add_argument("--raw", type=Path, help="JSON lines of raw results, kept and continued")
    parser.add_argument("--report", action="store_true", help="write docs/benchmarks/scheduling.md and its plots")
    for name in SIZES:
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, help="instead of the form's own")
    return parser.parse_args()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
