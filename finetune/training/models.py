"""Make everything that ships: train both models side by side, then ship each with its figures.

Each training is a process with one thread and a folder of its own, and goes on where an earlier call stopped.
Knows the commands and their folders; nothing about models.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from scheduling.serving.describers import SMALL_FOLDER
from scheduling.serving.detectors import SHIPPED_WEIGHTS

FOLDER: Final = Path("runs/models")
TRAININGS: Final[dict[str, Sequence[str]]] = {"detector": (), "describer": ()}
"""The commands and what they are given beside their folder: nothing, so that their default recipes count."""

POLL_S: Final = 0.5
END_S: Final = 20.0


def make(argv: list[str]) -> None:
    """`models [--out DIR]`: train what is not trained yet, ship the detector, then the describer on its boxes."""
    parser = argparse.ArgumentParser(prog="python -m finetune.training models", description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER, help="where the two runs are kept")
    folder = parser.parse_args(argv).out
    train_side_by_side(folder, TRAININGS)
    ship(folder)


def train_side_by_side(folder: Path, trainings: Mapping[str, Sequence[str]]) -> None:
    """Run each training to its end in `folder`/name. SystemExit if one fails; the others are then ended too."""
    previous = signal.signal(signal.SIGTERM, _interrupt)
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, arguments in trainings.items():
            processes[name] = _start(name, folder / name, arguments)
        _wait(processes)
    finally:
        _end(list(processes.values()))
        signal.signal(signal.SIGTERM, previous)


def ship(folder: Path, *, to: Path | None = None, boards: int | None = None) -> None:
    """Export and measure both runs: into the weights that ship, or into `to`."""
    from finetune.training import describer_cli, detector_cli

    shipped = to or SMALL_FOLDER.parent
    boards = boards or describer_cli.SHIP_BOARDS
    detector = shipped / "detector"
    detector_cli.ship_run(folder / "detector", boards=boards, folder=detector)
    describer_cli.ship_run(
        folder / "describer",
        boards=boards,
        folder=shipped / "describer",
        detector=str(detector / SHIPPED_WEIGHTS.name),
    )


def _start(name: str, folder: Path, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "finetune.training", name, "--out", str(folder), "--resume", *arguments]
    return subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})


def _wait(processes: Mapping[str, subprocess.Popen[bytes]]) -> None:
    """Until all ended well; SystemExit as soon as one ended badly."""
    while True:
        codes = {name: process.poll() for name, process in processes.items()}
        for name, code in codes.items():
            if code:
                raise SystemExit(f"The training of the {name} ended with code {code}; the other one was ended too.")
        if None not in codes.values():
            return
        time.sleep(POLL_S)


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ask those that still run to stop, then make them."""
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt
