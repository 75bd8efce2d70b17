"""Let a golden template confirm what a network proposes, and add what the network overlooked.

A proposal where nothing differs from the template is most likely part of the design, such as a land or a hole. A
difference that the network did not see may be a defect of a kind it was not trained on.
"""

from collections.abc import Sequence
from typing import Final

from scheduling.serving.contracts import BoxXyxy, DetectedRegion

SAME_PLACE_IOU: Final = 0.3
UNCONFIRMED_FACTOR: Final = 0.2
OVERLOOKED_FACTOR: Final = 0.7


def fuse(proposed: Sequence[DetectedRegion], differences: Sequence[DetectedRegion]) -> list[DetectedRegion]:
    """Regions of one frame, best first. Both lists must use the same class names.

    A confirmed region takes the difference's box, which is exact, its class, which comes from counting pieces of
    copper, and the probability that not both are wrong.
    """
    free = list(differences)
    fused = []
    for region in sorted(proposed, key=lambda region: -region.score):
        match = max(free, key=lambda other: _iou(region.box_xyxy, other.box_xyxy), default=None)
        if match is None or _iou(region.box_xyxy, match.box_xyxy) < SAME_PLACE_IOU:
            fused.append(_scored(region, region.score * UNCONFIRMED_FACTOR))
            continue
        free.remove(match)
        fused.append(_scored(match, 1 - (1 - region.score) * (1 - match.score)))
    fused += [_scored(region, region.score * OVERLOOKED_FACTOR) for region in free]
    return sorted(fused, key=lambda region: -region.score)


def _scored(region: DetectedRegion, score: float) -> DetectedRegion:
    return DetectedRegion(region.box_xyxy, score, region.class_index, region.class_name)


def _iou(one: BoxXyxy, two: BoxXyxy) -> float:
    width = min(one[2], two[2]) - max(one[0], two[0])
    height = min(one[3], two[3]) - max(one[1], two[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, two))
    return width * height / (areas - width * height)
