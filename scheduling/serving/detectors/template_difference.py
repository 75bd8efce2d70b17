"""Find what differs from the golden template and name it by what it does to the copper. Needs no training.

Both pictures are turned into copper masks and aligned; what was added or taken away is named by counting the
pieces of copper and of bare board around it before and after: cut in two is an open, joined is a short, and so on.
It sees nothing that the template does not show, and a board with another revision's template is all defects.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from scheduling.serving.contracts import DEFAULT_MIN_SCORE, BadFrame, DetectedRegion, Rgb, StageTimings

CLASS_NAMES: Final = ("open", "short", "mousebite", "spur", "copper", "pin-hole")
VERSION: Final = "1"

LARGEST_SHIFT_PX: Final = 12
BORDER_PX: Final = 4
BOX_MARGIN_PX: Final = 10
SURROUND_PX: Final = 8
SMALLEST_CHANGE_PX: Final = 12
RIM_TOLERANCE_PX: Final = 2.0
"""A rim may lie this far off, by registration or etching, without being a change."""
HALF_SURE_REACH_PX: Final = 4.0
"""A change that reaches this far from the designed rim scores 0.5; a badly registered rim reaches less."""

TOPOLOGY_WEIGHT: Final = 1.8

MOST_REGIONS: Final = 100

Mask = npt.NDArray[np.uint8]
"""(H, W) of 0 and 1; 1 is copper, or a change."""


@dataclass(frozen=True)
class _Change:
    """A connected change: its pixels inside `window_xyxy`, and whether copper was added."""

    window_xyxy: tuple[int, int, int, int]
    pixels: Mask
    added: bool
    reach_px: float


class TemplateDifferenceDetector:
    """See `Detector`. Raises BadFrame for a frame without a template, or with one of another size."""

    name = "template-difference"
    version = VERSION
    class_names: tuple[str, ...] = CLASS_NAMES

    def __init__(self, *, threads: int) -> None:
        cv2.setNumThreads(threads)
        self.digest = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
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
        found = [compare(image, golden) for image, golden in zip(images, goldens, strict=True)]
        self.last_timings = StageTimings(0.0, 1000 * (time.perf_counter() - started), 0.0)
        return [[region for region in regions if region.score >= min_score] for regions in found]


def compare(image: Rgb, template: Rgb | None) -> list[DetectedRegion]:
    """All differences of one frame from its template, best first; BadFrame where they cannot be compared."""
    if template is None:
        raise BadFrame("template-difference needs a golden template; give the station one, or use a network")
    if template.shape != image.shape:
        raise BadFrame(f"the template is {_size(template)}, the frame {_size(image)}; they must be the same size")
    design, copper = _copper_masks(template, image)
    design = _aligned(design, copper)
    regions = [_region(change, design) for change in _changes(design, copper)]
    return sorted(regions, key=lambda region: -region.score)[:MOST_REGIONS]


def _size(picture: Rgb) -> str:
    return f"{picture.shape[1]} x {picture.shape[0]}"


def _copper_masks(template: Rgb, image: Rgb) -> tuple[Mask, Mask]:
    """Template and image as copper masks, by one projection: what is right for one is right for the other.

    Copper is the dark part of a binarised line scan and the bright part of any other picture.
    """
    if _is_binarised(template) and _is_binarised(image):
        return (template[..., 0] < 128).astype(np.uint8), (image[..., 0] < 128).astype(np.uint8)
    axis = _contrast_axis(template)
    return _bright(template, axis), _bright(image, axis)


def _is_binarised(picture: Rgb) -> bool:
    sample = picture[::4, ::4]
    return bool(np.mean((sample > 24) & (sample < 232)) < 0.02)


def _contrast_axis(template: Rgb) -> npt.NDArray[np.float32]:
    """The direction in RGB along which board and copper differ most, pointing to the brighter."""
    pixels = template[::4, ::4].reshape(-1, 3).astype(np.float32)
    axis = np.linalg.eigh(np.cov(pixels.T))[1][:, -1]
    return (axis if axis.sum() >= 0 else -axis).astype(np.float32)


def _bright(picture: Rgb, axis: npt.NDArray[np.float32]) -> Mask:
    """Above a threshold that follows the light across the board."""
    level = cv2.transform(cv2.GaussianBlur(picture, (0, 0), 0.9).astype(np.float32), axis.reshape(1, 3))
    light = cv2.GaussianBlur(cv2.resize(level, None, fx=0.125, fy=0.125, interpolation=cv2.INTER_AREA), (0, 0), 8)
    drift = cv2.resize(light - float(light.mean()), (picture.shape[1], picture.shape[0]))
    level = level - 0.5 * drift
    low, high = float(level.min()), float(level.max())
    flat = ((level - low) * (255 / max(high - low, 1e-6))).astype(np.uint8)
    mask: Mask = cv2.threshold(flat, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[1].astype(np.uint8)
    return mask


def _aligned(design: Mask, copper: Mask) -> Mask:
    """The design moved onto the copper: the best whole shift, then a small turn and shift where that fits better."""
    one, two = (cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 1.5) for mask in (design, copper))
    reach = LARGEST_SHIFT_PX
    inner = one[reach:-reach, reach:-reach]
    if float(inner.std()) < 1e-3:
        return design  # nothing to align by
    score = cv2.matchTemplate(two, inner, cv2.TM_CCOEFF_NORMED)
    _, _, _, (best_x, best_y) = cv2.minMaxLoc(score)
    motion = np.array([[1, 0, reach - best_x], [0, 1, reach - best_y]], np.float32)
    return _warped(one, _refined(one, two, motion))


def _refined(design: npt.NDArray[Any], copper: npt.NDArray[Any], motion: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Improve the 2 x 3 `motion` from copper to design pixels; keep it where the refinement finds no hold."""
    half: npt.NDArray[Any] = motion * np.array([[1, 1, 0.5]], np.float32)
    small = [cv2.resize(mask, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for mask in (design, copper)]
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 12, 1e-4)
    try:
        found = cv2.findTransformECC(small[1], small[0], half, cv2.MOTION_EUCLIDEAN, criteria)[1]
    except cv2.error:
        return motion
    refined: npt.NDArray[Any] = np.asarray(found) * np.array([[1, 1, 2]], np.float32)
    return refined if np.abs(refined - motion)[:, 2].max() < LARGEST_SHIFT_PX else motion


def _warped(design: npt.NDArray[Any], motion: npt.NDArray[Any]) -> Mask:
    size = (design.shape[1], design.shape[0])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(design, motion, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return (moved > 0.5).astype(np.uint8)


def _changes(design: Mask, copper: Mask) -> list[_Change]:
    """Added and missing copper that reaches further from the designed rim than registration can explain."""
    changes = []
    for added in (True, False):
        raw: Mask = np.where(design > 0, np.uint8(0), copper) if added else np.where(copper > 0, np.uint8(0), design)
        _clear_border(raw)
        reach = cv2.distanceTransform(1 - design if added else design, cv2.DIST_L2, 3)
        solid = cv2.morphologyEx(raw, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        joined = cv2.dilate(solid, np.ones((5, 5), np.uint8))
        count, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
        for label in range(1, count):
            x, y, width, height = (int(v) for v in stats[label][:4])
            window = (slice(y, y + height), slice(x, x + width))
            # Thin parts that the opening took off belong to the mark again.
            pixels = np.where(labels[window] == label, raw[window], np.uint8(0))
            furthest = float((reach[window] * pixels).max())
            if int(pixels.sum()) >= SMALLEST_CHANGE_PX and furthest > RIM_TOLERANCE_PX:
                changes.append(_Change((x, y, x + width, y + height), pixels, added, furthest))
    return changes


def _clear_border(mask: Mask) -> None:
    """What one picture shows at its very border the other may not show at all."""
    mask[:BORDER_PX], mask[-BORDER_PX:], mask[:, :BORDER_PX], mask[:, -BORDER_PX:] = 0, 0, 0, 0


def _region(change: _Change, design: Mask) -> DetectedRegion:
    x, y, width, height = cv2.boundingRect(change.pixels)
    left, top = change.window_xyxy[0] + x, change.window_xyxy[1] + y
    grow, (frame_h, frame_w) = BOX_MARGIN_PX, design.shape
    box = (
        float(max(left - grow, 0)),
        float(max(top - grow, 0)),
        float(min(left + width + grow, frame_w)),
        float(min(top + height + grow, frame_h)),
    )
    name = _name(change, design)
    # What changes the pieces of copper cannot be a misplaced rim, and in a narrow trace it cannot reach far.
    reach = change.reach_px * (1.0 if name in ("mousebite", "spur") else TOPOLOGY_WEIGHT)
    score = reach**2 / (reach**2 + HALF_SURE_REACH_PX**2)
    return DetectedRegion(box, score, CLASS_NAMES.index(name), name)


def _name(change: _Change, design: Mask) -> str:
    """By the pieces around the change, with nothing but the change applied to the design."""
    x1, y1, x2, y2 = change.window_xyxy
    left, top = max(x1 - SURROUND_PX, 0), max(y1 - SURROUND_PX, 0)
    before = design[top : y2 + SURROUND_PX, left : x2 + SURROUND_PX]
    mark = np.zeros_like(before)
    mark[y1 - top : y2 - top, x1 - left : x2 - left] = change.pixels
    # Alignment is good to half a pixel: a cut or a bridge may be one pixel short at its ends.
    mark = cv2.dilate(mark, np.ones((3, 3), np.uint8)).astype(np.uint8, copy=False)
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
