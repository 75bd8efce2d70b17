"""`python -m finetune.training COMMAND`: train, ship and check the models. Each command's code is loaded when it runs.

detector, describer   train one model into a folder (`--out DIR --resume`)
ship-detector         export a trained detector into the shipped weights
trained-on            write how the boards look that the detector was trained on
ship-describer        copy a trained describer into the shipped weights
models                train and ship everything that ships; goes on where an earlier call stopped
preview               `RUN.json OUT/`: what such a run would train on and cost: see `lora/preview.py`
RUN.json OUT/         train on a sealed dataset, by the recipe in RUN.json: see `lora/run.py` and `yolo/run.py`
check                 evaluate the shipped weights on a fresh, random seed; the last line is JSON
"""

import argparse
import importlib
import json
import secrets
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

COMMANDS: Final = {
    "detector": "finetune.training.detector_cli:train",
    "ship-detector": "finetune.training.detector_cli:ship",
    "trained-on": "finetune.training.trained_on:main",
    "describer": "finetune.training.describer:main",
    "ship-describer": "finetune.training.describer_cli:ship",
    "models": "finetune.training.models:make",
}
TRAINERS: Final = {
    "describer-lora": "finetune.training.lora.run",
    "detector": "finetune.training.yolo.run",
}
"""By the kind of run that a recipe names; each has `main(argv)`, which returns the exit code."""

SHIPPED: Final = ("finetune.training.detector_cli", "finetune.training.describer_cli")
"""Modules with `check(seed)`, which measures one model, and `shipped_figures()`, which reads what metrics.json says."""
FIRST: Final = (
    "seed",
    "detector_map50",
    "describer_class_accuracy",
    "fact_accuracy",
    "fact_baseline",
    "json_valid",
)
"""Keys that the last line of `check` begins with; more figures follow them."""


def main(argv: list[str]) -> None:
    command, rest = (argv[0], argv[1:]) if argv else ("--help", [])
    if command.endswith(".json") and len(rest) == 1:
        raise SystemExit(importlib.import_module(_trainer_of(command)).main(argv))
    if command == "preview":
        raise SystemExit(importlib.import_module("finetune.training.lora.preview").main(rest))
    if command == "check":
        _check(rest)
    elif command in COMMANDS:
        module, function = COMMANDS[command].split(":")
        getattr(importlib.import_module(module), function)(rest)
    else:
        print(__doc__)
        raise SystemExit(0 if command in ("-h", "--help") else f"unknown command {command!r}")


def _trainer_of(recipe: str) -> str:
    """The module that carries the recipe out; one that cannot be read is for the first of them to refuse."""
    first = next(iter(TRAINERS.values()))
    try:
        kind = json.loads(Path(recipe).read_text(encoding="utf-8"))["trainer"]
    except (OSError, ValueError, KeyError, TypeError):
        return first
    return TRAINERS.get(kind, first) if isinstance(kind, str) else first


def _shipped() -> Iterator[Any]:
    for name in SHIPPED:
        yield importlib.import_module(name)


def _check(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m finetune.training check")
    parser.add_argument("--seed", type=int, help="of the boards; random when left out")
    options = parser.parse_args(argv)
    # Above 2**40, out of reach of any seed a recipe trains on.
    seed = (1 << 40) + secrets.randbelow(1 << 32) if options.seed is None else options.seed
    figures: dict[str, object] = {"seed": seed}
    shipped: dict[str, object] = {}
    for module in _shipped():
        figures |= module.check(seed=seed)
        shipped = module.shipped_figures() | shipped
    _compare(figures, shipped)
    print(json.dumps({name: figures[name] for name in FIRST if name in figures} | figures))


def _compare(figures: Mapping[str, object], shipped: Mapping[str, object], indent: str = "") -> None:
    """A line for each share that was measured when the weights were shipped: now, then, and the difference.

    The boards are others than then, so a difference of a point or two is chance.
    """
    for name, value in figures.items():
        then = shipped.get(name)
        if isinstance(value, Mapping) and isinstance(then, Mapping):
            print(f"{indent}{name}")
            _compare(value, then, indent + "  ")
        elif isinstance(value, float) and isinstance(then, float):
            print(f"{indent}{name:<30} {value:.4f}, in metrics.json {then:.4f}: {value - then:+.4f}")


if __name__ == "__main__":
    main(sys.argv[1:])
