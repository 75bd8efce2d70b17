"""The small describer's commands: ship, make, check. Knows folders and arguments; the work is done elsewhere."""

import argparse
import json
import platform
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from finetune.training.describer import Recipe, run_in
from finetune.training.describer_check import check_describer
from scheduling.serving.describers import SMALL, SMALL_FOLDER, load_describer

MAKE_FOLDER: Final = Path("runs/models/describer")
PACKAGES: Final = ("torch", "transformers", "tokenizers", "safetensors", "numpy")
FILES: Final = (
    "model.safetensors",
    "config.json",
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
    parser.add_argument("--boards", type=int, default=150)
    options = parser.parse_args(argv)
    ship_run(options.run, boards=options.boards)


def make(argv: list[str]) -> None:
    """Train the default recipe and ship it; resumable."""
    run_in(MAKE_FOLDER, Recipe(), resume=True)
    ship_run(MAKE_FOLDER, boards=150)


def check(*, seed: int) -> dict[str, Any]:
    """`describer_class_accuracy` and its kin of the shipped describer on boards from `seed` on."""
    return check_describer(load_describer(SMALL, threads=1), seed=seed)


def ship_run(run: Path, *, boards: int) -> None:
    """Copy weights, recipe and figures of `run` into the folder of shipped weights.

    Where a run was stopped and went on with another recipe, `history.json` in its folder (a list of sentences) says
    so and is kept in the shipped recipe.
    """
    SMALL_FOLDER.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copyfile(run / "model" / name, SMALL_FOLDER / name)
    recipe = json.loads((run / "recipe.json").read_text(encoding="utf-8"))
    recipe |= {"steps_trained": _last_step(run), "packages": {name: version(name) for name in PACKAGES}}
    history = run / "history.json"
    if history.is_file():
        recipe["history"] = json.loads(history.read_text(encoding="utf-8"))
    _write(SMALL_FOLDER / "recipe.json", recipe)
    describer = load_describer(SMALL, threads=1)
    figures: dict[str, Any] = {"seed": REPORT_SEED, "boards": boards, "machine": platform.machine()}
    figures |= {"version": describer.version, "digest": describer.digest, "runtime": describer.runtime}
    figures |= check_describer(describer, seed=REPORT_SEED, boards=boards)
    _write(SMALL_FOLDER / "metrics.json", figures)
    print(json.dumps(figures))


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
