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
    """`ship-detector --run DIR [--boards N] [--no-int8]`: export a run into the shipped weights, with its figures."""
    parser = argparse.ArgumentParser(prog="python -m finetune.training ship-detector")
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--boards", type=int, default=150)
    parser.add_argument("--int8", action=argparse.BooleanOptionalAction, default=True, help="quantise it too")
    options = parser.parse_args(argv)
    ship_run(options.run, boards=options.boards, int8=options.int8)


def check(*, seed: int) -> dict[str, Any]:
    """`detector_map50` and its kin of the shipped detector on boards from `seed` on."""
    return check_detector(load_detector("yolo-openvino", threads=2), seed=seed)


def shipped_figures() -> dict[str, Any]:
    """What metrics.json beside the weights says."""
    figures: dict[str, Any] = json.loads((SHIPPED_FOLDER / "metrics.json").read_text())
    return figures


def ship_run(run: Path, *, boards: int, folder: Path = SHIPPED_FOLDER, int8: bool = True) -> None:
    """Export `run` and write recipe, figures and weights, with `int8` the quantised ones too, into `folder`."""
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
    quantised = weights.with_name(SHIPPED_INT8_WEIGHTS.name)
    for stale in (quantised, quantised.with_suffix(".bin")):
        stale.unlink(missing_ok=True)
    if int8:
        figures["int8"] = _quantised(weights, quantised, boards)
    _write(folder / "metrics.json", figures)
    print(json.dumps(figures))


def _quantised(weights: Path, out: Path, boards: int) -> dict[str, Any]:
    """Quantise `weights` into `out`; its figures on the boards that the full precision was measured on."""
    from finetune.training.detector_int8 import CALIBRATION_BOARDS, quantise

    detector = load_detector(str(quantise(weights, out, boards=min(boards, CALIBRATION_BOARDS))), threads=1)
    about = {"version": detector.version, "digest": detector.digest}
    return about | check_detector(detector, seed=REPORT_SEED, boards=boards)


def _last_step(run: Path) -> int:
    lines = (run / "events.jsonl").read_text().splitlines()
    return int(json.loads(lines[-1])["step"]) if lines else 0


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")
