"""Training pictures: pieces of a dataset's frames, turned, moved, resized and lit anew, with the boxes that they show.

A piece depends on the frame, the recipe and the generator that it is given, so a run that goes on draws the same ones.
Knows no network.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from finetune.training.manifest import ManifestFrame, read_picture
from finetune.training.yolo.recipe import YoloRecipe
from scheduling.serving.answers import NO_DEFECT
from scheduling.serving.contracts import Rgb
from scheduling.serving.preprocess import PADDING

LEAST_VISIBLE: Final = 0.4
"""A region that the picture's border cuts is a target while this share of its box can be seen."""

LEAST_SIDE_PX: Final = 2.0
AS_IT_IS_SHARE: Final = 0.5
"""So many pictures keep the frame's own pixels, only turned and moved: no resampling blurs what service shows sharp."""

AROUND_REGION_SHARE: Final = 0.75
"""Where a picture shows a part of the frame, so often one with a region: good parts must be seen too."""

MOSAIC_UNTIL: Final = 0.8
"""The share of a run after which every picture is of one frame, as in service."""

Targets = npt.NDArray[np.float32]
"""(n, 5): class, then centre and size in 0..1 of the picture."""
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Piece:
    """A training picture and its targets."""

    picture: Rgb
    targets: Targets


class FrameStore:
    """Frames as pixels, kept while they fit into `most_bytes`; asked from several threads."""

    def __init__(self, most_bytes: int) -> None:
        self._left = most_bytes
        self._kept: OrderedDict[str, npt.NDArray[np.uint8]] = OrderedDict()
        self._lock = Lock()

    def picture(self, frame: ManifestFrame) -> Rgb:
        kept = self._kept.get(frame.id)
        if kept is None:
            kept = _one_channel_where_grey(read_picture(frame))
            with self._lock:
                if frame.id not in self._kept and kept.nbytes <= self._left:
                    self._left -= kept.nbytes
                    self._kept[frame.id] = kept
        return kept if kept.ndim == 3 else np.repeat(kept[..., None], 3, axis=2)


def piece_of(
    frames: Sequence[ManifestFrame],
    index: int,
    store: FrameStore,
    recipe: YoloRecipe,
    class_names: Sequence[str],
    *,
    tiles: bool,
    progress: float,
    rng: np.random.Generator,
) -> Piece:
    """One training picture of frame `index`, or of four frames, it among them."""
    side = recipe.picture_px
    if rng.random() >= recipe.mosaic or progress >= MOSAIC_UNTIL:
        return _cut(frames[index], store, recipe, class_names, (side, side), tiles, rng)
    cross_x, cross_y = (int(value) for value in rng.integers(side // 4, 3 * side // 4, 2))
    picture, rows = np.empty((side, side, 3), np.uint8), []
    for number, (x, y) in enumerate(((0, 0), (cross_x, 0), (0, cross_y), (cross_x, cross_y))):
        size = (cross_x if x == 0 else side - cross_x, cross_y if y == 0 else side - cross_y)
        chosen = index if number == 0 else int(rng.integers(len(frames)))
        part = _cut(frames[chosen], store, recipe, class_names, size, tiles, rng)
        picture[y : y + size[1], x : x + size[0]] = part.picture
        scale, corner = np.array([*size, *size]) / side, np.array([x / side, y / side, 0, 0])
        rows.append(np.concatenate([part.targets[:, :1], part.targets[:, 1:] * scale + corner], axis=1))
    return Piece(picture, np.concatenate(rows).astype(np.float32))


def _cut(
    frame: ManifestFrame,
    store: FrameStore,
    recipe: YoloRecipe,
    class_names: Sequence[str],
    size_wh: tuple[int, int],
    tiles: bool,
    rng: np.random.Generator,
) -> Piece:
    """A piece of `size_wh` pixels of one frame."""
    known = [region for region in frame.regions if region.defect_class != NO_DEFECT]
    boxes = np.array([region.box_xyxy for region in known], np.float64).reshape(-1, 4)
    scale = 1.0 if tiles else recipe.side_px / max(frame.size_wh)
    resized = rng.random() >= AS_IT_IS_SHARE
    if resized:
        scale *= float(np.exp(rng.uniform(-recipe.size_jitter, recipe.size_jitter)))
    matrix = _moved(_turned(frame.size_wh, scale, recipe.turns, rng), frame.size_wh, boxes, size_wh, rng)
    flags = cv2.INTER_AREA if scale < 0.5 else cv2.INTER_LINEAR if scale != 1.0 else cv2.INTER_NEAREST
    picture = cv2.warpAffine(
        store.picture(frame), matrix, size_wh, flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=(PADDING,) * 3
    )
    if resized and recipe.light_jitter:
        picture = _lit(picture, recipe.light_jitter, rng)
    classes = np.array([class_names.index(region.defect_class) for region in known], np.float64)
    return Piece(picture.astype(np.uint8, copy=False), _targets(boxes, classes, matrix, size_wh))


def _turned(size_wh: tuple[int, int], scale: float, turns: str, rng: np.random.Generator) -> Matrix:
    """Frame pixels to pixels of the turned, mirrored and resized frame, whose corner is at the origin."""
    width, height = size_wh
    quarter = int(rng.integers(4)) if turns == "all" else 0
    mirrored = turns != "none" and bool(rng.integers(2))
    # Pixel centres lie at whole numbers for warpAffine, so a mirror maps 0 to width - 1.
    matrix = np.array([[-1.0, 0, width - 1], [0, 1, 0], [0, 0, 1]]) if mirrored else np.eye(3)
    for _ in range(quarter):
        matrix = np.array([[0.0, -1, height - 1], [1, 0, 0], [0, 0, 1]]) @ matrix
        width, height = height, width
    half = (scale - 1) / 2
    resized: Matrix = np.array([[scale, 0, half], [0, scale, half], [0, 0, 1]]) @ matrix
    return resized


def _moved(
    matrix: Matrix,
    frame_wh: tuple[int, int],
    boxes: npt.NDArray[np.float64],
    size_wh: tuple[int, int],
    rng: np.random.Generator,
) -> Matrix:
    """The 2 x 3 matrix with the piece's place chosen: around a region mostly, else anywhere; whole pixels."""
    low, high = _extent(np.array([[0, 0, *frame_wh]], np.float64), matrix)
    low, high, size = low[0], high[0], np.array(size_wh, np.float64)
    free = (high - low) - size
    start = low + np.where(free > 0, rng.uniform(0, 1, 2) * free, free * rng.uniform(0, 1, 2))
    if len(boxes) and rng.random() < AROUND_REGION_SHARE:
        one, two = _extent(boxes[[int(rng.integers(len(boxes)))]], matrix)
        around = (one[0] + two[0]) / 2 - rng.uniform(0.15, 0.85, 2) * size
        start = np.where(free > 0, np.clip(around, low, np.maximum(low + free, low)), start)
    moved = matrix[:2].copy()
    moved[:, 2] -= np.round(start)
    return moved


def _extent(boxes: npt.NDArray[np.float64], matrix: Matrix) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """The boxes (n, 4), whose corners lie between pixels, after the matrix: lower and upper corners (n, 2)."""
    shift = 0.5
    one = (boxes[:, :2] - shift) @ matrix[:2, :2].T + matrix[:2, 2] + shift
    two = (boxes[:, 2:] - shift) @ matrix[:2, :2].T + matrix[:2, 2] + shift
    return np.minimum(one, two), np.maximum(one, two)


def _targets(
    boxes: npt.NDArray[np.float64], classes: npt.NDArray[np.float64], matrix: Matrix, size_wh: tuple[int, int]
) -> Targets:
    low, high = _extent(boxes, matrix)
    size = np.array(size_wh, np.float64)
    seen_low, seen_high = np.clip(low, 0, size), np.clip(high, 0, size)
    seen = (seen_high - seen_low).prod(1)
    kept = (seen >= LEAST_VISIBLE * (high - low).prod(1)) & ((seen_high - seen_low).min(1) > LEAST_SIDE_PX)
    centre, extent = (seen_low + seen_high) / 2 / size, (seen_high - seen_low) / size
    rows: Targets = np.concatenate([classes[:, None], centre, extent], axis=1)[kept].astype(np.float32)
    return rows


def _lit(picture: npt.NDArray[Any], jitter: float, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Another exposure and another gamma, by a table."""
    gain, gamma = np.exp(rng.uniform(-jitter, jitter, 2))
    levels = np.clip(255 * gain * (np.arange(256) / 255) ** gamma, 0, 255).astype(np.uint8)
    lit: npt.NDArray[np.uint8] = levels[picture]
    return lit


def _one_channel_where_grey(picture: Rgb) -> npt.NDArray[np.uint8]:
    grey = picture[..., 0]
    same = np.array_equal(grey, picture[..., 1]) and np.array_equal(grey, picture[..., 2])
    return np.ascontiguousarray(grey) if same else picture
