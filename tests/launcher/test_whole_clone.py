"""A whole clone started as a user starts it, in places and states that trip others up."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from benchmarks.ports import free_ports

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", ".node", "var", "node_modules", "tests", "__pycache__", ".*_cache", ".hypothesis", "screenshots"
)
pytestmark = pytest.mark.stack


class Clone:
    """A copy of the source with this run's environment, and its own ports."""

    def __init__(self, folder: Path, **environ: str) -> None:
        shutil.copytree(ROOT, folder, ignore=LEFT_OUT, symlinks=True)
        (folder / ".venv").symlink_to(sys.prefix)
        self.folder = folder
        self.port = free_ports(13)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AIVD_")}
        self.environ: Mapping[str, str] = {
            **kept,
            "AIVD_PORT": str(self.port),
            "AIVD_NODE_PORT_BASE": str(self.port + 1),
            "DJANGO_SETTINGS_MODULE": "aivd_web.settings",
            **environ,
        }

    def manage(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.folder / ".venv" / "bin" / "python"), "manage.py", *command],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def health(self) -> dict[str, object]:
        answer = httpx.get(f"http://127.0.0.1:{self.port}/health", timeout=10)
        return dict(json.loads(answer.text))


@pytest.fixture
def clones() -> Iterator[list[Clone]]:
    made: list[Clone] = []
    yield made
    for clone in made:
        clone.manage("down")


def test_everything_starts_under_a_path_with_blanks_and_umlauts(tmp_path: Path, clones: list[Clone]) -> None:
    clone = Clone(tmp_path / "Prüf Stand 1")
    clones.append(clone)
    up = clone.manage("up", "--detach")
    assert up.returncode == 0, up.stdout + up.stderr
    assert up.stdout.rstrip().endswith(f"AIVD is ready: http://127.0.0.1:{clone.port}")


def test_a_start_without_a_node_says_so_and_fails(tmp_path: Path, clones: list[Clone]) -> None:
    """The pages are there, so it stays up; whoever waits for `ready` must not be told so."""
    clone = Clone(tmp_path / "clone", AIVD_DETECTOR=str(tmp_path / "missing.onnx"))
    clones.append(clone)
    up = clone.manage("up", "--detach")
    assert up.returncode == 3, up.stdout + up.stderr
    assert "AIVD is ready" not in up.stdout
    assert "node-edge-1 did not answer. It said: " in up.stdout
    assert "missing.onnx" in up.stdout
    assert "runs in part" in up.stdout.splitlines()[-1]
    assert clone.manage("up", "--detach").returncode == 3
