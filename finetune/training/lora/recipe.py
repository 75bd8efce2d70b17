"""What a run is asked to do: `run.json`, read and checked before anything is opened."""

import math
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from finetune.training.faults import TrainingFault
from finetune.training.lora.coaugment import PLAIN, Augmentation, Share
from scheduling.serving.describers import SMALL

TRAINER: Final = "describer-lora"
LEAST_RATE: Final = 1e-7
Often: TypeAlias = Annotated[int, Meta(ge=1, le=100_000)]


class LoraRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that decides the result, apart from the code and the data.

    `augmentation` is "co", "plain", or an object with fields of `Augmentation`. `dataset` is the sealed folder; `base`
    a describer's spec: "aivd-small", a folder or a hub id. Rank 16 and alpha 32 are for all, so that the nodes of a
    fleet can batch adapters; `rate` 0 takes the base's own: 2e-3 for the small describer, 1e-4 for others.
    """

    dataset: str
    base: str = SMALL
    trainer: Literal["describer-lora"] = TRAINER
    seed: Annotated[int, Meta(ge=0, lt=2**31)] = 0
    rank: Annotated[int, Meta(ge=1, le=256)] = 16
    alpha: Annotated[float, Meta(ge=1, le=1024)] = 32.0
    epochs: Annotated[float, Meta(ge=0.001, le=1000)] = 3.0
    max_steps: Annotated[int, Meta(ge=1, le=1_000_000)] = 2000
    batch: Annotated[int, Meta(ge=1, le=512)] = 16
    rate: Share = 0.0
    warmup_share: Annotated[float, Meta(ge=0, le=0.5)] = 0.03
    weight_decay: float = 0.0
    checkpoint_steps: Often = 50
    validate_steps: Often = 100
    samples: Annotated[int, Meta(ge=0, le=64)] = 4
    good_share: Share = 0.15
    most_validation_places: Often = 400
    most_report_places: Often = 300
    threads: Annotated[int, Meta(ge=1, le=256)] = 1
    detector_boxes: bool = True
    augmentation: Literal["co", "plain"] | Augmentation = "co"

    @classmethod
    def read(cls, path: Path) -> "LoraRecipe":
        """Raises TrainingFault for what is missing, unknown or out of range."""
        try:
            recipe = msgspec.json.decode(path.read_bytes(), type=cls)
        except (OSError, ValueError, RecursionError) as error:
            sentence = f"{path.name} is no recipe: {error}."
            raise TrainingFault("bad_recipe", sentence, "Correct that, and start the run again.") from error
        if 0 < recipe.rate < LEAST_RATE:
            raise TrainingFault(
                "bad_recipe", f"rate is {recipe.rate}.", f"Use 0, or a number from {LEAST_RATE:g} to 1."
            )
        return msgspec.structs.replace(recipe, dataset=str((path.parent / recipe.dataset).resolve()))

    @property
    def how(self) -> Augmentation:
        named = {"co": Augmentation(), "plain": PLAIN}
        return self.augmentation if isinstance(self.augmentation, Augmentation) else named[self.augmentation]

    def steps(self, places: int) -> int:
        return max(1, min(self.max_steps, math.ceil(self.epochs * places / self.batch)))

    def rate_at(self, step: int, steps: int, peak: float) -> float:
        """A linear warm-up, then a cosine down to nothing."""
        warmup = max(1, round(self.warmup_share * steps))
        if step < warmup:
            return peak * (step + 1) / warmup
        return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))

    def as_json(self) -> dict[str, Any]:
        return {name: value for name, value in msgspec.to_builtins(self).items() if name != "dataset"}
