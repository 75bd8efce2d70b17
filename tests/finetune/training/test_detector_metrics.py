"""Average precision, F and matching, on cases small enough to work out by hand."""

from typing import Any

import numpy as np
import pytest

from finetune.training.detector_metrics import (
    Truth,
    average_precision,
    best_threshold,
    f_at,
    match,
    mean_average_precision,
    overlap_matrix,
)
from scheduling.serving.contracts import BoxXyxy, DetectedRegion

HERE: BoxXyxy = (0, 0, 10, 10)
THERE: BoxXyxy = (50, 50, 60, 60)
NEAR_HERE: BoxXyxy = (0, 0, 10, 7)  # IoU 0.7 with HERE


def region(box: BoxXyxy, score: float, index: int = 0) -> DetectedRegion:
    return DetectedRegion(box, score, index, str(index))


@pytest.mark.parametrize(
    ("one", "two", "iou"),
    [
        (HERE, HERE, 1.0),
        (HERE, THERE, 0.0),
        (HERE, NEAR_HERE, 0.7),
        (HERE, (5, 0, 15, 10), 1 / 3),
        (HERE, (10, 0, 20, 10), 0),
    ],
)
def test_overlap(one: BoxXyxy, two: BoxXyxy, iou: float) -> None:
    assert overlap_matrix(np.array([one], float), np.array([two], float))[0, 0] == pytest.approx(iou)


CASES = {
    "everything found": ([region(HERE, 0.9), region(THERE, 0.8)], 1.0),
    "nothing found": ([], 0.0),
    "half found": ([region(HERE, 0.9)], 51 / 101),
    "a false one after the right ones": ([region(HERE, 0.9), region(THERE, 0.8), region((80, 80, 90, 90), 0.1)], 1.0),
    "a false one before the right ones": (
        [region((80, 80, 90, 90), 0.95), region(HERE, 0.9), region(THERE, 0.8)],
        2 / 3,
    ),
    "a box found twice counts once": (
        [region(HERE, 0.9), region(NEAR_HERE, 0.85), region(THERE, 0.8)],
        (51 + 50 * 2 / 3) / 101,
    ),
    "the wrong class": ([region(HERE, 0.9, 1), region(THERE, 0.8, 1)], 0.0),
}


@pytest.mark.parametrize("case", CASES)
def test_average_precision(case: str) -> None:
    found, expected = CASES[case]
    matches = match([found], [[Truth(0, HERE), Truth(0, THERE)]], iou=0.5, classes=2)
    assert average_precision(matches[0]) == pytest.approx(expected)
    assert mean_average_precision(matches) == pytest.approx(expected)


def test_overlap_must_reach_the_limit() -> None:
    for iou, right in ((0.69, True), (0.71, False)):
        (matches,) = match([[region(NEAR_HERE, 0.9)]], [[Truth(0, HERE)]], iou=iou, classes=1)
        assert matches.hits.tolist() == [right]


def test_frames_are_matched_apart() -> None:
    (matches,) = match([[region(HERE, 0.9)], []], [[], [Truth(0, HERE)]], iou=0.5, classes=1)
    assert matches.hits.tolist() == [False]


def test_the_threshold_with_the_best_f() -> None:
    found = [[region(HERE, 0.9), region(THERE, 0.6), region((80, 80, 90, 90), 0.3)]]
    matches = match(found, [[Truth(0, HERE), Truth(0, THERE)]], iou=0.5, classes=1)
    assert best_threshold(matches) == (pytest.approx(0.6), pytest.approx(1.0))
    assert f_at(matches, 0.0) == pytest.approx(0.8)
    assert f_at(matches, 0.95) == 0.0


def box_of(row: Any) -> Any:
    return tuple(map(float, row))


def test_average_precision_is_that_of_pycocotools() -> None:
    coco = pytest.importorskip("pycocotools.coco")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    rng = np.random.default_rng(4)
    truths, found = list[Any](), list[Any]()
    for _ in range(12):
        corners = rng.uniform(0, 200, (6, 2))
        boxes = np.hstack([corners, corners + rng.uniform(20, 60, (6, 2))])
        truths.append([Truth(int(k), box_of(b)) for k, b in zip(rng.integers(0, 3, 6), boxes, strict=True)])
        noisy = boxes + rng.normal(0, 5, boxes.shape)
        found.append([region(box_of(b), float(rng.random()), int(rng.integers(0, 3))) for b in noisy])
    ours = mean_average_precision(match(found, truths, iou=0.5, classes=3))

    annotations = [(row, t.class_index, t.box_xyxy, 1.0) for row, ts in enumerate(truths) for t in ts]
    results = [(row, r.class_index, r.box_xyxy, r.score) for row, rs in enumerate(found) for r in rs]
    truth = coco.COCO()
    truth.dataset = {
        "info": {},
        "images": [{"id": row} for row in range(12)],
        "categories": [{"id": k} for k in range(3)],
        "annotations": [_entry(n, *a) for n, a in enumerate(annotations, 1)],
    }
    truth.createIndex()
    evaluation = cocoeval.COCOeval(truth, truth.loadRes([_entry(n, *r) for n, r in enumerate(results, 1)]), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    assert ours == pytest.approx(evaluation.eval["precision"][0, :, :, 0, 2].mean(), abs=1e-9)


def _entry(number: int, row: int, index: int, box: BoxXyxy, score: float) -> dict[str, object]:
    width, height = box[2] - box[0], box[3] - box[1]
    return {
        "id": number,
        "image_id": row,
        "category_id": index,
        "bbox": [box[0], box[1], width, height],
        "area": width * height,
        "iscrowd": 0,
        "score": score,
    }
