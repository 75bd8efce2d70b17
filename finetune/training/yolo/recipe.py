"""What a run of kind `detector` is asked to do: `run.json`, read and checked before anything is opened."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from finetune.training.faults import TrainingFault

TRAINER: Final = "detector"
SHIPPED_BASE: Final = "aivd-detector"
NUMBERS: Final[Mapping[str, tuple[float, float]]] = {
    "seed": (0, 2**31 - 1),
    "epochs": (0.001, 10_000),
    "max_steps": (1, 1_000_000),
    "max_minutes": (0, 100_000),
    "batch": (1, 512),
    "rate": (1e-6, 1),
    "side_px": (64, 2048),
    "crop_px": (64, 2048),
    "mosaic": (0, 1),
    "size_jitter": (0, 0.9),
    "light_jitter": (0, 0.9),
    "checkpoint_steps": (1, 100_000),
    "validate_steps": (1, 100_000),
    "most_validation_frames": (1, 100_000),
    "samples": (0, 64),
    "threads": (1, 256),
}
MAY_BE_ZERO: Final = ("rate", "crop_px")
CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "turns": ("all", "mirrored", "none"),
    "scale": ("auto", "tiles", "whole"),
}
STRIDE: Final = 32
WARMUP_SHARE: Final = 0.02
PLATEAU_UNTIL: Final = 0.35
"""The share of a run after which the learning rate falls, in a straight line down to nothing."""


@dataclass(frozen=True)
class YoloRecipe:
    """Everything that decides the result, apart from the code and the data.

    `base` is "aivd-detector" (the shipped network and its weights), a network that begins from nothing ("yolo26n",
    "yolo12n", "yolo11n"), or the `weights.safetensors` of an earlier run. `max_minutes` 0 sets no limit; a run that
    has one spreads its learning rate over that time, so that it ends well, where the steps would take longer.
    `side_px` is what the node shows the network, `crop_px` what is cut from that for a training picture (0: all of
    it). `scale` "tiles": pixel for pixel; "whole": each frame shrunk or enlarged to `side_px`; "auto" decides by the
    frames' size. `turns`: a product that may lie in any direction, that may be mirrored, or neither.
    """

    dataset: str
    base: str = SHIPPED_BASE
    trainer: str = TRAINER
    seed: int = 0
    epochs: float = 100.0
    max_steps: int = 20_000
    max_minutes: float = 0.0
    batch: int = 8
    rate: float = 0.0
    side_px: int = 640
    crop_px: int = 0
    scale: str = "auto"
    turns: str = "all"
    mosaic: float = 0.0
    size_jitter: float = 0.15
    light_jitter: float = 0.15
    weight_decay: float = 0.02
    average_decay: float = 0.998
    gradient_limit: float = 10.0
    checkpoint_steps: int = 100
    validate_steps: int = 500
    most_validation_frames: int = 400
    samples: int = 4
    threads: int = 1

    @classmethod
    def read(cls, path: Path) -> "YoloRecipe":
        """Raises TrainingFault for what is missing, unknown or out of range."""
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            dataset = Path(str(stored["dataset"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TrainingFault("bad_recipe", f"{path.name} is no recipe: {error}.", "Start the run again.") from error
        unknown = sorted(set(stored) - {one.name for one in fields(cls)})
        if unknown:
            raise TrainingFault("bad_recipe", f"{path.name} has {unknown[0]!r}, which no recipe has.", "Leave it out.")
        if stored.get("trainer", TRAINER) != TRAINER:
            raise TrainingFault("bad_recipe", f"There is no trainer {stored['trainer']!r}.", f"Use {TRAINER!r}.")
        _check_values(stored)
        return cls(**{**stored, "dataset": str((path.parent / dataset).resolve())})

    def __post_init__(self) -> None:
        for name in ("side_px", "crop_px"):
            if getattr(self, name) % STRIDE:
                raise TrainingFault(
                    "bad_recipe", f"{name} is {getattr(self, name)}.", f"Use a multiple of {STRIDE}: strides end there."
                )

    @property
    def picture_px(self) -> int:
        """Side of a training picture."""
        return min(self.crop_px or self.side_px, self.side_px)

    def steps(self, frames: int) -> int:
        return max(1, min(self.max_steps, math.ceil(self.epochs * frames / self.batch)))

    def pace_at(self, progress: float) -> float:
        """The share of the learning rates at `progress` (0..1): warm-up, plateau, then down to a hundredth."""
        warm = min(1.0, (progress + 1e-3) / WARMUP_SHARE)
        cool = min(1.0, max(0.01, (1 - progress) / (1 - PLATEAU_UNTIL)))
        return warm * cool

    def as_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "dataset"}


def _check_values(stored: Mapping[str, Any]) -> None:
    for name, (low, high) in NUMBERS.items():
        if name not in stored or (name in MAY_BE_ZERO and stored[name] == 0):
            continue
        value = stored[name]
        if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
            raise TrainingFault("bad_recipe", f"{name} is {value!r}.", f"Use a number from {low:g} to {high:g}.")
    for name, allowed in CHOICES.items():
        if stored.get(name, allowed[0]) not in allowed:
            raise TrainingFault("bad_recipe", f"{name} is {stored[name]!r}.", f"Use one of {', '.join(allowed)}.")
