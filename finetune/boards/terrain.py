"""Where on a board a defect can arise: edges with their normals, widths and gaps, insides.

Knows the copper that is there; decides nothing about classes.
"""

from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from finetune.boards.canvas import FEATURE_NAMES, TEXT, Canvas, Points
from finetune.boards.contracts import Picture

Rng = np.random.Generator
Pixels = npt.NDArray[np.int64]
REACH_PX = 76


@dataclass(frozen=True)
class Edge:
    """A point on the rim of the copper, the unit vector into the copper, and how far each side goes on.

    `copper_px` and `gap_px` are None where nothing ends within reach.
    """

    point: Points
    inward: Points
    copper_px: float | None
    gap_px: float | None


@dataclass
class Terrain:
    """The designed copper of a board and what can be measured on it."""

    canvas: Canvas
    solid: npt.NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        self.solid = self.canvas.copper > 127

    @cached_property
    def depth(self) -> npt.NDArray[np.float32]:
        """(H, W) distance of each copper pixel to the nearest bare pixel."""
        return cv2.distanceTransform(self.solid.view(np.uint8), cv2.DIST_L2, 3)  # type: ignore[return-value]

    @cached_property
    def clearing(self) -> npt.NDArray[np.float32]:
        """(H, W) distance of each bare pixel to the nearest copper."""
        return cv2.distanceTransform((~self.solid).view(np.uint8), cv2.DIST_L2, 3)  # type: ignore[return-value]

    @cached_property
    def _slope(self) -> Picture:
        return cv2.GaussianBlur(self.canvas.copper, (0, 0), 2.0)  # type: ignore[return-value]

    @cached_property
    def _rims(self) -> list[Pixels]:
        """Rim pixels as (n, 2) x, y, one array for each feature that is there (lettering excluded)."""
        rim = self.solid & (self.depth < 1.5)
        rim[:6], rim[-6:], rim[:, :6], rim[:, -6:] = False, False, False, False
        ys, xs = np.nonzero(rim)
        owners = self.canvas.features[ys, xs]
        points = np.stack([xs, ys], axis=1)
        return [points[owners == name] for name in FEATURE_NAMES if name != TEXT and np.any(owners == name)]

    def random_edge(self, rng: Rng) -> Edge | None:
        """A rim point: first a feature, each as likely, then a point of it."""
        if not self._rims:
            return None
        rim = self._rims[int(rng.integers(len(self._rims)))]
        x, y = (int(v) for v in rim[int(rng.integers(len(rim)))])
        patch = self._slope[y - 2 : y + 3, x - 2 : x + 3].astype(float)
        normal = np.array([(patch[:, 3:] - patch[:, :2]).sum(), (patch[3:] - patch[:2]).sum()])
        length = float(np.hypot(*normal))
        if length < 1:
            return None
        point, inward = np.array([x, y], float), normal / length
        return Edge(point, inward, self._run(point, inward, copper=True), self._run(point, -inward, copper=False))

    def random_inside(self, rng: Rng, *, copper: bool, room_px: float) -> tuple[Points, float] | None:
        """A pixel with at least `room_px` of the same kind around it, and the room it has."""
        depth = self.depth if copper else self.clearing
        xs, ys = rng.integers(10, self.canvas.size_px - 10, (2, 60))
        rooms = depth[ys, xs]
        first = int(np.argmax(rooms >= room_px))
        if rooms[first] < room_px:
            return None
        return np.array([xs[first], ys[first]], float), float(rooms[first])

    def _run(self, start: Points, step: Points, *, copper: bool) -> float | None:
        """How far copper (or bare board) goes on from `start` along `step`."""
        path = np.round(start + np.outer(np.arange(2, REACH_PX), step)).astype(int)
        inside = np.all((path >= 0) & (path < self.canvas.size_px), axis=1)
        path = path[inside]
        changed = np.nonzero(self.solid[path[:, 1], path[:, 0]] != copper)[0]
        return float(changed[0] + 2) if len(changed) else None
