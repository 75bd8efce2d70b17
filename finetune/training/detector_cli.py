"""The detector's commands: train, ship, check. Knows folders and arguments; the work is done elsewhere."""

import argparse
import json
import platform
import shutil
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from finetune.boards import CLASSES
from finetune.training.detector import WEIGHTS, DetectorRecipe, train_detector
from finetune.training.detector_check import check_detector
from scheduling.serving.detectors import SHIPPED_INT8_WEIGHTS, SHIPPED_WEIGHTS, load_detector

SHIPPED_FOLDER: Final = SHIPPED_WEIGHTS.parent
PACKAGES: Final = ("torch", "ultralytics", "numpy", "opencv-python", "onnx", "onnxruntime", "openvino")
REPORT_SEED: Final = 1 << 41
"""Boards of the figures in metrics.json; training seeds its boards from its own generator, `check` from a fresh one."""


def train(argv: list[str]) -> None:
    """`detector --out DIR [--resume] [--steps N] ...`: one option for each number of the recipe."""
    parser = argparse.ArgumentParser(prog="python -m finetune.training detector")
    parser.add_argument("--out", type=Path, required=True, help="the run's folder")
    parser.add_argument("--resume", action="store_true", help="go on from the folder's checkpoint")
    for field in fields(DetectorRecipe):
        kind = type(field.default)
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind, default=field.default)
    options = vars(parser.parse_args(argv))
    out, resume = options.pop("out"), options.pop("resume")
    print(train_detector(DetectorRecipe(**options), out, resume=resume))


def ship(argv: list[str]) -> None:
    """`ship-detector --run DIR [--boards N] [--int8]`: export a run into the shipped weights, with its figures.

    `--int8` also writes `detector-int8.xml` and measures it: ship it only where it loses less than it saves.
    """
    parser = argparse.ArgumentParser(prog="python -m finetune.training ship-detector")
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--boards", type=int, default=150)
    parser.add_argument("--int8", action="store_true")
    options = parser.parse_args(argv)
    ship_run(options.run, boards=options.boards)
    if options.int8:
        _ship_int8(options.boards)


def check(*, seed: int) -> dict[str, Any]:
    """`detector_map50` and its kin of the shipped detector on boards from `seed` on."""
    return check_detector(load_detector("yolo-openvino", threads=2), seed=seed)


def shipped_figures() -> dict[str, Any]:
    """What metrics.json beside the weights says."""
    figures: dict[str, Any] = json.loads((SHIPPED_FOLDER / "metrics.json").read_text())
    return figures


def ship_run(run: Path, *, boards: int, folder: Path = SHIPPED_FOLDER) -> None:
    """Export `run` and write recipe, figures and weights into the folder of shipped weights."""
    from finetune.training.detector_export import export_onnx

    weights = folder / SHIPPED_WEIGHTS.name
    folder.mkdir(parents=True, exist_ok=True)
    export_onnx(run / WEIGHTS, weights, class_names=CLASSES)
    shutil.copyfile(run / WEIGHTS, folder / "detector.safetensors")
    recipe = json.loads((run / "recipe.json").read_text())
    recipe |= {"steps_trained": _last_step(run), "packages": {name: version(name) for name in PACKAGES}}
    _write(folder / "recipe.json", recipe)
    detector = load_detector(str(weights), threads=1)
    figures: dict[str, Any] = {"seed": REPORT_SEED, "machine": platform.machine(), "runtime": detector.runtime}
    figures |= {"version": detector.version, "digest": detector.digest}
    figures |= check_detector(detector, seed=REPORT_SEED, boards=boards)
    with_template = check_detector(detector, seed=REPORT_SEED, boards=max(1, boards // 3), with_templates=True)
    figures["with_golden_template"] = with_template
    _write(folder / "metrics.json", figures)
    print(json.dumps(figures))


def _ship_int8(boards: int) -> None:
    from finetune.training.detector_int8 import quantise

    quantise(SHIPPED_WEIGHTS, SHIPPED_INT8_WEIGHTS)
    figures = check_detector(load_detector("yolo-openvino-int8", threads=1), seed=REPORT_SEED, boards=boards)
    print(json.dumps({"int8": figures}))


def _last_step(run: Path) -> int:
    lines = (run / "events.jsonl").read_text().splitlines()
    return int(json.loads(lines[-1])["step"]) if lines else 0


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")
