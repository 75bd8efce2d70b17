"""Let a golden template confirm what a network proposes, and add what the network overlooked.

A proposal where nothing differs from the template is most likely part of the design, such as a land or a hole. A
difference that the network did not see may be a defect of a kind it was not trained on. Where something differs but
in another outline, neither is doubted; and a template of another board has no say.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from scheduling.serving.contracts import BoxXyxy, DetectedRegion, Rgb
from scheduling.serving.detectors.template_difference import CLASS_NAMES, compare
from scheduling.serving.preprocess import is_placed

SAME_PLACE_IOU: Final = 0.3
UNCONFIRMED_FACTOR: Final = 0.2
PARTLY_CONFIRMED_FACTOR: Final = 0.5
OVERLOOKED_FACTOR: Final = 0.7
SURE_SCORE: Final = 0.5


LOWEST_PROPOSAL: Final = 0.01
"""A faint proposal counts where the template confirms it."""


def judge(
    propose: Callable[[float], list[DetectedRegion]],
    image: Rgb,
    golden: Rgb | None,
    *,
    class_names: Sequence[str],
    min_score: float,
) -> list[DetectedRegion]:
    """What a network proposes from a score on, `propose(score)`, judged by the template where that can be done.

    It can where there is a template and the classes are those of bare boards. Proposals that lie nowhere in the image
    are passed on without a judgement. Raises BadFrame for a template of another size than the image.
    """
    if golden is None or tuple(class_names) != CLASS_NAMES:
        return propose(min_score)
    proposed, size_wh = propose(LOWEST_PROPOSAL), (image.shape[1], image.shape[0])
    lost = [region for region in proposed if not is_placed(region, size_wh) and not region.score < min_score]
    placed = [region for region in proposed if is_placed(region, size_wh)]
    fused = fuse(placed, compare(image, golden))
    return lost + [region for region in fused if region.score >= min_score]


class Differences(Protocol):
    """What a comparison with the template found; `template_difference.Comparison` is one."""

    @property
    def regions(self) -> list[DetectedRegion]: ...

    @property
    def exact_names(self) -> bool: ...

    @property
    def same_board(self) -> bool: ...

    def differs_in(self, box: BoxXyxy) -> bool: ...


def fuse(proposed: Sequence[DetectedRegion], differences: Differences) -> list[DetectedRegion]:
    """Regions of one frame, best first. Both must use the same class names.

    A confirmed region takes the difference's box, which is exact, and the probability that not both are wrong. Its
    class is the difference's where pieces of copper could be counted exactly, else a sure network's.
    """
    if not differences.same_board:
        return sorted(proposed, key=lambda region: -region.score)
    free = list(differences.regions)
    fused = []
    for region in sorted(proposed, key=lambda region: -region.score):
        match = max(free, key=lambda other: _iou(region.box_xyxy, other.box_xyxy), default=None)
        if match is None or _iou(region.box_xyxy, match.box_xyxy) < SAME_PLACE_IOU:
            factor = PARTLY_CONFIRMED_FACTOR if differences.differs_in(region.box_xyxy) else UNCONFIRMED_FACTOR
            fused.append(_scored(region, region.score * factor))
            continue
        free.remove(match)
        name = region if region.score >= SURE_SCORE and not differences.exact_names else match
        score = 1 - (1 - region.score) * (1 - match.score)
        fused.append(DetectedRegion(match.box_xyxy, score, name.class_index, name.class_name))
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
