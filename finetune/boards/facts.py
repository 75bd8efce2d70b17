"""Measure the facts about a defect that its context crop shows. Knows the design, not the picture."""

import math
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from finetune.boards.canvas import FEATURE_NAMES
from finetune.boards.contracts import BOX_MARGIN_PX, CONTEXT_RATIO
from finetune.boards.defects import Mark
from finetune.boards.terrain import Terrain

Box = tuple[int, int, int, int]
SMALLEST_NET_PX: Final = 30


def box_of(mark: Mark, size_px: int) -> Box:
    """The bounding box of the changed pixels with its margin, clipped to the frame (end exclusive)."""
    x1, y1, x2, y2 = _ink(mark)
    grow = BOX_MARGIN_PX
    return max(x1 - grow, 0), max(y1 - grow, 0), min(x2 + grow, size_px), min(y2 + grow, size_px)


def measure_facts(terrain: Terrain, mark: Mark) -> dict[str, str]:
    """One word or phrase from FACTS for each of its keys."""
    box = box_of(mark, terrain.canvas.size_px)
    view = _context(box, terrain.canvas.size_px)
    axis = _axis(mark)
    seen = facts_in_view(_cut(terrain.canvas.copper, view))
    return {
        "nets": seen["nets"],
        "side": seen["side"],
        "relative_size": _relative_size(terrain, mark, box),
        "orientation": seen["orientation"],
        "feature": _feature(terrain, box, view),
        "shape": _shape(axis[0]),
        "lie": _lie(*axis),
    }


def facts_in_view(design: npt.NDArray[np.generic]) -> dict[str, str]:
    """`nets`, `side` and `orientation` of a crop, from its designed copper alone: (h, w), 0..255."""
    solid = design > np.uint8(127)
    return {"nets": _nets(solid), "side": _side(solid), "orientation": _orientation(design)}


def _ink(mark: Mark) -> Box:
    x, y, width, height = cv2.boundingRect(mark.changed.view(np.uint8))
    left, top = mark.window_xyxy[:2]
    return left + x, top + y, left + x + width, top + y + height


def _context(box: Box, size_px: int) -> Box:
    grow_x, grow_y = ((CONTEXT_RATIO - 1) / 2 * (box[2 + i] - box[i]) for i in (0, 1))
    x1, y1 = max(0, math.floor(box[0] - grow_x)), max(0, math.floor(box[1] - grow_y))
    return x1, y1, min(size_px, math.ceil(box[2] + grow_x)), min(size_px, math.ceil(box[3] + grow_y))


def _cut(layer: npt.NDArray[np.generic], box: Box) -> npt.NDArray[np.generic]:
    return layer[box[1] : box[3], box[0] : box[2]]


def _nets(solid: npt.NDArray[np.generic]) -> str:
    stats = cv2.connectedComponentsWithStats(solid.astype(np.uint8), connectivity=8)[2]
    count = int((stats[1:, cv2.CC_STAT_AREA] >= SMALLEST_NET_PX).sum())
    return ("no net", "one net", "two nets", "three or more nets")[min(count, 3)]


def _side(solid: npt.NDArray[np.generic]) -> str:
    """The half that holds clearly more copper than its opposite half."""
    copper = solid.astype(np.float32)
    total = float(copper.sum())
    if total < SMALLEST_NET_PX:
        return "both sides"
    columns = np.linspace(-1, 1, copper.shape[1])
    rows = np.linspace(-1, 1, copper.shape[0])
    x, y = float(copper.sum(0) @ columns) / total, float(copper.sum(1) @ rows) / total
    if max(abs(x), abs(y)) < 0.12:
        return "both sides"
    if abs(x) > abs(y):
        return "right" if x > 0 else "left"
    return "below" if y > 0 else "above"


def _relative_size(terrain: Terrain, mark: Mark, box: Box) -> str:
    depth = float(_cut(terrain.depth, box).max())
    if depth <= 0:
        return "no copper to compare"
    x1, y1, x2, y2 = _ink(mark)
    ratio = max(x2 - x1, y2 - y1) / (2 * depth)
    if ratio < 0.5:
        return "under half the copper width"
    return "about the copper width" if ratio <= 1.25 else "wider than the copper"


def _orientation(copper: npt.NDArray[np.generic]) -> str:
    """From the structure tensor of the designed copper's edges."""
    smooth = cv2.GaussianBlur(copper.astype(np.float32), (0, 0), 1.5)
    gx, gy = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    xx, yy, xy = float((gx * gx).mean()), float((gy * gy).mean()), float((gx * gy).mean())
    if xx + yy < 200:
        return "no edge"
    if math.hypot(xx - yy, 2 * xy) / (xx + yy) < 0.55:
        return "mixed"
    across = math.degrees(0.5 * math.atan2(2 * xy, xx - yy)) % 180
    if 22.5 < across < 67.5 or 112.5 < across < 157.5:
        return "diagonal"
    return "horizontal" if 67.5 <= across <= 112.5 else "vertical"


def _feature(terrain: Terrain, box: Box, view: Box) -> str:
    """What most of the copper beside the mark belongs to; if there is none, most of the copper in view."""
    for area in (box, view):
        owners = _cut(terrain.canvas.features, area)[_cut(terrain.solid, area).astype(bool)]
        if len(owners) >= SMALLEST_NET_PX:
            return FEATURE_NAMES.get(int(np.bincount(owners.astype(np.int64)).argmax()), "pour")
    return "bare board"


def _axis(mark: Mark) -> tuple[float, float]:
    """Length over breadth of the mark, and the direction of its longer axis in degrees, 0..180."""
    ys, xs = np.nonzero(mark.changed)
    points = np.stack([xs, ys]).astype(np.float64)
    values, vectors = np.linalg.eigh(np.cov(points) + np.eye(2) / 12)
    angle = math.degrees(math.atan2(vectors[1, 1], vectors[0, 1])) % 180
    return math.sqrt(values[1] / values[0]), angle


def _shape(elongation: float) -> str:
    if elongation < 1.5:
        return "compact"
    return "elongated" if elongation < 2.5 else "thin"


def _lie(elongation: float, degrees: float) -> str:
    if elongation < 1.5:
        return "round"
    if 22.5 < degrees < 67.5 or 112.5 < degrees < 157.5:
        return "slanted"
    return "upright" if 67.5 <= degrees <= 112.5 else "flat"
