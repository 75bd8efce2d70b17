"""Both trainings side by side: stopped, gone on with, shipped; and one that fails does not leave the other running."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from finetune.training.describer import Recipe, Stage
from finetune.training.models import ship, train_side_by_side
from scheduling.serving.describers import load_describer
from scheduling.serving.detectors import load_detector
from tests.waiting import eventually

BRIEF = Stage(steps=10, batch=2, rate=1e-3, last_share=0.3)
TINY = Recipe(boards=1, validation_boards=1, vision=BRIEF, words=BRIEF, joint=BRIEF, checkpoint_steps=2)
TINY_DETECTOR = ("--steps", "30", "--tiles-a-step", "4", "--tile-px", "64", "--checkpoint-every", "2")
DRIVER = """
import sys
from pathlib import Path
from finetune.training.models import train_side_by_side
train_side_by_side(Path(sys.argv[1]), {"detector": sys.argv[2:], "describer": ()})
"""
quiet = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


def drive(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-W", "ignore", "-c", DRIVER, str(folder), *TINY_DETECTOR]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def wait_for(path: Path, driver: subprocess.Popen[bytes]) -> None:
    eventually(lambda: path.exists() or driver.poll() is not None, path.name, within_s=300)
    assert path.exists(), f"the trainings ended with {driver.returncode} before {path.name} was there"


def processes_that_name(folder: Path) -> list[str]:
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    return [command.decode() for command in commands if str(folder).encode() in command]


def events_of(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


@quiet
def test_two_trainings_are_stopped_go_on_and_ship(tmp_path: Path) -> None:
    runs, shipped = tmp_path / "runs", tmp_path / "weights"
    (runs / "describer").mkdir(parents=True)
    TINY.write(runs / "describer" / "recipe.json")

    stopped = drive(runs)
    wait_for(runs / "describer" / "checkpoint.safetensors", stopped)
    stopped.send_signal(signal.SIGTERM)
    assert stopped.wait(60) != 0
    assert processes_that_name(runs) == []

    assert drive(runs).wait(400) == 0
    starts = [event for event in events_of(runs / "describer") if event["event"] == "started"]
    assert [event["step"] == 0 for event in starts] == [True, False]
    assert events_of(runs / "describer")[-1] == {"event": "finished", "step": 30}

    ship(runs, to=shipped, boards=1)
    figures = json.loads((shipped / "describer" / "metrics.json").read_text())
    recipe = json.loads((shipped / "describer" / "recipe.json").read_text())
    detector = load_detector(str(shipped / "detector" / "detector.onnx"), threads=1)
    describer = load_describer(str(shipped / "describer"), threads=1)
    assert (figures["version"], figures["detector_version"]) == (describer.version, detector.version)
    assert recipe["steps_trained"] == TINY.steps
    assert json.loads((shipped / "detector" / "metrics.json").read_text())["version"] == detector.version


def test_when_one_training_fails_the_other_is_ended(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="training of the detector ended with code 2"):
        train_side_by_side(tmp_path, {"describer": (), "detector": ("--no-such-option",)})
    assert processes_that_name(tmp_path) == []
