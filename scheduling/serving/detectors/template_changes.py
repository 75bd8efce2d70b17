"""Which copper a frame has too much of or too little, against its golden template.

Binarised line scans are compared as copper masks. Other pictures are compared as brightness, with the template moved
onto the frame and its neighbourhood's brightest and darkest value as the tolerance: a board may show more than two
materials (bare laminate, covered traces, lands), and no one threshold parts them all. Copper is the dark part of a
binarised line scan and the bright part of any other picture. Knows no names of defects.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from scheduling.serving.contracts import Rgb

LARGEST_SHIFT_PX: Final = 12
BORDER_PX: Final = 4
SURROUND_PX: Final = 8
SMALLEST_CHANGE_PX: Final = 12
RIM_TOLERANCE_PX: Final = 2.0
"""A rim may lie this far off, by registration or etching, without being a change."""

NEIGHBOURHOOD_PX: Final = 14
MOVED_PX: Final = 6
MOVED_SHARE: Final = 0.33
"""Lands and drill holes are not registered with the board: where the design, moved by up to so many pixels, leaves
less than this share of what differs around a change, that is all that happened there. Of 332 changes that people had
marked on 50 train boards of DeepPCB the lowest share was 0.36; 182 of 197 that they had not were below it."""

NOISE_FACTOR: Final = 6.0
LEAST_STEP: Final = 10.0
"""A change of brightness under so many times the noise, or under so many grey levels, is none."""
LARGEST_STEP_SHARE: Final = 0.4
"""Nor may it have to be more than this share of the template's contrast."""
FURTHEST_REACH_PX: Final = 20.0

Mask = npt.NDArray[np.uint8]
"""(H, W) of 0 and 1; 1 is copper, or a change."""
Level = npt.NDArray[np.float32]


@dataclass(frozen=True)
class CopperChange:
    """Copper that was added or is missing; both masks begin at `corner_xy` of the frame.

    `pixels` are the changed ones, `design` the copper that should be there, with some surround. `reach_px` is how
    far the change goes from the designed rim.
    """

    corner_xy: tuple[int, int]
    pixels: Mask
    design: Mask
    added: bool
    reach_px: float


def is_binarised(picture: Rgb) -> bool:
    """Whether nearly every pixel is black or white."""
    sample = picture[::4, ::4]
    return bool(np.mean((sample > 24) & (sample < 232)) < 0.02)


def _soft(picture: npt.NDArray[Any], blur_px: float) -> Level:
    return cv2.GaussianBlur(picture.astype(np.float32), (0, 0), blur_px)  # type: ignore[return-value]


def _contrast_axis(template: Rgb) -> npt.NDArray[np.float32]:
    """The direction in RGB along which board and copper differ most, pointing to the brighter."""
    pixels = template[::4, ::4].reshape(-1, 3).astype(np.float32)
    axis = np.linalg.eigh(np.cov(pixels.T))[1][:, -1]
    return (axis if axis.sum() >= 0 else -axis).astype(np.float32)


def changes_of_masks(image: Rgb, template: Rgb) -> tuple[list[CopperChange], Mask]:
    """Added and missing copper of equally large binarised pictures, where it reaches further than registration errs.

    Also every changed pixel, those of changes too small to be listed included. A land or a hole that only lies a little
    elsewhere than in the template is no change.
    """
    design, copper = ((picture[..., 0] < 128).astype(np.uint8) for picture in (template, image))
    one, two = _soft(design, 1.5), _soft(copper, 1.5)
    design = (_moved(one, _motion(one, two)) > 0.5).astype(np.uint8)
    changes, changed = [], np.zeros_like(copper)
    for added in (True, False):
        raw: Mask = np.where(design > 0, np.uint8(0), copper) if added else np.where(copper > 0, np.uint8(0), design)
        _clear_border(raw)
        reach = cv2.distanceTransform(1 - design if added else design, cv2.DIST_L2, 3)
        solid = cv2.morphologyEx(raw, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)).astype(np.uint8, copy=False)
        changed |= solid
        for window, here in _spots(solid):
            if _only_moved(window, design, copper):
                changed[window] = np.where(here, np.uint8(0), changed[window])
                continue
            # Thin parts that the opening took off belong to the mark again.
            pixels = np.where(here, raw[window], np.uint8(0))
            furthest = float((reach[window] * pixels).max())
            if int(pixels.sum()) >= SMALLEST_CHANGE_PX and furthest > RIM_TOLERANCE_PX:
                changes.append(CopperChange(_corner(window), pixels, design[window], added, furthest))
    return changes, changed


def _only_moved(window: tuple[slice, slice], design: Mask, copper: Mask) -> bool:
    """Whether the design around the change, moved as a whole, shows nearly what the frame shows there."""
    more, (height, width) = NEIGHBOURHOOD_PX - SURROUND_PX, copper.shape
    top, bottom = max(window[0].start - more, MOVED_PX), min(window[0].stop + more, height - MOVED_PX)
    left, right = max(window[1].start - more, MOVED_PX), min(window[1].stop + more, width - MOVED_PX)
    if bottom - top < SURROUND_PX or right - left < SURROUND_PX:
        return False
    here = copper[top:bottom, left:right].astype(np.float32)
    around = design[top - MOVED_PX : bottom + MOVED_PX, left - MOVED_PX : right + MOVED_PX].astype(np.float32)
    differing = cv2.matchTemplate(around, here, cv2.TM_SQDIFF)
    return float(differing.min()) < MOVED_SHARE * float(differing[MOVED_PX, MOVED_PX])


def changes_of_levels(image: Rgb, template: Rgb) -> tuple[list[CopperChange], Mask]:
    """Places of a grey or coloured picture brighter than all, or darker than all, that the template has within a pixel.

    Also every changed pixel, as `changes_of_masks`.
    """
    axis = _contrast_axis(template)
    design, level = (_soft(picture.astype(np.float32) @ axis, 1.0) for picture in (template, image))
    design = _moved(design, _motion(design, level))
    design *= float((design * level).sum() / max(float((design * design).sum()), 1e-6))
    difference = level - design
    noise = 1.4826 * float(np.median(np.abs(difference)))
    low, high = np.percentile(design[::4, ::4], (2, 98))
    # Another board's template looks like noise everywhere; it must not make itself invisible.
    step = max(min(NOISE_FACTOR * noise, LARGEST_STEP_SHARE * float(high - low)), LEAST_STEP)
    kernel = np.ones((3, 3), np.uint8)
    changes, changed = [], np.zeros(level.shape, np.uint8)
    for added in (True, False):
        excess = level - cv2.dilate(design, kernel) if added else cv2.erode(design, kernel) - level
        seeds: Mask = (excess > step).astype(np.uint8)
        _clear_border(seeds)
        changed |= seeds
        for window, here in _spots(seeds):
            seed = np.where(here, seeds[window], np.uint8(0))
            change = _grown(seed, design[window], difference[window], added, _corner(window))
            if change is not None:
                changes.append(change)
    return changes, changed


def _grown(seed: Mask, design: Level, difference: Level, added: bool, corner: tuple[int, int]) -> CopperChange | None:
    """The change around its seed, out to where it falls to half; copper is what is nearer to the copper's level."""
    inside = seed > 0
    signed = difference if added else -difference
    height = float(np.percentile(signed[inside], 75))
    labels = cv2.connectedComponents((signed > height / 2).astype(np.uint8), connectivity=8)[1]
    own = np.unique(labels[inside])
    pixels = np.isin(labels, own[own > 0]).astype(np.uint8)
    if int(pixels.sum()) < SMALLEST_CHANGE_PX:
        return None
    before = float(np.median(design[inside]))
    threshold = before + 0.5 * height if added else before - 0.7 * height
    copper: Mask = (design > threshold).astype(np.uint8)
    away = cv2.distanceTransform(1 - copper if added else copper, cv2.DIST_L2, 3)
    reach = min(float((away * pixels).max()), FURTHEST_REACH_PX)
    return CopperChange(corner, pixels, copper, added, reach) if reach > 1.0 else None


def _spots(mask: Mask) -> Iterator[tuple[tuple[slice, slice], npt.NDArray[np.bool_]]]:
    """Each group of pixels that lie within two pixels of another: its window with surround, and where it is there."""
    joined = cv2.dilate(mask, np.ones((5, 5), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    for label in range(1, count):
        x, y, width, height = (int(v) for v in stats[label][:4])
        rows = slice(max(y - SURROUND_PX, 0), y + height + SURROUND_PX)
        window = (rows, slice(max(x - SURROUND_PX, 0), x + width + SURROUND_PX))
        yield window, labels[window] == label


def _corner(window: tuple[slice, slice]) -> tuple[int, int]:
    return window[1].start, window[0].start


def _motion(one: Level, two: Level) -> npt.NDArray[Any]:
    """The 2 x 3 motion from pixels of `two` to those of `one`: the best whole shift, then a small turn and shift."""
    reach = LARGEST_SHIFT_PX
    inner = one[reach:-reach, reach:-reach]
    if min(inner.shape, default=0) < 2 * reach or float(inner.std()) < 1e-3:
        return np.eye(2, 3, dtype=np.float32)  # nothing to align by
    score = cv2.matchTemplate(two, inner, cv2.TM_CCOEFF_NORMED)
    _, _, _, (best_x, best_y) = cv2.minMaxLoc(score)
    return _refined(one, two, np.array([[1, 0, reach - best_x], [0, 1, reach - best_y]], np.float32))


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


def _moved(picture: Level, motion: npt.NDArray[Any]) -> Level:
    size = (picture.shape[1], picture.shape[0])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(  # type: ignore[return-value]
        picture, motion, size, flags=flags, borderMode=cv2.BORDER_REPLICATE
    )


def _clear_border(mask: Mask) -> None:
    """What one picture shows at its very border the other may not show at all."""
    mask[:BORDER_PX], mask[-BORDER_PX:], mask[:, :BORDER_PX], mask[:, -BORDER_PX:] = 0, 0, 0, 0
