"""Find what differs from the golden template and name it by what it does to the copper. Needs no training.

What was added or taken away is named by counting the pieces of copper and of bare board around it before and after:
cut in two is an open, joined is a short, and so on. It sees nothing that the template does not show, and a board with
another revision's template is all defects. How the changes are found: see `template_changes`.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from scheduling.serving.contracts import (
    DEFAULT_MIN_SCORE,
    SHIPPED_CLASSES,
    TILE_PX,
    BadFrame,
    BoxXyxy,
    DetectedRegion,
    Detector,
    Rgb,
    StageTimings,
)
from scheduling.serving.detectors import template_changes
from scheduling.serving.detectors.model_file import SHIPPED_TRAINED_ON
from scheduling.serving.detectors.template_changes import (
    CopperChange,
    Mask,
    changes_of_levels,
    changes_of_masks,
    is_binarised,
)
from scheduling.serving.tiling import Scale

CLASS_NAMES: Final = tuple(SHIPPED_CLASSES)
VERSION: Final = "3"

BOX_MARGIN_PX: Final = 10
HALF_SURE_REACH_PX: Final = 4.0
"""A change that reaches this far from the designed rim scores 0.5; a badly registered rim reaches less."""

TOPOLOGY_WEIGHT: Final = 1.8
MOST_REGIONS: Final = 100

OTHER_BOARD_SHARE: Final = 0.03
"""Where more of the pixels than this differ, the template shows another board; a dozen defects change a fifth of it."""


@dataclass(frozen=True)
class TemplateComparison:
    """The regions that differ, best first, and every pixel that does, also those too few for a region.

    `exact_names` is set where copper is plain to see, as in a binarised picture: in others a bright hole, for one,
    looks like copper, and a class is a guess.
    """

    regions: list[DetectedRegion]
    changed: Mask
    exact_names: bool

    @property
    def same_board(self) -> bool:
        """Whether the template shows the board of the frame at all."""
        return float(self.changed.mean()) <= OTHER_BOARD_SHARE

    def differs_in(self, box: BoxXyxy) -> bool:
        """Whether anything differs inside the box without its margin."""
        x1, y1, x2, y2 = (round(value) for value in box)
        inset = min(BOX_MARGIN_PX // 2, (x2 - x1) // 4, (y2 - y1) // 4)
        return bool(self.changed[y1 + inset : y2 - inset, x1 + inset : x2 - inset].any())


def open_detector(spec: str, *, threads: int) -> Detector:
    return TemplateDifferenceDetector(threads=threads)


def trained_on_path(spec: str) -> Path:
    return SHIPPED_TRAINED_ON


class TemplateDifferenceDetector:
    """See `Detector`. Raises BadFrame for a frame without a template, or with one of another size."""

    name = "template-difference"
    version = VERSION
    class_names: tuple[str, ...] = CLASS_NAMES
    scale = Scale(TILE_PX)

    def __init__(self, *, threads: int) -> None:
        cv2.setNumThreads(threads)
        code = (Path(__file__), Path(template_changes.__file__))
        self.digest = hashlib.sha256(b"".join(path.read_bytes() for path in code)).hexdigest()
        self.runtime = f"opencv {cv2.__version__} cpu, {threads} threads"
        self.last_timings = StageTimings(0.0, 0.0, 0.0)

    def detect(
        self,
        images: Sequence[Rgb],
        *,
        min_score: float = DEFAULT_MIN_SCORE,
        templates: Sequence[Rgb | None] | None = None,
    ) -> list[list[DetectedRegion]]:
        goldens = templates if templates is not None else [None] * len(images)
        started = time.perf_counter()
        found = [compare(image, golden).regions for image, golden in zip(images, goldens, strict=True)]
        self.last_timings = StageTimings(0.0, 1000 * (time.perf_counter() - started), 0.0)
        return [[region for region in regions if region.score >= min_score] for regions in found]


def compare(image: Rgb, template: Rgb | None) -> TemplateComparison:
    """All differences of one frame from its template; BadFrame where they cannot be compared."""
    if template is None:
        raise BadFrame("template-difference needs a golden template; give the station one, or use a network")
    if template.shape != image.shape:
        raise BadFrame(f"the template is {_size(template)}, the frame {_size(image)}; they must be the same size")
    exact = is_binarised(template) and is_binarised(image)
    changes, changed = (changes_of_masks if exact else changes_of_levels)(image, template)
    regions = sorted((_region(change, image) for change in changes), key=lambda region: -region.score)
    return TemplateComparison(regions[:MOST_REGIONS], changed, exact)


def _size(picture: Rgb) -> str:
    return f"{picture.shape[1]} x {picture.shape[0]}"


def _region(change: CopperChange, image: Rgb) -> DetectedRegion:
    x, y, width, height = cv2.boundingRect(change.pixels)
    left, top = change.corner_xy[0] + x, change.corner_xy[1] + y
    grow, (frame_h, frame_w) = BOX_MARGIN_PX, image.shape[:2]
    box = (
        float(max(left - grow, 0)),
        float(max(top - grow, 0)),
        float(min(left + width + grow, frame_w)),
        float(min(top + height + grow, frame_h)),
    )
    name = _name(change)
    # What changes the pieces of copper cannot be a misplaced rim, and in a narrow trace it cannot reach far.
    reach = change.reach_px * (1.0 if name in ("mousebite", "spur") else TOPOLOGY_WEIGHT)
    score = reach**2 / (reach**2 + HALF_SURE_REACH_PX**2)
    return DetectedRegion(box, score, CLASS_NAMES.index(name), name)


def _name(change: CopperChange) -> str:
    """By the pieces around the change, with nothing but the change applied to the design."""
    before = change.design
    # Alignment is good to half a pixel: a cut or a bridge may be one pixel short at its ends.
    mark = cv2.dilate(change.pixels, np.ones((3, 3), np.uint8)).astype(np.uint8, copy=False)
    after = np.maximum(before, mark) if change.added else np.where(mark > 0, np.uint8(0), before)
    copper = _pieces(after == 1) - _pieces(before == 1)
    bare = _pieces(after == 0) - _pieces(before == 0)
    if change.added:
        return "short" if copper < 0 else "copper" if copper > 0 else "spur"
    return "open" if copper > 0 else "pin-hole" if bare > 0 else "mousebite"


def _pieces(mask: npt.NDArray[np.bool_]) -> int:
    """Connected pieces of more than a crumb."""
    stats = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)[2]
    return int((stats[1:, cv2.CC_STAT_AREA] >= 6).sum())
