"""What a run is asked to do: `run.json`, read and checked before anything is opened."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from finetune.training.lora.coaugment import PLAIN, Augmentation
from finetune.training.lora.faults import TrainingFault
from scheduling.serving.describers import SMALL

TRAINER: Final = "describer-lora"
NUMBERS: Final[Mapping[str, tuple[float, float]]] = {
    "seed": (0, 2**31 - 1),
    "rank": (1, 256),
    "alpha": (1, 1024),
    "epochs": (0.001, 1000),
    "max_steps": (1, 1_000_000),
    "batch": (1, 512),
    "rate": (1e-7, 1),
    "warmup_share": (0, 0.5),
    "checkpoint_steps": (1, 100_000),
    "validate_steps": (1, 100_000),
    "samples": (0, 64),
    "good_share": (0, 1),
    "most_validation_places": (1, 100_000),
    "most_report_places": (1, 100_000),
    "threads": (1, 256),
}


@dataclass(frozen=True)
class LoraRecipe:
    """Everything that decides the result, apart from the code and the data.

    `augmentation` is "co", "plain", or an object with fields of `Augmentation`. `dataset` is the sealed folder; `base`
    a describer's spec: "aivd-small", a folder or a hub id. Rank 16 and alpha 32 are for all, so that the nodes of a
    fleet can batch adapters; `rate` 0 takes the base's own: 2e-3 for the small describer, 1e-4 for others.
    """

    dataset: str
    base: str = SMALL
    trainer: str = TRAINER
    seed: int = 0
    rank: int = 16
    alpha: float = 32.0
    epochs: float = 3.0
    max_steps: int = 2000
    batch: int = 16
    rate: float = 0.0
    warmup_share: float = 0.03
    weight_decay: float = 0.0
    checkpoint_steps: int = 50
    validate_steps: int = 100
    samples: int = 4
    good_share: float = 0.15
    most_validation_places: int = 400
    most_report_places: int = 300
    threads: int = 1
    detector_boxes: bool = True
    augmentation: Any = field(default="co")

    @classmethod
    def read(cls, path: Path) -> "LoraRecipe":
        """Raises TrainingFault for what is missing, unknown or out of range."""
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            dataset = Path(str(stored["dataset"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TrainingFault("bad_recipe", f"{path.name} is no recipe: {error}.", "Start the run again.") from error
        unknown = sorted(set(stored) - {one.name for one in fields(cls)})
        if unknown:
            raise TrainingFault("bad_recipe", f"{path.name} has {unknown[0]!r}, which no recipe has.", "Leave it out.")
        for name, (low, high) in NUMBERS.items():
            if name in stored and (name != "rate" or stored[name] != 0):
                _check_number(name, stored[name], low, high)
        if stored.get("trainer", TRAINER) != TRAINER:
            raise TrainingFault("bad_recipe", f"There is no trainer {stored['trainer']!r}.", f"Use {TRAINER!r}.")
        if not dataset.is_absolute():
            stored["dataset"] = str((path.parent / dataset).resolve())
        return cls(**stored)

    @property
    def how(self) -> Augmentation:
        if isinstance(self.augmentation, dict):
            return Augmentation.read(self.augmentation)
        named = {"co": Augmentation(), "plain": PLAIN}
        if self.augmentation not in named:
            raise TrainingFault("bad_recipe", f"There is no augmentation {self.augmentation!r}.", "Use co or plain.")
        return named[self.augmentation]

    def steps(self, places: int) -> int:
        return max(1, min(self.max_steps, math.ceil(self.epochs * places / self.batch)))

    def rate_at(self, step: int, steps: int, peak: float) -> float:
        """A linear warm-up, then a cosine down to nothing."""
        warmup = max(1, round(self.warmup_share * steps))
        if step < warmup:
            return peak * (step + 1) / warmup
        return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))

    def as_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "dataset"}


def _check_number(name: str, value: Any, low: float, high: float) -> None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
    if not good:
        raise TrainingFault("bad_recipe", f"{name} is {value!r}.", f"Use a number from {low:g} to {high:g}.")
