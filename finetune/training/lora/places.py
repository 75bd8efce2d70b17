"""From frames to the places that are trained and judged on: marked regions, the detector's boxes, good places.

Good places teach "no defect": first the detector's own false boxes and what people cleared, then random places
that no region touches. Knows no model.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from finetune.training.lora.box_errors import matches
from finetune.training.lora.coaugment import Place, cut_place
from finetune.training.manifest import ManifestFrame, MarkedRegion, read_picture, read_template
from scheduling.serving.answers import NO_DEFECT
from scheduling.serving.contracts import BoxXyxy, Rgb

RANDOM_GOOD_SHARE: Final = 0.15
LEAST_SCORE: Final = 0.25
"""Boxes of the detector below this score are described by nobody."""


def places_of(
    frames: Sequence[ManifestFrame], *, seed: int, detector_boxes: bool, good_share: float = RANDOM_GOOD_SHARE
) -> list[Place]:
    """Every place of the frames, in their order. Raises TrainingFault for a picture that cannot be read."""
    rng = np.random.default_rng((seed, 3))
    found: list[Place] = []
    sizes = [_size(region.box_xyxy) for frame in frames for region in frame.regions]
    for frame in frames:
        picture, template = read_picture(frame), read_template(frame)
        here = [
            cut_place(frame.id, picture, template, region.box_xyxy, region.defect_class, region.text)
            for region in frame.regions
        ]
        if detector_boxes:
            here += _detected(frame, picture, template)
        for _ in range(int(rng.poisson(good_share * max(1, len(here))))):
            box = _good_box(frame, sizes, rng)
            if box is not None:
                here.append(cut_place(frame.id, picture, template, box, NO_DEFECT, {}))
        found += here
    return found


def detected_places(frames: Sequence[ManifestFrame], *, least_score: float = 0.5) -> list[Place]:
    """The detector's own boxes alone, as a station's threshold lets them through: those on a region, those on none."""
    found: list[Place] = []
    for frame in frames:
        picture, template = read_picture(frame), read_template(frame)
        found += _detected(frame, picture, template, least_score)
    return found


def _detected(
    frame: ManifestFrame, picture: Rgb, template: Rgb | None, least_score: float = LEAST_SCORE
) -> list[Place]:
    boxes = [box for box in frame.detected if box.score >= least_score]
    return [
        cut_place(
            frame.id,
            picture,
            template,
            box.box_xyxy,
            region.defect_class if region else NO_DEFECT,
            region.text if region else {},
            said=(box.defect_class, box.score),
            own_box=True,
        )
        for box, region in matches(boxes, frame.regions)
    ]


def _good_box(frame: ManifestFrame, sizes: Sequence[tuple[float, float]], rng: np.random.Generator) -> BoxXyxy | None:
    """A place as large as some region that touches no region of its frame; None where none is found."""
    width, height = frame.size_wh
    for _ in range(20):
        w, h = sizes[int(rng.integers(len(sizes)))] if sizes else (width / 8, height / 8)
        w, h = min(w, width - 1.0), min(h, height - 1.0)
        x, y = float(rng.uniform(0, width - w)), float(rng.uniform(0, height - h))
        box = (x, y, x + w, y + h)
        if not any(_touch(box, region) for region in frame.regions):
            return box
    return None


def _touch(box: BoxXyxy, region: MarkedRegion) -> bool:
    other = region.box_xyxy
    return box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]


def _size(box: BoxXyxy) -> tuple[float, float]:
    return box[2] - box[0], box[3] - box[1]
