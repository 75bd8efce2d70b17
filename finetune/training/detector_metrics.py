"""Average precision and F of a detector's regions, by box overlap and class. Knows no model and no picture.

Matching follows the PASCAL VOC and COCO rule: best score first, each true box once, and no credit for a class
mix-up. Average precision is COCO's: precision made monotone, then its mean at 101 recalls.
Not pycocotools, although a test holds both to the same figures: F and the best threshold need each proposal's hit, and
with those the average precision is ten lines more, from our values and without its limit of proposals in a frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from scheduling.serving.contracts import BoxXyxy, DetectedRegion

Floats = npt.NDArray[np.float64]
COCO_IOUS: Final = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
RECALLS: Final = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class Truth:
    """A box that is there."""

    class_index: int
    box_xyxy: BoxXyxy


@dataclass(frozen=True)
class ClassMatches:
    """One class's proposals, best score first, with a hit flag for each, and how many boxes are there."""

    scores: Floats
    hits: npt.NDArray[np.bool_]
    truths: int


def match(
    found: Sequence[Sequence[DetectedRegion]], truths: Sequence[Sequence[Truth]], *, iou: float, classes: int
) -> list[ClassMatches]:
    """Match each frame's proposals with its truths at overlap `iou`, class by class."""
    result = []
    for index in range(classes):
        scores: list[float] = []
        hits: list[bool] = []
        for regions, boxes in zip(found, truths, strict=True):
            mine = sorted((r for r in regions if r.class_index == index), key=lambda r: -r.score)
            there = [t.box_xyxy for t in boxes if t.class_index == index]
            scores += [region.score for region in mine]
            hits += _hits([region.box_xyxy for region in mine], there, iou)
        order = np.argsort(-np.array(scores), kind="stable")
        total = sum(t.class_index == index for boxes in truths for t in boxes)
        result.append(ClassMatches(np.array(scores)[order], np.array(hits, np.bool_)[order], total))
    return result


def mean_average_precision(matches: Sequence[ClassMatches]) -> float:
    """Mean over the classes that are there; 0.0 where none is."""
    values = [average_precision(one) for one in matches if one.truths]
    return float(np.mean(values)) if values else 0.0


def average_precision(matches: ClassMatches) -> float:
    if not matches.truths or not len(matches.hits):
        return 0.0
    right = np.cumsum(matches.hits)
    recall = right / matches.truths
    precision = right / np.arange(1, len(right) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(recall, RECALLS, side="left")
    return float(np.where(at < len(precision), precision[np.minimum(at, len(precision) - 1)], 0.0).mean())


def best_threshold(matches: Sequence[ClassMatches]) -> tuple[float, float]:
    """The one minimum score for all classes that gives the highest F, and that F."""
    scores = np.concatenate([one.scores for one in matches])
    hits = np.concatenate([one.hits for one in matches])
    order = np.argsort(-scores, kind="stable")
    right = np.cumsum(hits[order])
    truths = sum(one.truths for one in matches)
    f = 2 * right / (np.arange(1, len(right) + 1) + truths)
    best = int(np.argmax(f))
    return float(scores[order][best]), float(f[best])


def f_at(matches: Sequence[ClassMatches], min_score: float) -> float:
    """F over all classes together when only proposals of at least `min_score` count."""
    kept = sum(int((one.scores >= min_score).sum()) for one in matches)
    right = sum(int(one.hits[one.scores >= min_score].sum()) for one in matches)
    truths = sum(one.truths for one in matches)
    return 2 * right / (kept + truths) if kept + truths else 0.0


def _hits(proposed: list[BoxXyxy], there: list[BoxXyxy], iou: float) -> list[bool]:
    """Each proposal, best first, takes the free truth it overlaps most, if by at least `iou`."""
    if not proposed or not there:
        return [False] * len(proposed)
    overlaps = overlap_matrix(np.array(proposed), np.array(there))
    hits = []
    for row in overlaps:
        best = int(row.argmax())
        hits.append(bool(row[best] >= iou))
        if hits[-1]:
            overlaps[:, best] = -1.0
    return hits


def overlap_matrix(one: Floats, two: Floats) -> Floats:
    """IoU of boxes (n, 4) with boxes (m, 4), as (n, m)."""
    low = np.maximum(one[:, None, :2], two[None, :, :2])
    high = np.minimum(one[:, None, 2:], two[None, :, 2:])
    shared = (high - low).clip(min=0).prod(2)
    area_one, area_two = ((b[:, 2:] - b[:, :2]).prod(1) for b in (one, two))
    overlap: Floats = shared / (area_one[:, None] + area_two[None, :] - shared + 1e-12)
    return overlap
