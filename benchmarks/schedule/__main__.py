"""`python -m benchmarks.schedule`: prove the scheduler in simulation, and say so in one JSON line at the end.

FULL=1 runs every seed at length and keeps the raw results in docs/benchmarks/. --report writes the results page.
"""

import argparse
import json
import os
import sys
from pathlib import Path

from benchmarks.schedule import figures, report, runs

DOCS = Path(__file__).parents[2] / "docs" / "benchmarks"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.schedule", description=__doc__)
    parser.add_argument("--raw", type=Path, help="JSON lines of raw results, kept and continued")
    parser.add_argument("--report", action="store_true", help="write docs/benchmarks/scheduling.md and its plots")
    options = parser.parse_args()
    size = runs.FULL if os.environ.get("FULL") == "1" else runs.QUICK
    log = runs.Log(options.raw or (DOCS / "scheduling-full.jsonl" if size is runs.FULL else Path(os.devnull)))

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    decisions = runs.decision_times()
    held = runs.run_capacity(size, log, say)
    runs.run_pipeline(size, log, say)
    runs.run_one_stage(size, log, say)
    one_stage = figures.by_scenario(
        row for row in log.rows.values() if not row["scenario"].startswith(("pipeline", "capacity"))
    )
    two_stage = figures.by_scenario(row for row in log.rows.values() if row["scenario"].startswith("pipeline"))
    line = figures.last_line(one_stage, two_stage, held, decisions)
    if options.report:
        report.write(DOCS, size, one_stage, two_stage, held, line)
    print(json.dumps(line))


if __name__ == "__main__":
    main()
