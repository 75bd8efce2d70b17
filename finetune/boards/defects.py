"""Make the six bare-board defects the way etching and handling make them, and check each one.

An open cuts a conductor through, a short bridges a gap, a mousebite nibbles a rim, a spur grows from one,
spurious copper stays behind on bare board, a pin-hole is left in copper. Each attempt is checked by counting the
pieces of copper and of bare board around it before and after, as designed and as a soft lens with a low or a high
threshold shows them: what a person could not see, or would call by another name, is not made. Knows nothing else
about cameras or pictures.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from finetune.boards import marks
from finetune.boards.canvas import Points
from finetune.boards.contracts import CLASSES, Picture
from finetune.boards.marks import PATCH_RADIUS_PX
from finetune.boards.terrain import Terrain

Rng = np.random.Generator
Window = tuple[int, int, int, int]

SURROUND_PX: Final = 6
SMALLEST_CHANGE_PX: Final = 24
SMALLEST_PIECE_PX: Final = 60
"""Less copper than this on its own is a crumb: a cut that leaves one is not seen as a cut between two parts."""
SOFTEST_BLUR_PX: Final = 1.3
THRESHOLDS: Final = (95, 160)
"""With the blur the range over which any station's picture still shows the defect for what it is."""
LONGEST_CUT_PX: Final = 62
ATTEMPTS: Final = 30


@dataclass(frozen=True)
class Mark:
    """Pixels that differ from the design: `changed` is the mask inside `window_xyxy` of the board."""

    defect_class: str
    window_xyxy: Window
    changed: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Attempt:
    """A mark to be: the patch around `centre` that adds copper or takes it away."""

    centre: Points
    patch: Picture
    adds: bool


def place_defects(terrain: Terrain, copper: Picture, rng: Rng, count: int, *, wild_opens: float = 0.0) -> list[Mark]:
    """Change `copper` (H, W) in place; return what was changed: at most `count` marks that do not touch.

    `wild_opens` is the share of opens that are wide, slanted or ragged.
    """
    placed: list[Mark] = []
    order = [CLASSES[int(i)] for _ in range(count // 6 + 1) for i in rng.permutation(6)][:count]
    for defect_class in order:
        wild = defect_class == "open" and wild_opens > 0 and rng.random() < wild_opens
        make = _wild_open if wild else _MAKERS[defect_class]
        for _ in range(ATTEMPTS):
            attempt = make(terrain, rng)
            mark = attempt and _apply(copper, terrain.canvas.holes, attempt, defect_class, placed)
            if mark:
                placed.append(mark)
                break
    return placed


def _open(terrain: Terrain, rng: Rng) -> Attempt | None:
    edge = terrain.random_edge(rng)
    if edge is None or edge.copper_px is None or edge.copper_px > LONGEST_CUT_PX:
        return None
    width = edge.copper_px
    gap = float(rng.uniform(4, 9) + rng.exponential(4) + 0.08 * width)
    along = _turned(edge.inward, rng.normal(0, 0.25))
    length = (width + 7) / max(0.5, abs(float(along @ edge.inward)))
    kind = rng.random()
    if kind < 0.5:
        patch = marks.band(rng, length, gap, along, waist=float(rng.uniform(-0.6, 0.3)))
    elif kind < 0.75:
        patch = marks.stroke(rng, length + gap, min(gap, 8), along, bow=0.12)
    else:
        patch = marks.scratches(rng, length + 4, gap, along)
    return Attempt(edge.point + edge.inward * (width / 2), patch, adds=False)


def _wild_open(terrain: Terrain, rng: Rng) -> Attempt | None:
    """A cut that is wider than a trace, runs slanted through it or frays at its sides."""
    edge = terrain.random_edge(rng)
    if edge is None or edge.copper_px is None or edge.copper_px > LONGEST_CUT_PX:
        return None
    width, gap = edge.copper_px, float(rng.uniform(7, 26))
    along = _turned(edge.inward, rng.uniform(-0.75, 0.75))
    length = (width + 8) / max(0.5, abs(float(along @ edge.inward)))
    kind = rng.random()
    if kind < 0.4:
        patch = marks.band(rng, length, gap, along, waist=float(rng.uniform(-0.6, 0.5)))
    elif kind < 0.7:
        patch = marks.crumbs(rng, 1.6 * length, gap, along)
    else:
        patch = marks.scratches(rng, length + 4, gap, along)
    return Attempt(edge.point + edge.inward * (width / 2), patch, adds=False)


def _short(terrain: Terrain, rng: Rng) -> Attempt | None:
    edge = terrain.random_edge(rng)
    if edge is None or edge.gap_px is None or rng.random() > math.exp(-edge.gap_px / 40):
        return None
    along = _turned(edge.inward, rng.normal(0, 0.2))
    length = (edge.gap_px + 5) / max(0.5, abs(float(along @ edge.inward)))
    thickness = float(rng.uniform(3.5, 11))
    if rng.random() < 0.5:
        patch = marks.band(rng, length, thickness, along, waist=float(rng.uniform(-0.3, 0.5)))
    else:
        patch = marks.stroke(rng, length + thickness, thickness, along, bow=0.1)
    return Attempt(edge.point - edge.inward * (edge.gap_px / 2), patch, adds=True)


def _mousebite(terrain: Terrain, rng: Rng) -> Attempt | None:
    edge = terrain.random_edge(rng)
    if edge is None:
        return None
    room = edge.copper_px or 60.0
    depth = min(float(rng.uniform(3.5, 9) + rng.exponential(2)), 0.65 * room)
    return Attempt(edge.point + edge.inward * (depth * rng.uniform(0.25, 0.5)), _nibble(rng, edge.inward, depth), False)


def _spur(terrain: Terrain, rng: Rng) -> Attempt | None:
    edge = terrain.random_edge(rng)
    if edge is None:
        return None
    room = edge.gap_px or 60.0
    height = min(float(rng.uniform(4.5, 11) + rng.exponential(3)), 0.7 * room)
    return Attempt(
        edge.point - edge.inward * (height * rng.uniform(0.25, 0.5)), _nibble(rng, edge.inward, height), True
    )


def _nibble(rng: Rng, inward: Points, depth: float) -> Picture:
    """A mark at a rim that reaches about `depth` to the side of the rim it changes."""
    across = np.array([-inward[1], inward[0]])
    length = float(rng.uniform(5, 13) + rng.exponential(3))
    kind = rng.random()
    if kind < 0.4:
        return marks.spot(rng, length, depth * 1.3, across)
    if kind < 0.6:
        return marks.crumbs(rng, length * 1.2, depth * 1.4, across)
    lean = _turned(inward, rng.uniform(-1.3, 1.3))
    return marks.stroke(rng, depth * 1.6 + 3, float(rng.uniform(3, 7)), lean)


def _copper(terrain: Terrain, rng: Rng) -> Attempt | None:
    return _island(terrain, rng, copper=False, typical_px=9.0)


def _pin_hole(terrain: Terrain, rng: Rng) -> Attempt | None:
    return _island(terrain, rng, copper=True, typical_px=8.0)


def _island(terrain: Terrain, rng: Rng, *, copper: bool, typical_px: float) -> Attempt | None:
    # Small conductors would hardly ever be hit by a uniform draw; half of the draws ask for a narrow place.
    narrow = copper and rng.random() < 0.6
    found = terrain.random_inside(rng, copper=copper, room_px=4.5 if narrow else 9.0)
    if found is None or (narrow and found[1] > 22):
        return None
    centre, room = found
    length = min(float(rng.uniform(0.7, 1.3) * typical_px + rng.exponential(6)), 2.4 * (room - 2), 40)
    breadth = min(length, max(4.0, length * float(rng.uniform(0.35, 1.0))), 1.6 * (room - 2))
    along = _turned(np.array([1.0, 0.0]), rng.uniform(0, math.pi))
    kind = rng.random()
    if kind < 0.55:
        patch = marks.spot(rng, length, breadth, along)
    elif kind < 0.75:
        patch = marks.crumbs(rng, length * 1.2, breadth * 1.2, along)
    else:
        patch = marks.stroke(rng, length * 1.3, min(breadth, float(rng.uniform(3.5, 7))), along)
    return Attempt(centre, patch, adds=not copper)


_MAKERS: Final[dict[str, Callable[[Terrain, Rng], Attempt | None]]] = {
    "open": _open,
    "short": _short,
    "mousebite": _mousebite,
    "spur": _spur,
    "copper": _copper,
    "pin-hole": _pin_hole,
}


def _apply(copper: Picture, holes: Picture, attempt: Attempt, defect_class: str, placed: list[Mark]) -> Mark | None:
    """Draw the attempt if it lies inside, keeps away from others and makes what its class means."""
    window = _window(attempt, copper.shape[0])
    if window is None or any(_touch(window, other.window_xyxy) for other in placed):
        return None
    x1, y1, x2, y2 = window
    left, top = (int(v) - PATCH_RADIUS_PX for v in np.round(attempt.centre))
    patch = attempt.patch[y1 - top : y2 - top, x1 - left : x2 - left]
    before = copper[y1:y2, x1:x2]
    after = cv2.max(before, patch) if attempt.adds else cv2.min(before, cv2.bitwise_not(patch))
    changed = (before > 127) != (after > 127)
    if attempt.adds and np.any(holes[y1:y2, x1:x2][changed]):
        return None  # drilling takes what stays behind in a hole
    if not _shows(defect_class, before, after, 127) or not _shows_softly(defect_class, before, after):
        return None
    copper[y1:y2, x1:x2] = after
    return Mark(defect_class, window, changed)


def _shows_softly(defect_class: str, before: Picture, after: npt.NDArray[Any]) -> bool:
    soft_before, soft_after = (cv2.GaussianBlur(layer, (0, 0), SOFTEST_BLUR_PX) for layer in (before, after))
    return all(_shows(defect_class, soft_before, soft_after, threshold) for threshold in THRESHOLDS)


def _shows(defect_class: str, before: npt.NDArray[Any], after: npt.NDArray[Any], threshold: int) -> bool:
    """Whether at this threshold enough changes and the change means what the class says."""
    one, other = before > threshold, after > threshold
    return int(np.count_nonzero(one != other)) >= SMALLEST_CHANGE_PX and _means(defect_class, one, other)


def _window(attempt: Attempt, size_px: int) -> Window | None:
    """The patch's inked part and its surround in board pixels; None if the ink is too near the frame."""
    x, y, width, height = cv2.boundingRect(attempt.patch)
    left, top = (int(v) - PATCH_RADIUS_PX for v in np.round(attempt.centre))
    ink = (left + x, top + y, left + x + width, top + y + height)
    if width == 0 or min(ink[:2]) < 3 or max(ink[2:]) > size_px - 3:
        return None
    low_x, low_y = max(ink[0] - SURROUND_PX, 0, left), max(ink[1] - SURROUND_PX, 0, top)
    span = 2 * PATCH_RADIUS_PX + 1
    high_x = min(ink[2] + SURROUND_PX, size_px, left + span)
    high_y = min(ink[3] + SURROUND_PX, size_px, top + span)
    return low_x, low_y, high_x, high_y


def _touch(one: Window, other: Window) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _means(defect_class: str, before: npt.NDArray[np.bool_], after: npt.NDArray[np.bool_]) -> bool:
    """Whether the pieces of copper and of bare board around the mark changed as the class says they do."""
    copper = _pieces(after) - _pieces(before)
    if defect_class == "open":
        return copper >= 1 and _parts(after) > _parts(before)
    bare = _pieces(~after) - _pieces(~before)
    if defect_class == "short":
        return copper <= -1
    if defect_class == "copper":
        return copper == 1 and bare == 0
    if defect_class == "pin-hole":
        return copper == 0 and bare == 1
    return copper == 0 and bare == 0


def _pieces(mask: npt.NDArray[np.bool_]) -> int:
    return cv2.connectedComponents(mask.view(np.uint8), connectivity=8)[0] - 1


def _parts(mask: npt.NDArray[np.bool_]) -> int:
    """Pieces that are more than crumbs, or go on outside the window."""
    stats = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)[2][1:]
    high, wide = mask.shape
    left, top, width, height, area = stats.T
    goes_on = (left == 0) | (top == 0) | (left + width == wide) | (top + height == high)
    return int(np.count_nonzero(goes_on | (area >= SMALLEST_PIECE_PX)))


def _turned(vector: Points, angle: float) -> Points:
    cos, sin = math.cos(angle), math.sin(angle)
    return np.array([cos * vector[0] - sin * vector[1], sin * vector[0] + cos * vector[1]])
