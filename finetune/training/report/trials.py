"""The crops that a report is measured on: the sealed test split with its boxes as they are, moved, and as detected.

Noise s moves a box's centre by U(-s, s) of its width and height and scales each side by exp(U(-s, s)), clipped to
the frame. Both arms answer the same crops. Knows no model.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from finetune.training.lora.box_errors import BoxErrors, moved
from finetune.training.lora.coaugment import PLAIN, Augmentation, Example, Place, augmented, clipped
from finetune.training.lora.places import detected_places, places_of
from finetune.training.manifest import ManifestFrame

NOISES: Final = (0.0, 0.1, 0.3, 0.5)
DETECTOR: Final = "detector"
NOTHING: Final = BoxErrors({}, {}, {})
AS_IT_IS: Final = PLAIN
WITH_HINT: Final = Augmentation(**(PLAIN.__dict__ | {"hint_missing": 0.0, "replayed_share": 1.0}))
"""The detector's own boxes come with what it said, as in service."""


@dataclass(frozen=True)
class Trial:
    """`name` is the noise, or `detector` for its own boxes."""

    name: str
    examples: list[Example]


def trials_of(
    frames: Sequence[ManifestFrame], class_names: Sequence[str], *, seed: int, good_share: float, most: int
) -> list[Trial]:
    """Every trial on at most `most` places; the detector's only where its boxes were sealed."""
    places = _some(places_of(frames, seed=seed, detector_boxes=False, good_share=good_share), seed, most)
    found = [Trial(f"{noise:g}", _noisy(places, noise, seed, class_names)) for noise in NOISES]
    own = _some(detected_places(frames), seed, most)
    if own:
        rng = np.random.default_rng((seed, 41))
        found.append(Trial(DETECTOR, [augmented(place, WITH_HINT, NOTHING, class_names, rng) for place in own]))
    return found


def _noisy(places: Sequence[Place], noise: float, seed: int, class_names: Sequence[str]) -> list[Example]:
    rng = np.random.default_rng((seed, 40, round(100 * noise)))
    examples = []
    for place in places:
        x, y, w, h = (float(value) for value in rng.uniform(-noise, noise, 4))
        box = clipped(moved(place.box_xyxy, (x, y, w, h)), place.frame_size_wh)
        examples.append(augmented(replace(place, box_xyxy=box), AS_IT_IS, NOTHING, class_names, rng))
    return examples


def _some(places: list[Place], seed: int, most: int) -> list[Place]:
    if len(places) <= most:
        return places
    rng = np.random.default_rng((seed, 42))
    return [places[int(number)] for number in sorted(rng.choice(len(places), most, replace=False))]
