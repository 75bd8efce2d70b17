"""The checker: a clean history passes, and each way to lose, double or invent a frame is found."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from benchmarks import history

Run = dict[str, list[dict[str, Any]]]
STAGES = ("frame.added", "frame.detected", "frame.decided", "frame.complete")


def clean_run(count: int = 3) -> Run:
    run: Run = {"operations": [], "frames": [], "events": [], "viewer": []}
    for n in range(count):
        key, frame, sha = f"k{n}", f"f{n}", f"{n}" * 64
        run["operations"] += [
            {"t": n, "op": "send", "key": key, "outcome": "info", "sha256": sha, "door": "rest"},
            {"t": n + 0.5, "op": "send", "key": key, "outcome": "ok", "frame": frame, "sha256": sha, "door": "rest"},
        ]
        run["frames"].append(
            {
                "frame": frame,
                "key": key,
                "sha256": sha,
                "stored_sha256": sha,
                "decisions": 1,
                "undone": 0,
                "waited_s": 0.1 * n,
            }
        )
        for stage in STAGES:
            run["events"].append({"seq": len(run["events"]) + 1, "type": stage, "frame": frame})
    run["viewer"] = deepcopy(run["events"][4:])
    return run


def judged(run: Run) -> history.Verdict:
    return history.judge(run["operations"], run["frames"], run["events"], run["viewer"])


def test_a_clean_run_is_good(tmp_path: Path) -> None:
    for name, rows in clean_run().items():
        history.write_rows(tmp_path / f"{name}.jsonl", rows)
    verdict = history.judge_folder(tmp_path)
    assert verdict.good
    assert verdict.as_dict() == {"accepted": 3, "complete": 3, "lost": 0, "doubled": 0, "longest_s": 0.2}


def unanswered(run: Run) -> None:
    """An answer that never came: the frame may be there or not."""
    run["operations"].append({"t": 9, "op": "send", "key": "k9", "outcome": "info", "sha256": "9", "door": "stream"})


def unanswered_but_stored(run: Run) -> None:
    unanswered(run)
    run["frames"].append({**run["frames"][0], "key": "k9", "frame": "f9"})


@pytest.mark.parametrize("change", [unanswered, unanswered_but_stored])
def test_what_was_never_acknowledged_may_be_there_or_not(change: Callable[[Run], None]) -> None:
    run = clean_run()
    change(run)
    assert judged(run).good


def frame_gone(run: Run) -> None:
    del run["frames"][1]


def other_bytes(run: Run) -> None:
    run["frames"][1]["stored_sha256"] = "f" * 64


def no_file(run: Run) -> None:
    run["frames"][1]["stored_sha256"] = None


def stuck(run: Run) -> None:
    run["frames"][1]["waited_s"] = None


def undone(run: Run) -> None:
    run["frames"][1]["undone"] = 1


def undecided(run: Run) -> None:
    run["frames"][1]["decisions"] = 0


@pytest.mark.parametrize("change", [frame_gone, other_bytes, no_file, stuck, undone, undecided])
def test_a_lost_frame_is_counted(change: Callable[[Run], None]) -> None:
    run = clean_run()
    change(run)
    verdict = judged(run)
    assert (verdict.lost, verdict.complete, verdict.accepted) == (1, 2, 3)
    assert not verdict.good


def key_with_two_frames(run: Run) -> None:
    run["frames"].append({**run["frames"][1], "frame": "f9"})


def two_acknowledgements(run: Run) -> None:
    run["operations"].append({**run["operations"][3], "frame": "f9"})
    run["frames"].append({**run["frames"][1], "frame": "f9", "key": "k1"})
    del run["frames"][1]


def two_keys_one_frame(run: Run) -> None:
    run["operations"][5]["frame"] = "f1"
    del run["frames"][2]


def decided_twice(run: Run) -> None:
    run["events"].append({"seq": 13, "type": "frame.decided", "frame": "f1"})
    run["viewer"].append(run["events"][-1])


@pytest.mark.parametrize("change", [key_with_two_frames, two_acknowledgements, two_keys_one_frame, decided_twice])
def test_a_doubled_frame_is_counted(change: Callable[[Run], None]) -> None:
    run = clean_run()
    change(run)
    verdict = judged(run)
    assert verdict.doubled == 1
    assert not verdict.good


def from_nowhere(run: Run) -> None:
    run["frames"].append({**run["frames"][1], "key": "k9", "frame": "f9"})


def refused_and_stored(run: Run) -> None:
    run["operations"].append({"t": 9, "op": "send", "key": "k9", "outcome": "fail", "sha256": "9", "door": "rest"})
    from_nowhere(run)


def a_gap(run: Run) -> None:
    del run["events"][2]


def viewer_missed_one(run: Run) -> None:
    del run["viewer"][3]


def viewer_missed_the_last(run: Run) -> None:
    del run["viewer"][-1]


def viewer_out_of_order(run: Run) -> None:
    run["viewer"][3:5] = reversed(run["viewer"][3:5])


def viewer_twice(run: Run) -> None:
    run["viewer"].insert(3, run["viewer"][3])


@pytest.mark.parametrize(
    "change",
    [
        from_nowhere,
        refused_and_stored,
        a_gap,
        viewer_missed_one,
        viewer_missed_the_last,
        viewer_out_of_order,
        viewer_twice,
    ],
)
def test_what_must_not_be_seen_is_a_fault(change: Callable[[Run], None]) -> None:
    run = clean_run()
    change(run)
    assert not judged(run).good
