"""The small describer's commands: ship and check. Knows folders and arguments; the work is done elsewhere."""

import argparse
import json
import platform
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from finetune.training.describer_check import answers_to, check_describer, jittered_cases, score
from scheduling.serving.contracts import Describer, Detector
from scheduling.serving.describers import SMALL, SMALL_FOLDER, load_describer
from scheduling.serving.detectors import load_detector

DETECTOR: Final = "yolo-openvino"
SHIP_BOARDS: Final = 150
NOISES: Final = (0.0, 0.1, 0.2, 0.3)
NOISE_FIGURES: Final = ("defect_crop_accuracy", "good_crop_accuracy", "fact_accuracy")
PACKAGES: Final = ("torch", "transformers", "tokenizers", "safetensors", "numpy")
FILES: Final = (
    "model.safetensors",
    "config.json",
    "classes.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "preprocessor_config.json",
)
REPORT_SEED: Final = 1 << 42
"""Boards of the figures in metrics.json: far above every seed of training and of `check`."""


def ship(argv: list[str]) -> None:
    """`ship-describer --run DIR [--boards N]`: copy a run's model into the shipped weights, with its figures."""
    parser = argparse.ArgumentParser(prog="python -m finetune.training ship-describer")
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--boards", type=int, default=SHIP_BOARDS)
    options = parser.parse_args(argv)
    ship_run(options.run, boards=options.boards)


def check(*, seed: int) -> dict[str, Any]:
    """`describer_class_accuracy` and its kin of the shipped describer on boxes of the shipped detector."""
    detector = load_detector(DETECTOR, threads=1)
    return check_describer(load_describer(SMALL, threads=2), detector, seed=seed)


def shipped_figures(folder: Path = SMALL_FOLDER) -> dict[str, Any]:
    """What metrics.json beside the weights says."""
    figures: dict[str, Any] = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return figures


def ship_run(run: Path, *, boards: int, folder: Path = SMALL_FOLDER, detector: str = DETECTOR) -> None:
    """Copy weights, recipe and figures of `run` into the folder of shipped weights.

    The figures are on boxes of `detector`, so ship that first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copyfile(run / "model" / name, folder / name)
    recipe = json.loads((run / "recipe.json").read_text(encoding="utf-8"))
    recipe |= {"steps_trained": _last_step(run), "packages": {name: version(name) for name in PACKAGES}}
    _write(folder / "recipe.json", recipe)
    figures = _measure(load_describer(str(folder), threads=1), load_detector(detector, threads=1), boards)
    _write(folder / "metrics.json", figures)
    print(json.dumps(figures))


def _measure(describer: Describer, detector: Detector, boards: int) -> dict[str, Any]:
    figures: dict[str, Any] = {"seed": REPORT_SEED, "machine": platform.machine()}
    figures |= {"version": describer.version, "digest": describer.digest, "runtime": describer.runtime}
    figures |= {"detector_version": detector.version}
    figures |= check_describer(describer, detector, seed=REPORT_SEED, boards=boards)
    figures["at_box_noise"] = {}
    for noise in NOISES:
        cases = list(jittered_cases(REPORT_SEED, max(1, boards // 3), noise))
        measured = score(cases, list(answers_to(describer, cases)))
        figures["at_box_noise"][str(noise)] = {name: measured[name] for name in NOISE_FIGURES}
    return figures


def _last_step(run: Path) -> int:
    """The step of the run's last saved model."""
    steps = [0]
    for line in (run / "events.jsonl").read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        if event["event"] == "validated":
            steps.append(int(event["step"]))
    return steps[-1]


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
