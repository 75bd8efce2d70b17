"""The edge detector's own mistakes, fitted on reviewed frames and drawn again in training.

Its boxes are matched with people's: what is matched gives offsets and sizes (jointly, class by class) and which
class it named at which score; what it drew on nothing are its false boxes; what it did not find are its misses.
Knows no pictures and no model.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from finetune.training.detector_metrics import overlap_matrix
from finetune.training.manifest import DetectorBox, ManifestFrame, MarkedRegion
from scheduling.serving.contracts import BoxXyxy

MATCHING_IOU: Final = 0.33
FEWEST: Final = 20
"""A class with fewer matched boxes draws from those of all classes."""

SMOOTHING: Final = 0.25
"""Of the errors' own spread: a drawn error is a seen one moved by that much, so that few boxes do not repeat."""

Offsets = npt.NDArray[np.float64]
"""(n, 4): the centre's offset as a share of width and height, and the logarithms of the sides' ratios."""


def offsets_of(found: BoxXyxy, true: BoxXyxy) -> tuple[float, float, float, float]:
    width, height = true[2] - true[0], true[3] - true[1]
    x = (found[0] + found[2] - true[0] - true[2]) / 2 / width
    y = (found[1] + found[3] - true[1] - true[3]) / 2 / height
    return x, y, math.log((found[2] - found[0]) / width), math.log((found[3] - found[1]) / height)


def moved(box: BoxXyxy, offsets: Sequence[float]) -> BoxXyxy:
    """The box with `offsets` applied: the reverse of `offsets_of`."""
    width, height = box[2] - box[0], box[3] - box[1]
    x, y = (box[0] + box[2]) / 2 + offsets[0] * width, (box[1] + box[3]) / 2 + offsets[1] * height
    half_w, half_h = width * math.exp(offsets[2]) / 2, height * math.exp(offsets[3]) / 2
    return x - half_w, y - half_h, x + half_w, y + half_h


@dataclass(frozen=True)
class BoxErrors:
    """What was fitted: offsets by class, the share that was missed, and what the detector said of each class."""

    offsets: Mapping[str, Offsets]
    missed: Mapping[str, float]
    said: Mapping[str, tuple[tuple[str, float], ...]]

    @property
    def count(self) -> int:
        return sum(len(rows) for rows in self.offsets.values())

    def draw(self, defect_class: str, rng: np.random.Generator) -> tuple[float, float, float, float] | None:
        """An error as the detector makes it with this class; None where no box was ever matched."""
        rows = self.offsets.get(defect_class)
        if rows is None or len(rows) < FEWEST:
            rows = np.concatenate(list(self.offsets.values())) if self.count else None
        if rows is None:
            return None
        drawn = rows[int(rng.integers(len(rows)))] + rng.normal(0, 1, 4) * SMOOTHING * rows.std(axis=0)
        x, y, w, h = (float(value) for value in np.clip(drawn, -1, 1))
        return x, y, w, h

    def draw_said(self, defect_class: str, rng: np.random.Generator) -> tuple[str, float] | None:
        """What the detector says of this class, and how surely."""
        said = self.said.get(defect_class, ())
        return said[int(rng.integers(len(said)))] if said else None

    def as_json(self) -> dict[str, Any]:
        return {
            "boxes": self.count,
            "missed": {name: round(share, 4) for name, share in self.missed.items()},
            "spread": {name: [round(float(v), 4) for v in rows.std(axis=0)] for name, rows in self.offsets.items()},
        }


def fit_box_errors(frames: Sequence[ManifestFrame]) -> BoxErrors:
    """From the frames that the detector has looked at."""
    offsets: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    said: dict[str, list[tuple[str, float]]] = defaultdict(list)
    found: dict[str, int] = defaultdict(int)
    all_of: dict[str, int] = defaultdict(int)
    for frame in frames:
        if not frame.detected:
            continue
        for region in frame.regions:
            all_of[region.defect_class] += 1
        for box, matched in matches(frame.detected, frame.regions):
            if matched is not None:
                offsets[matched.defect_class].append(offsets_of(box.box_xyxy, matched.box_xyxy))
                said[matched.defect_class].append((box.defect_class, box.score))
                found[matched.defect_class] += 1
    return BoxErrors(
        {name: np.array(rows, np.float64) for name, rows in offsets.items()},
        {name: 1 - found[name] / count for name, count in all_of.items()},
        {name: tuple(rows) for name, rows in said.items()},
    )


def matches(
    detected: Sequence[DetectorBox], regions: Sequence[MarkedRegion]
) -> list[tuple[DetectorBox, MarkedRegion | None]]:
    """Each detected box with the region it is on, or None where it touches none; surest boxes choose first.

    A second box on a region, or one that only grazes one, has no one right answer and is left out.
    """
    left = list(regions)
    pairs: list[tuple[DetectorBox, MarkedRegion | None]] = []
    for box in sorted(detected, key=lambda one: -one.score):
        overlaps = _overlaps(box.box_xyxy, left)
        best = int(np.argmax(overlaps)) if len(overlaps) else -1
        if best >= 0 and overlaps[best] >= MATCHING_IOU:
            pairs.append((box, left.pop(best)))
        elif not _overlaps(box.box_xyxy, regions).any():
            pairs.append((box, None))
    return pairs


def _overlaps(box: BoxXyxy, regions: Sequence[MarkedRegion]) -> npt.NDArray[np.float64]:
    if not regions:
        return np.zeros(0)
    rows = overlap_matrix(np.array([box]), np.array([region.box_xyxy for region in regions]))
    return np.asarray(rows[0], np.float64)
