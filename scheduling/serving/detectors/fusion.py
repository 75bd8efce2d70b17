"""Let a golden template confirm what a network proposes, and add what the network overlooked.

A proposal where nothing differs from the template is most likely part of the design, such as a land or a hole. A
difference that the network did not see may be a defect of a kind it was not trained on. Where something differs but
in another outline, neither is doubted; and a template of another board has no say. Where a network declares from which
score on it is sure, as one that learned a product's own frames does, its box and its class stand from there on.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Protocol

from scheduling.serving.contracts import (
    DEFAULT_MIN_SCORE,
    BoxXyxy,
    DetectedRegion,
    Detector,
    Rgb,
    StageTimings,
    TimedDetector,
)
from scheduling.serving.detectors.template_difference import CLASS_NAMES, TemplateDifferenceDetector, compare
from scheduling.serving.preprocess import is_placed
from scheduling.serving.tiling import scale_of

SAME_PLACE_IOU: Final = 0.3
UNCONFIRMED_FACTOR: Final = 0.2
PARTLY_CONFIRMED_FACTOR: Final = 0.5
OVERLOOKED_FACTOR: Final = 0.7
SURE_SCORE: Final = 0.5


LOWEST_PROPOSAL: Final = 0.01
"""A faint proposal counts where the template confirms it."""


def judged_by_templates(detector: Detector) -> Detector:
    """The detector with every proposal judged by the template of its image, where the classes are those of bare boards.

    Any other, and the one that does nothing but compare with the template, comes back as it is.
    """
    if tuple(detector.class_names) != CLASS_NAMES or isinstance(detector, TemplateDifferenceDetector):
        return detector
    return TemplateJudgedDetector(detector)


class TemplateJudgedDetector:
    """See `Detector`: another one that looks at no template, and the templates' say on what it proposes."""

    def __init__(self, network: Detector) -> None:
        self.name, self.version, self.digest = network.name, network.version, network.digest
        self.runtime, self.class_names = network.runtime, network.class_names
        self.products: tuple[str, ...] = tuple(getattr(network, "products", ()))
        self.scale = scale_of(network)
        self.sure_score: float | None = getattr(network, "sure_score", None)
        self.last_timings = StageTimings(0.0, 0.0, 0.0)
        self._network = network

    def detect(
        self,
        images: Sequence[Rgb],
        *,
        min_score: float = DEFAULT_MIN_SCORE,
        templates: Sequence[Rgb | None] | None = None,
    ) -> list[list[DetectedRegion]]:
        """Raises BadFrame for a template of another size than its image."""
        goldens = templates if templates is not None else [None] * len(images)
        started = time.perf_counter()
        least = min_score if all(golden is None for golden in goldens) else min(min_score, LOWEST_PROPOSAL)
        proposed = self._network.detect(images, min_score=least)
        detected = time.perf_counter()
        regions = [
            judge(ours, image, golden, min_score=min_score, sure_score=self.sure_score)
            for ours, image, golden in zip(proposed, images, goldens, strict=True)
        ]
        self.last_timings = self._timings(1000 * (detected - started), 1000 * (time.perf_counter() - detected))
        return regions

    def _timings(self, detect_ms: float, judge_ms: float) -> StageTimings:
        if not isinstance(self._network, TimedDetector):
            return StageTimings(0.0, detect_ms, judge_ms)
        stages = self._network.last_timings
        return replace(stages, postprocess_ms=stages.postprocess_ms + judge_ms)


def judge(
    proposed: Sequence[DetectedRegion],
    image: Rgb,
    golden: Rgb | None,
    *,
    min_score: float,
    sure_score: float | None = None,
) -> list[DetectedRegion]:
    """What is left of the proposals of one image, and what the network overlooked, where there is a template.

    Proposals that lie nowhere in the image are passed on without a judgement, and so is a score that is no number.
    """
    if golden is None:
        return [region for region in proposed if not region.score < min_score]
    size_wh = (image.shape[1], image.shape[0])
    lost = [region for region in proposed if not is_placed(region, size_wh) and not region.score < min_score]
    placed = [region for region in proposed if is_placed(region, size_wh) and region.score >= LOWEST_PROPOSAL]
    fused = fuse(placed, compare(image, golden), sure_score=sure_score)
    return lost + [region for region in fused if region.score >= min_score]


class Differences(Protocol):
    """What a comparison with the template found; `template_difference.TemplateComparison` is one."""

    @property
    def regions(self) -> list[DetectedRegion]: ...

    @property
    def exact_names(self) -> bool: ...

    @property
    def same_board(self) -> bool: ...

    def differs_in(self, box: BoxXyxy) -> bool: ...


def fuse(
    proposed: Sequence[DetectedRegion], differences: Differences, *, sure_score: float | None = None
) -> list[DetectedRegion]:
    """Regions of one frame, best first. Both must use the same class names.

    A confirmed region takes the difference's box, which is exact, and the probability that not both are wrong. Its
    class is the difference's where pieces of copper could be counted exactly, else a sure network's. From `sure_score`
    on, which the network declares, both are the network's.
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
        kept = sure_score is not None and region.score >= sure_score
        named = kept or (region.score >= SURE_SCORE and not differences.exact_names)
        box, name = (region if kept else match).box_xyxy, region if named else match
        score = 1 - (1 - region.score) * (1 - match.score)
        fused.append(DetectedRegion(box, score, name.class_index, name.class_name))
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
