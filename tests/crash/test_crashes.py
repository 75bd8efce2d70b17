"""Tests that end a service which the whole run needs: each runs in a process with services of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.stack


def in_its_own_run(test: str, *, within_s: float = 240) -> subprocess.CompletedProcess[str]:
    """pytest on one test, in a fresh process that starts its own PostgreSQL and Redis."""
    environ = {name: value for name, value in os.environ.items() if name != "AIVD_VAR" and "PYTEST" not in name}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", test],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=within_s,
        check=False,
    )


def test_a_database_that_crashes_underneath_loses_nothing() -> None:
    done = in_its_own_run("tests/crash/database.py::test_a_database_that_crashes_underneath_loses_nothing")
    assert done.returncode == 0, done.stdout[-4000:]
    assert "1 passed" in done.stdout


def test_runs_go_on_or_fail_with_their_reason_whoever_is_killed() -> None:
    done = in_its_own_run("tests/crash/runs.py::test_each_run_goes_on_or_fails_with_its_reason", within_s=900)
    assert done.returncode == 0, done.stdout[-4000:]
    assert "1 passed" in done.stdout


def test_a_test_that_ends_a_shared_service_is_named_and_the_run_stops() -> None:
    done = in_its_own_run("tests/crash/careless.py")
    assert done.returncode != 0
    assert "the run's own Redis died" in done.stdout
    assert "test_after_it" not in done.stdout
