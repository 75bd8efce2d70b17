"""The chaos benchmark: its verdict can fail, its uploads are hostile in every way, and its short form passes."""

import io
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmarks.chaos import hostile, verdict
from benchmarks.chaos.attack import is_error

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 420


def frame(**more: Any) -> dict[str, Any]:
    values = {
        "frame": "a", "line": 1, "good": True, "received": 100.0, "decided": 100.5, "deadline_ms": 15_000,
        "outcome": "pass", "code": "clean", "complete": True, "open_steps": 0,
    }  # fmt: skip
    return values | more


@pytest.mark.parametrize(
    ("row", "falsely"),
    [
        (frame(), False),
        (frame(outcome="hold", code="late", decided=115.5), False),
        (frame(outcome="hold", code="late", decided=101.0), True),
        (frame(outcome="hold", code="failed"), True),
        (frame(outcome="hold", code="failed", good=False), False),
        (frame(outcome="hold", code="product"), False),
    ],
)
def test_a_false_hold_is_one_that_the_frame_did_nothing_for(row: dict[str, Any], falsely: bool) -> None:
    assert bool(verdict.false_holds([row])) is falsely


@pytest.mark.parametrize(
    ("row", "stands"),
    [
        (frame(), False),
        (frame(decided=None, complete=False, open_steps=1), True),
        (frame(complete=False), True),
        (frame(good=False, open_steps=1), True),
    ],
)
def test_a_frame_is_stuck_while_anything_of_it_is_open(row: dict[str, Any], stands: bool) -> None:
    assert bool(verdict.stuck([row])) is stands


def test_the_other_lines_wait_is_that_of_the_line_that_is_not_held() -> None:
    fault = {"part": "worker-dispatch-1", "t": 100.0, "until": 120.0, "held_lines": [1]}
    rows = [frame(line=1, decided=119.0), frame(line=2, decided=101.25), frame(line=2, received=50.0, decided=90.0)]
    assert verdict.other_line_p99_s(rows, [fault, {"part": "web", "t": 0.0, "until": 200.0}]) == 1.25
    assert verdict.other_line_p99_s(rows, [fault | {"held_lines": []}]) == 19.0
    undecided = [frame(line=2, decided=None)]
    assert verdict.other_line_p99_s(undecided, [fault]) == verdict.NEVER_S


@pytest.mark.parametrize(
    ("status", "retry_after", "whole", "error"),
    [
        (201, False, True, False),
        (422, False, True, False),
        (429, True, True, False),
        (500, False, True, True),
        (500, True, True, True),
        (502, False, True, True),
        (503, True, True, False),
        (503, False, True, True),
        (None, False, True, True),
        (None, False, False, False),
    ],
)
def test_a_server_error_is_no_promise_to_take_it_later(
    status: int | None, retry_after: bool, whole: bool, error: bool
) -> None:
    assert is_error(status, retry_after, whole=whole) is error


def test_every_kind_of_upload_comes_and_the_same_again_from_the_same_seed() -> None:
    made = list(hostile.uploads(120, 6, seed=3))
    counted = Counter(upload.kind for upload in made)
    assert sum(counted[kind] for kind in ("flat png", "many scans", "deep tiff")) == 6
    kinds = {"mutated", "cut", "spliced", "polyglot", "noise", "wrong length", "bomb", "metadata", "form", "zip"}
    assert kinds <= counted.keys()
    assert [upload.headers for upload in made] == [upload.headers for upload in hostile.uploads(120, 6, seed=3)]


def test_what_is_dear_to_decode_is_small_to_send(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    for upload in hostile.uploads(6, 6, seed=1):
        with Image.open(io.BytesIO(upload.data)) as image:
            unpacked = image.width * image.height
        assert len(upload.data) < 200_000
        assert unpacked >= 4_000_000


@pytest.mark.stack
def test_hostile_uploads_and_stopped_parts_stop_nobody() -> None:
    """About a minute on a quiet machine. How long the other line waits is for `make chaos` to say."""
    sizes = ("--scale", "0.02", "--rate", "6", "--costly", "0", "--limit-s", str(LIMIT_S - 60))
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("AIVD_", "DJANGO_"))}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.chaos", *sizes],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    said = f"{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
    assert done.stdout, said
    found = json.loads(done.stdout.splitlines()[-1])
    for aim in ("server_errors", "good_lost", "doubled", "stuck", "false_holds"):
        assert found[aim] == 0, said
    assert max(found["web_rss_mb"], found["worker_rss_mb"]) <= 700, said
    assert "postgres is killed" in done.stdout
