"""Judge a run from its raw rows: what good frames met while hostile ones came and parts were stopped. Runs nothing.

frames   {frame, line, good, received, decided, deadline_ms, outcome, code, complete, open_steps}   times in seconds of
         the database's clock, as the events have them: what a worker with a wrong clock wrote is not asked
faults   {part?, t, until?, held_lines?}   times in seconds of this machine's clock
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from scheduling.policy.percentiles import percentile

Row = Mapping[str, Any]
EVENT_LAG_MS = 2_000
"""A frame's deadline counts from its receipt, its first event is written when its file is on disk."""
NEVER_S = 600.0
"""What a frame without a decision counts as in a percentile."""


def false_holds(frames: Iterable[Row]) -> list[Row]:
    """Good frames that were held as late before their deadline, or as failed: neither was their own doing."""
    return [row for row in frames if row["good"] and row["outcome"] == "hold" and _is_false(row)]


def _is_false(row: Row) -> bool:
    if row["code"] == "late":
        return bool(1000 * (row["decided"] - row["received"]) < row["deadline_ms"] - EVENT_LAG_MS)
    return bool(row["code"] == "failed")


def stuck(frames: Iterable[Row]) -> list[Row]:
    """Frames, good or not, that have no decision or are not complete when all is over."""
    return [row for row in frames if row["decided"] is None or not row["complete"] or row["open_steps"]]


def other_line_p99_s(frames: Sequence[Row], faults: Iterable[Row]) -> float:
    """From receipt to decision, of good frames that came in while a worker was stopped, on each line whose events the
    stopped worker did not hold; the worst of these lines.
    """
    worst = 0.0
    for fault in faults:
        if not str(fault.get("part", "")).startswith("worker"):
            continue
        for line in {row["line"] for row in frames} - set(fault["held_lines"]):
            waits = sorted(
                (row["decided"] - row["received"]) if row["decided"] is not None else NEVER_S
                for row in frames
                if row["good"] and row["line"] == line and fault["t"] <= row["received"] <= fault["until"]
            )
            worst = max(worst, percentile(waits, 0.99) if waits else NEVER_S)
    return round(worst, 2)
