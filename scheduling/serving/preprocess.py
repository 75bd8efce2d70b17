"""From a picture to a detector's input and from its output back to the picture's pixels.

One implementation for training, benchmarks and nodes. Knows no model runtime.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from scheduling.serving.contracts import BoxXyxy, DetectedRegion, Rgb

PADDING = 114
"""Grey that fills what a picture leaves free, as in YOLO training."""

Tensor = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Fit:
    """How a picture was fitted into the input: scaled by `scale`, then moved by `offset_xy` pixels."""

    scale: float
    offset_xy: tuple[int, int]
    size_wh: tuple[int, int]

    def to_frame(self, boxes_xyxy: Tensor) -> Tensor:
        """Boxes (n, 4) of the input in pixels of the picture, clipped to it."""
        boxes = (boxes_xyxy - np.tile(np.array(self.offset_xy, np.float32), 2)) / self.scale
        limits = np.tile(np.array(self.size_wh, np.float32), 2)
        clipped: Tensor = np.clip(boxes, 0, limits).astype(np.float32)
        return clipped


def fit(picture: Rgb, side_px: int) -> tuple[Rgb, Fit]:
    """`picture` (H, W, 3) in the middle of a grey square of `side_px`, scaled so that its longer side fills it."""
    height, width = picture.shape[:2]
    scale = min(side_px / height, side_px / width)
    new_w, new_h = max(1, round(width * scale)), max(1, round(height * scale))
    if (new_w, new_h) != (width, height):
        picture = cv2.resize(picture, (new_w, new_h), interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)
    left, top = round((side_px - new_w) / 2 - 0.1), round((side_px - new_h) / 2 - 0.1)
    if (new_w, new_h) != (side_px, side_px):
        square = np.full((side_px, side_px, 3), PADDING, np.uint8)
        square[top : top + new_h, left : left + new_w] = picture
        picture = square
    return picture, Fit(scale, (left, top), (width, height))


def to_tensor(pictures: Sequence[Rgb]) -> Tensor:
    """(B, 3, H, W) float32 in 0..1 from equally large RGB pictures."""
    batch: Tensor = cv2.dnn.blobFromImages(pictures, 1 / 255)  # type: ignore[assignment]
    return batch


def to_regions(rows: Tensor, placed: Fit, *, min_score: float, class_names: Sequence[str]) -> list[DetectedRegion]:
    """One picture's end-to-end rows (n, 6) `x0 y0 x1 y1 score class` as regions of the frame, best first.

    Rows under `min_score`, and those with a score of 0 that fill a table up, are dropped, and nothing else is. What
    lies nowhere in the frame, is no number or has a class out of range (index -1, no name) is passed on as it is:
    whoever asked must know that something was found.
    """
    rows = rows[~((rows[:, 4] < min_score) | (rows[:, 4] <= 0))]  # a score that is no number stays
    rows = rows[np.argsort(-rows[:, 4], kind="stable")]
    boxes = placed.to_frame(rows[:, :4])
    regions = []
    for box, row in zip(boxes, rows, strict=True):
        index = int(row[5]) if 0 <= row[5] < len(class_names) else -1
        name = class_names[index] if index >= 0 else ""
        regions.append(DetectedRegion(_box(box), min(float(row[4]), 1.0), index, name))
    return regions


def is_placed(region: DetectedRegion, size_wh: tuple[int, int]) -> bool:
    """Whether the region has a class, a score, and an area inside the frame."""
    x0, y0, x1, y1 = region.box_xyxy
    if not all(map(math.isfinite, (x0, y0, x1, y1, region.score))) or region.class_index < 0:
        return False
    return max(x0, 0.0) < min(x1, size_wh[0]) and max(y0, 0.0) < min(y1, size_wh[1])


def _box(values: Tensor) -> BoxXyxy:
    return float(values[0]), float(values[1]), float(values[2]), float(values[3])
