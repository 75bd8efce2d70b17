"""A drawing surface for copper that keeps clearance between nets and remembers what each pixel belongs to.

Knows shapes and distances; does not know what a circuit looks like.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from finetune.boards.contracts import Picture

TRACE: Final = 1
PAD: Final = 2
VIA: Final = 3
POUR: Final = 4
TEXT: Final = 5
FEATURE_NAMES: Final = {TRACE: "trace", PAD: "pad", VIA: "via", POUR: "pour", TEXT: "trace"}

SUBPIXEL_BITS: Final = 4
Points = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Line:
    """A polyline of `width` pixels with round ends. Points are (n, 2) as x, y."""

    points: Points
    width: float
    feature: int = TRACE


@dataclass(frozen=True)
class Polygon:
    """A filled polygon. Points are (n, 2) as x, y."""

    points: Points
    feature: int = PAD


@dataclass(frozen=True)
class Disc:
    """A filled disc, with a drilled hole when `hole` (its radius) is above zero."""

    centre: tuple[float, float]
    radius: float
    hole: float = 0.0
    feature: int = VIA


Shape = Line | Polygon | Disc


@dataclass
class Canvas:
    """Copper as 0..255 coverage and the feature of each pixel, both (H, W)."""

    size_px: int
    copper: Picture = field(init=False)
    features: Picture = field(init=False)
    holes: Picture = field(init=False)

    def __post_init__(self) -> None:
        self.copper, self.features, self.holes, self._carved, self._scratch = (
            np.zeros((self.size_px, self.size_px), np.uint8) for _ in range(5)
        )

    def place(self, shapes: Sequence[Shape], *, clearance: float) -> bool:
        """Draw the shapes as one net if nothing else lies within `clearance` pixels; say whether it did."""
        self._scratch[:] = 0
        for shape in shapes:
            _stroke(self._scratch, shape, 255, grow=clearance)
        if cv2.countNonZero(cv2.bitwise_and(self._scratch, self.copper)):
            return False
        self.draw(shapes)
        return True

    def draw(self, shapes: Sequence[Shape]) -> None:
        """Draw without asking. A land keeps its pixels from the trace that ends in it; a trace never fills a hole."""
        for shape in shapes:
            _stroke(self.copper, shape, 255)
        for shape in sorted(shapes, key=lambda shape: shape.feature != TRACE):
            _stroke(self.features, shape, shape.feature, smooth=False)
        for shape in shapes:
            if isinstance(shape, Disc) and shape.hole > 0:
                drill = Disc(shape.centre, shape.hole)
                _stroke(self.copper, drill, 0)
                _stroke(self.holes, drill, 255)

    def carve(self, shape: Shape, *, room: float) -> bool:
        """Take the shape out of the pours unless another was taken out within `room` pixels; say whether it did."""
        self._scratch[:] = 0
        _stroke(self._scratch, shape, 255, grow=room)
        if cv2.countNonZero(cv2.bitwise_and(self._scratch, self._carved)):
            return False
        for layer, value in ((self.copper, 0), (self._carved, 255)):
            _stroke(layer, shape, value)
        return True

    def drill(self, hole: Disc, *, room: float) -> bool:
        """Drill through copper if it goes on for `room` pixels all around; say whether it did."""
        self._scratch[:] = 0
        _stroke(self._scratch, hole, 255, grow=room)
        if cv2.countNonZero(cv2.bitwise_and(self._scratch, cv2.bitwise_not(self.copper))):
            return False
        _stroke(self.copper, hole, 0)
        _stroke(self.holes, hole, 255)
        return True

    def smooth(self, size_px: int, smallest_px: int) -> None:
        """Take off slivers thinner than `size_px` and islands of less than `smallest_px`, as layout programs do."""
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size_px, size_px))
        self.copper = cv2.morphologyEx(self.copper, cv2.MORPH_OPEN, disc).astype(np.uint8, copy=False)
        count, labels, stats, _ = cv2.connectedComponentsWithStats((self.copper > 127).view(np.uint8), connectivity=8)
        for label in range(1, count):
            if stats[label, cv2.CC_STAT_AREA] < smallest_px:
                self.copper[cv2.dilate((labels == label).view(np.uint8), disc) > 0] = 0

    def write(self, text: str, origin: tuple[int, int], scale: float, thickness: int) -> bool:
        """Etch lettering where there is room for it."""
        (width, height), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
        x, y = origin
        area = self.copper[max(y - height - 8, 0) : y + base + 8, max(x - 8, 0) : x + width + 8]
        if area.size == 0 or cv2.countNonZero(area):
            return False
        for target, value, kind in ((self.copper, 255, cv2.LINE_AA), (self.features, TEXT, cv2.LINE_8)):
            cv2.putText(target, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, (value,), thickness, kind)
        return True

    def turn(self, quarter_turns: int, mirror: bool) -> None:
        """Rotate and mirror all layers together, so that every direction is as likely as any other."""
        for name in ("copper", "features", "holes"):
            layer = np.rot90(getattr(self, name), quarter_turns)
            setattr(self, name, np.ascontiguousarray(layer[:, ::-1] if mirror else layer))


def _stroke(target: Picture, shape: Shape, value: int, *, grow: float = 0.0, smooth: bool = True) -> None:
    kind = cv2.LINE_AA if smooth else cv2.LINE_8
    if isinstance(shape, Disc):
        radius = round((shape.radius + grow) * (1 << SUBPIXEL_BITS))
        centre = _fixed(np.array([shape.centre]))[0, 0]
        cv2.circle(target, (int(centre[0]), int(centre[1])), radius, (value,), -1, kind, SUBPIXEL_BITS)
    elif isinstance(shape, Line):
        width = max(1, round(shape.width + 2 * grow))
        cv2.polylines(target, [_fixed(shape.points)], False, (value,), width, kind, SUBPIXEL_BITS)
    else:
        cv2.fillPoly(target, [_fixed(shape.points)], (value,), kind, SUBPIXEL_BITS)
        if grow > 0:
            width = max(1, round(2 * grow))
            cv2.polylines(target, [_fixed(shape.points)], True, (value,), width, kind, SUBPIXEL_BITS)


def _fixed(points: Points) -> npt.NDArray[np.int32]:
    """To OpenCV's fixed point, (n, 1, 2)."""
    fixed: npt.NDArray[np.int32] = np.round(points * (1 << SUBPIXEL_BITS)).astype(np.int32)
    return fixed.reshape(-1, 1, 2)
