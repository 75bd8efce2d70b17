"""How the pipeline benchmark makes its figures of raw rows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks import history
from benchmarks.pipeline import percentile, summarise


def posted(frame: str, sent_at: float) -> Mapping[str, Any]:
    return {"sent_at": sent_at, "answered_at": sent_at + 0.01, "status": 201, "frame": frame}


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([3.0], 50, 3.0),
        ([1.0, 2.0, 3.0, 4.0], 50, 2.0),
        (list(map(float, range(1, 101))), 99, 99.0),
        ([2.0, 1.0], 99, 2.0),
    ],
)
def test_percentile(values: list[float], percent: int, expected: float) -> None:
    assert percentile(values, percent) == expected


def test_figures_come_from_the_rows(tmp_path: Path) -> None:
    rows: dict[str, list[Mapping[str, Any]]] = {
        "throughput-posted": [posted("a", 100.0), posted("b", 100.5)],
        "throughput-completed": [{"frame": "a", "at": 101.0}, {"frame": "b", "at": 102.0}],
        "bare": [{"latency_ms": 10.0}, {"latency_ms": 20.0}],
        "added-posted": [posted("c", 200.0), posted("d", 201.0), posted("", 202.0)],
        "added-completed": [{"frame": "c", "at": 200.025}, {"frame": "d", "at": 201.1}],
        "share-posted": [posted("e", 300.0)],
        "share-completed": [{"frame": "e", "at": 300.5}],
        "share-bare": [{"frames": 40, "seconds": 10.0}],
    }
    for name, some in rows.items():
        history.write_rows(tmp_path / f"{name}.jsonl", some)
    assert summarise(tmp_path) == {
        "frames_per_s": 1.0,
        "added_ms_p50": 15.0,
        "added_ms_p99": 80.0,
        "detector_share_of_bare": 0.5,
    }


def test_a_phase_that_was_left_out_has_no_figure(tmp_path: Path) -> None:
    assert set(summarise(tmp_path).values()) == {None}
