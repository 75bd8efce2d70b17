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
    previews: bool = False
    """Whether its trainer can show what a run would train on."""


_LORA = (
    Setting(
        "augmentation",
        "Augmentation",
        "co",
        choices=("co", "plain"),
        about="co: boxes, pictures and questions vary as they do in service; plain: as labelled",
    ),
    Setting("epochs", "Epochs", 3, 0.001, 1000, whole=False, about="How often it sees each place"),
    Setting("max_steps", "Most steps", 2000, 1, 1_000_000, about="It ends here though epochs are left"),
    Setting("batch", "Crops per step", 16, 1, 512, about="More is steadier and takes more memory"),
    Setting("rate", "Learning rate", 0, 0, 1, whole=False, about="0: the base's own; less where the loss jumps"),
    Setting("rank", "LoRA rank", 16, 1, 256, about="Size of the adapter; the same on all nodes of a fleet"),
    Setting("alpha", "LoRA alpha", 32, 1, 1024, about="How much the adapter counts; twice the rank is usual"),
    Setting(
        "good_share", "Crops without a defect", 0.15, 0, 1, whole=False, about="Share of all; against false alarms"
    ),
    Setting("validate_steps", "Validate every", 100, 1, 100_000, about="Steps between two judgements of the weights"),
    Setting("checkpoint_steps", "Checkpoint every", 50, 1, 100_000, about="Steps that a killed run may do again"),
    Setting("most_validation_places", "Crops to validate on", 400, 1, 100_000, about="At most; more is surer, slower"),
    Setting("most_report_places", "Crops in the report", 300, 1, 100_000, about="At most, in each of its trials"),
    Setting("threads", "Processor threads", 1, 1, 256, about="More is faster, and less is left for the nodes"),
)
_DETECTOR = (
    Setting("epochs", "Epochs", 100, 0.001, 10_000, whole=False, about="How often it sees each frame"),
    Setting("max_steps", "Most steps", 20_000, 1, 1_000_000, about="It ends here though epochs are left"),
    Setting("max_minutes", "Most minutes", 0, 0, 100_000, whole=False, about="0: no limit"),
    Setting("batch", "Pictures per step", 8, 1, 512, about="More is steadier and takes more memory"),
    Setting("rate", "Learning rate", 0, 0, 1, whole=False, about="0: the base's own; less where the loss jumps"),
    Setting("side_px", "Side of what the network sees", 640, 64, 2048, about="Pixels, a multiple of 32"),
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
        about="How the product may lie; all: any way round",
    ),
    Setting("mosaic", "Pictures of four frames", 0, 0, 1, whole=False, about="Share of all"),
    Setting("size_jitter", "Sizes vary", 0.15, 0, 0.9, whole=False, about="By so much, up and down"),
    Setting("light_jitter", "Light varies", 0.15, 0, 0.9, whole=False, about="By so much, up and down"),
    Setting("checkpoint_steps", "Checkpoint every", 100, 1, 100_000, about="Steps that a killed run may do again"),
    Setting("validate_steps", "Validate every", 500, 1, 100_000, about="Steps between two judgements of the weights"),
    Setting("most_validation_frames", "Frames to validate on", 400, 1, 100_000, about="At most; more is surer, slower"),
    Setting("threads", "Processor threads", 1, 1, 256, about="More is faster, and less is left for the nodes"),
)
KINDS: Mapping[str, KindOfRun] = {
    each.name: each
    for each in (
        KindOfRun("describer-lora", "Describer (LoRA)", "aivd-small", _LORA, previews=True),
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
