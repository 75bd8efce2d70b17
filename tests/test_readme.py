"""The README's commands do what the README says, in its own words."""

import json
import os
import re
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = sorted(set(re.findall(r"`(make [a-z-]+)`", README)) | set(re.findall(r"^(make [a-z-]+)$", README, re.M)))
DATA = "AIVD_DATA"
# With MAKELEVEL, which `make test` sets, another make would say last which folder it leaves.
NOT_PASSED_ON = (DATA, "MAKEFLAGS", "MAKELEVEL", "SPLIT", "FULL", "ARGS")


def run(command: str, *, timeout_s: float = 300, **environ: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in NOT_PASSED_ON}
    return subprocess.run(
        command.split(),
        cwd=ROOT,
        env=kept | environ,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def test_the_readme_names_its_commands() -> None:
    assert {"make run", "make test", "make bench-detect"} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_exists_and_its_program_starts(command: str) -> None:
    shown = run(f"{command} --dry-run")
    assert shown.returncode == 0, shown.stderr
    for module in set(re.findall(r"-m ((?:benchmarks|finetune)[.a-z_]*)", shown.stdout)):
        helped = run(f".venv/bin/python -m {module} --help")
        assert helped.returncode == 0, helped.stderr


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data in the layout of DeepPCB: three boards, each with a spot of copper (which is dark there)."""
    data = tmp_path_factory.mktemp("data")
    folder = data / "deeppcb"
    for name in ("images", "templates", "labels"):
        (folder / name).mkdir(parents=True)
    for index in range(3):
        golden = np.zeros((640, 640), np.uint8)
        golden[100:540, 100 + 60 * index : 400 + 60 * index] = 255
        tested = golden.copy()
        cv2.circle(tested, (250 + 30 * index, 300), 12, (0,), -1)
        cv2.imwrite(str(folder / "templates" / f"{index}.png"), golden)
        cv2.imwrite(str(folder / "images" / f"{index}.png"), tested)
        x = 250 + 30 * index
        (folder / "labels" / f"{index}.txt").write_text(f"{x - 22} 278 {x + 22} 322 5\n")
    for split in ("test", "train"):
        (folder / f"{split}.txt").write_text("0\n1\n2\n")
    return data


def test_bench_detect_as_the_readme_states_it_measures(boards: Path) -> None:
    done = run("make bench-detect", AIVD_DATA=str(boards))
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["split"] == "test"
    assert figures["map_iou33"] > 0.5, figures


@pytest.mark.parametrize("data", ["", "/nonexistent"])
def test_a_benchmark_without_its_data_says_so_and_fails(data: str) -> None:
    environment = {DATA: data} if data else {}
    done = run("make bench-detect", timeout_s=300, **environment)
    assert done.returncode != 0
    assert "AIVD_DATA" in done.stdout + done.stderr
