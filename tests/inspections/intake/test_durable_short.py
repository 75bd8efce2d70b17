"""The durability benchmark, short: every kind of fault once, and nothing lost or doubled."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
LIMIT_S = 300


@pytest.mark.stack
def test_nothing_is_lost_or_doubled_while_every_part_is_broken_once() -> None:
    sizes = ("--frames", "40", "--rate", "12", "--cuts", "4", "--frozen-s", "3")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("AIVD_", "DJANGO_"))}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.durable", *sizes],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    said = f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert done.returncode == 0, said
    verdict = json.loads(done.stdout.splitlines()[-1])
    assert (verdict["accepted"], verdict["complete"]) == (40, 40), said
    assert (verdict["lost"], verdict["doubled"]) == (0, 0), said
    assert "Redis is killed and emptied" in done.stdout
