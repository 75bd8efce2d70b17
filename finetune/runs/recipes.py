"""What a recipe may set, with sane defaults and bounds: the form asks for it, the API checks it, the trainer gets it.

Adding a kind of run is an entry here, and a trainer that `python -m finetune.training run.json out/` finds by it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aivd_web.kernel.errors import Unprocessable


class BadRecipe(Unprocessable):
    code = "bad_recipe"


@dataclass(frozen=True)
class Setting:
    """A number between two bounds, or one of `choices`."""

    name: str
    title: str
    default: Any
    least: float = 0
    most: float = 0
    whole: bool = True
    choices: tuple[str, ...] = ()
    about: str = ""

    def checked(self, value: Any) -> Any:
        """Raises BadRecipe."""
        if self.choices:
            if value not in self.choices:
                raise BadRecipe(f"{self.title} is one of {', '.join(self.choices)}, not {value!r:.40}.")
            return value
        allowed = int if self.whole else int | float
        if isinstance(value, bool) or not isinstance(value, allowed) or not self.least <= value <= self.most:
            kind = "a whole number" if self.whole else "a number"
            raise BadRecipe(f"{self.title} is {kind} from {self.least:g} to {self.most:g}, not {value!r:.40}.")
        return value


@dataclass(frozen=True)
class KindOfRun:
    name: str
    title: str
    base: str
    settings: tuple[Setting, ...]


_LORA = (
    Setting(
        "augmentation", "Augmentation", "co", choices=("co", "plain"), about="co: boxes, pictures and prompts vary"
    ),
    Setting("rank", "LoRA rank", 16, 1, 256, about="the same on all nodes of a fleet"),
    Setting("alpha", "LoRA alpha", 32, 1, 1024),
    Setting("epochs", "Epochs", 3, 0.001, 1000, whole=False),
    Setting("max_steps", "At most so many steps", 2000, 1, 1_000_000),
    Setting("batch", "Crops a step", 16, 1, 512),
    Setting("rate", "Learning rate", 0, 0, 1, whole=False, about="0: the base's own"),
    Setting("checkpoint_steps", "Checkpoint every", 50, 1, 100_000, about="steps"),
    Setting("validate_steps", "Validate every", 100, 1, 100_000, about="steps"),
    Setting("good_share", "Crops without a defect", 0.15, 0, 1, whole=False, about="share of all"),
    Setting("most_validation_places", "Crops to validate on", 400, 1, 100_000),
    Setting("threads", "Processor threads", 1, 1, 256),
)
_DETECTOR = (
    Setting("epochs", "Epochs", 100, 0.001, 10_000, whole=False),
    Setting("max_steps", "At most so many steps", 20_000, 1, 1_000_000),
    Setting("max_minutes", "At most so many minutes", 0, 0, 100_000, whole=False, about="0: no limit"),
    Setting("batch", "Pictures a step", 8, 1, 512),
    Setting("rate", "Learning rate", 0, 0, 1, whole=False, about="0: the base's own"),
    Setting("side_px", "Side of what the network sees", 640, 64, 2048, about="a multiple of 32"),
    Setting("crop_px", "Side of a training picture", 0, 0, 2048, about="0: as the network sees; a multiple of 32"),
    Setting(
        "scale",
        "Scale",
        "auto",
        choices=("auto", "tiles", "whole"),
        about="tiles: pixel for pixel; whole: shrunk to it",
    ),
    Setting(
        "turns",
        "Directions",
        "all",
        choices=("all", "mirrored", "none"),
        about="how the product may lie: any way round",
    ),
    Setting("mosaic", "Pictures of four frames", 0, 0, 1, whole=False, about="share of all"),
    Setting("size_jitter", "Sizes vary", 0.15, 0, 0.9, whole=False),
    Setting("light_jitter", "Light varies", 0.15, 0, 0.9, whole=False),
    Setting("checkpoint_steps", "Checkpoint every", 100, 1, 100_000, about="steps"),
    Setting("validate_steps", "Validate every", 500, 1, 100_000, about="steps"),
    Setting("most_validation_frames", "Frames to validate on", 400, 1, 100_000),
    Setting("threads", "Processor threads", 1, 1, 256),
)
KINDS: Mapping[str, KindOfRun] = {
    each.name: each
    for each in (
        KindOfRun("describer-lora", "Describer (LoRA)", "aivd-small", _LORA),
        KindOfRun("detector", "Detector (YOLO)", "aivd-detector", _DETECTOR),
    )
}


def checked(kind: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """All settings of the kind, those that were given among its defaults. Raises BadRecipe."""
    if kind not in KINDS:
        raise BadRecipe(f"There is no kind of run '{kind[:40]}'.", hint=f"Choose one of {', '.join(KINDS)}.")
    known = {setting.name: setting for setting in KINDS[kind].settings}
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise BadRecipe(f"A {kind} run has no setting '{unknown[0][:40]}'.", hint=f"It has {', '.join(known)}.")
    return {name: setting.checked(settings.get(name, setting.default)) for name, setting in known.items()}
