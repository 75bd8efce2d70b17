"""Judge a run from what its clients wrote down and what the database holds at the end. Knows nothing of how it ran.

Three kinds of rows, each a JSON object a line:

operations  {t, op, key, outcome, frame?, sha256, door}   what a client did: `ok` was acknowledged (with the frame's
            id), `fail` was refused for good, `info` has no known outcome (the answer was lost)
frames      {frame, key, sha256, stored_sha256, decisions, undone, waited_s}   what the database and the picture
            store hold at the end; `waited_s` from receipt to complete, null if it is not complete
events      {seq, type, frame}   the line's events as the database holds them
viewer      {seq, type, frame}   the same as one viewer got them, in the order of arrival
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]
ONCE = ("frame.added", "frame.detected", "frame.decided", "frame.described", "frame.complete")
"""Events that a frame has at most once, unless a person had it tried again."""


@dataclass
class Verdict:
    """`lost` and `doubled` count frames; `faults` are sentences on everything that should not be."""

    accepted: int = 0
    complete: int = 0
    lost: int = 0
    doubled: int = 0
    longest_s: float = 0.0
    faults: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return self.lost == self.doubled == 0 and not self.faults

    def as_dict(self) -> dict[str, Any]:
        return {
            "accepted": self.accepted,
            "complete": self.complete,
            "lost": self.lost,
            "doubled": self.doubled,
            "longest_s": round(self.longest_s, 2),
        }


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def judge_folder(folder: Path) -> Verdict:
    """The verdict on the raw rows of one run."""
    names = ("operations", "frames", "events", "viewer")
    return judge(*(read_rows(folder / f"{name}.jsonl") for name in names))


def judge(operations: Sequence[Row], frames: Sequence[Row], events: Sequence[Row], viewer: Sequence[Row]) -> Verdict:
    verdict = Verdict()
    by_key = _last_outcome(operations, verdict)
    acknowledged = {key: row for key, row in by_key.items() if row["outcome"] == "ok"}
    found = {row["frame"]: row for row in frames}
    verdict.accepted = len(acknowledged)
    for key, row in acknowledged.items():
        _judge_accepted(key, row, found.get(row["frame"]), verdict)
    _judge_doubles(frames, events, acknowledged, verdict)
    for row in frames:
        if row["key"] not in by_key:
            verdict.faults.append(f"frame {row['frame']} came from nowhere: nobody sent key {row['key']}")
        elif by_key[row["key"]]["outcome"] == "fail":
            verdict.faults.append(f"key {row['key']} was refused, and frame {row['frame']} is there")
    _judge_numbers(events, viewer, verdict)
    return verdict


def _last_outcome(operations: Sequence[Row], verdict: Verdict) -> dict[str, Row]:
    """One row a key: `ok` wins over `fail` wins over `info`, because a key is sent until its outcome is known."""
    rank = {"info": 0, "fail": 1, "ok": 2}
    last: dict[str, Row] = {}
    for row in operations:
        before = last.get(row["key"])
        if before is not None and before["outcome"] == row["outcome"] == "ok" and before["frame"] != row["frame"]:
            verdict.doubled += 1
            verdict.faults.append(f"key {row['key']} was acknowledged as two frames")
        if before is None or rank[row["outcome"]] >= rank[before["outcome"]]:
            last[row["key"]] = row
    return last


def _judge_accepted(key: str, sent: Row, frame: Row | None, verdict: Verdict) -> None:
    """An acknowledged frame is there, whole, and ended in exactly one way."""
    if frame is None:
        verdict.lost += 1
        verdict.faults.append(f"key {key} was acknowledged and its frame is not there")
        return
    if frame["stored_sha256"] != sent["sha256"] or frame["sha256"] != sent["sha256"]:
        verdict.lost += 1
        verdict.faults.append(f"the stored picture of key {key} is not the one that was sent")
        return
    if frame["waited_s"] is None or frame["undone"] or frame["decisions"] != 1:
        verdict.lost += 1
        verdict.faults.append(
            f"key {key} is not complete: {frame['decisions']} decisions, {frame['undone']} steps not done"
        )
        return
    verdict.complete += 1
    verdict.longest_s = max(verdict.longest_s, frame["waited_s"])


def _judge_doubles(frames: Sequence[Row], events: Sequence[Row], sent: Mapping[str, Row], verdict: Verdict) -> None:
    for what, values in (
        ("has two frames", (row["key"] for row in frames)),
        ("stands for two keys", (row["frame"] for row in sent.values())),
    ):
        for value, count in Counter(values).items():
            if count > 1:
                verdict.doubled += count - 1
                verdict.faults.append(f"{value} {what}")
    happened = Counter((row["frame"], row["type"]) for row in events if row["type"] in ONCE)
    twice = {frame for (frame, _), count in happened.items() if count > 1}
    verdict.doubled += len(twice)
    verdict.faults += [f"frame {frame} went through one of its stages twice" for frame in sorted(twice)]


def _judge_numbers(events: Sequence[Row], viewer: Sequence[Row], verdict: Verdict) -> None:
    """Events are numbered 1..n, and the viewer got the range it followed, whole and in order."""
    if [row["seq"] for row in events] != list(range(1, len(events) + 1)):
        verdict.faults.append("the events are not numbered 1..n")
    if not viewer:
        return
    first = viewer[0]["seq"]
    expected = [(row["seq"], row["type"], row["frame"]) for row in events if row["seq"] >= first]
    if [(row["seq"], row["type"], row["frame"]) for row in viewer] != expected:
        verdict.faults.append(f"the viewer's {len(viewer)} events from {first} on are not the {len(expected)} stored")
