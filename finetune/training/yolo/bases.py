"""The network that a run begins from: the shipped one, one of ultralytics' with random weights, or an earlier run's.

Weights are safetensors. What a base has learned of a class by the same name is kept, whatever its number was.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from finetune.boards import CLASSES
from finetune.training.detector_network import DESIGNS, SHIPPED_DESIGN, build_network
from finetune.training.faults import TrainingFault
from finetune.training.yolo.recipe import SHIPPED_BASE
from scheduling.serving.detectors import SHIPPED_WEIGHTS

SHIPPED_SAFETENSORS: Final = SHIPPED_WEIGHTS.with_name("detector.safetensors")
PER_CLASS: Final = ("cv3", "one2one_cv3")
"""Parts of the head whose last layer has a row for each class."""


@dataclass(frozen=True)
class Base:
    """What a run begins from; `weights` None: from nothing."""

    spec: str
    design: str
    digest: str = ""
    weights: Path | None = None
    class_names: tuple[str, ...] = ()


def base_of(spec: str) -> Base:
    """Raises TrainingFault for what is no base of a detector."""
    if spec in DESIGNS:
        return Base(spec, spec)
    if spec == SHIPPED_BASE:
        return Base(spec, SHIPPED_DESIGN, _digest(SHIPPED_SAFETENSORS), SHIPPED_SAFETENSORS, CLASSES)
    path = Path(spec)
    known = ", ".join((SHIPPED_BASE, *DESIGNS))
    if path.suffix != ".safetensors" or not path.is_file():
        raise TrainingFault(
            "bad_base", f"No detector is called {spec[:100]!r}.", f"Use {known}, or the weights.safetensors of a run."
        )
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata() or {}
        design, names = about["design"], json.loads(about["class_names"])
    except (SafetensorError, KeyError, ValueError) as error:
        raise TrainingFault(
            "refused_weights", f"{path.name} holds no weights of a detector: {error}.", "Use what a run has written."
        ) from error
    if design not in (SHIPPED_DESIGN, *DESIGNS):
        raise TrainingFault("refused_weights", f"{path.name} is of the unknown network {design!r}.", f"Use {known}.")
    return Base(spec, design, _digest(path), path, tuple(str(name) for name in names))


def classes_in_order(base: Base, class_names: Sequence[str]) -> tuple[str, ...]:
    """The dataset's classes: those that the base knows first, in its order, so that a set it knows stays as it is."""
    known = [name for name in base.class_names if name in class_names]
    return (*known, *(name for name in class_names if name not in known))


def open_network(base: Base, class_names: Sequence[str], seed: int) -> Any:
    """The base's network for these classes, in training mode."""
    torch.manual_seed(seed)
    network = build_network(len(class_names), base.design)
    if base.weights is not None:
        stored = load_file(base.weights)
        network.load_state_dict(_fitted(stored, network.state_dict(), base.class_names, class_names))
    return network.train()


def _fitted(
    stored: Mapping[str, torch.Tensor], fresh: Mapping[str, torch.Tensor], old: Sequence[str], new: Sequence[str]
) -> dict[str, torch.Tensor]:
    """The stored weights with the rows of the classes that are wanted now; what has no counterpart stays fresh.

    The width of the classes' branch depends on how many there are where that is over 64; then it begins from nothing.
    """
    pairs = [(new.index(name), old.index(name)) for name in new if name in old]
    fitted = {}
    for name, value in fresh.items():
        given = stored.get(name)
        if given is None:
            fitted[name] = value
        elif _is_per_class(name, given, len(old)) and given.shape[1:] == value.shape[1:]:
            fitted[name] = value.clone()
            for to, of in pairs:
                fitted[name][to] = given[of]
        else:
            fitted[name] = given if given.shape == value.shape else value
    return fitted


def _is_per_class(name: str, value: torch.Tensor, classes: int) -> bool:
    parts = name.split(".")
    last_of_branch = len(parts) == 6 and parts[2] in PER_CLASS and parts[4] == "2"
    return last_of_branch and value.shape[0] == classes


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
