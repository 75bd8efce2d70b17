"""How good and how fast a detector is on the real boards of DeepPCB, none of which it was trained on.

    AIVD_DATA=/path/to/data python -m benchmarks.detect [--split train|test] [--detector SPEC] [--threads N]

Prints one JSON line, and writes the regions as COCO results beside a COCO ground truth so that others can recompute.
The threshold of `f_iou33` is chosen on train boards. Averages over the six classes; IoU 0.33 is the overlap that the
set's authors report. `--speed` compares the shipped detector with ultralytics' `predict` instead; it needs no data.
"""

import argparse
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from finetune.training.detector_metrics import (
    COCO_IOUS,
    Truth,
    average_precision,
    best_threshold,
    f_at,
    match,
    mean_average_precision,
)
from scheduling.serving.contracts import SHIPPED_CLASSES, DetectedRegion, Detector, Rgb
from scheduling.serving.detectors import load_detector

CLASSES = tuple(SHIPPED_CLASSES)
THRESHOLD_BOARDS = 100


@dataclass(frozen=True)
class RealBoard:
    """One pair of DeepPCB: picture, golden template, and the boxes people drew."""

    id: str
    image: Rgb
    template: Rgb
    truths: tuple[Truth, ...]


@dataclass(frozen=True)
class Outcome:
    """What a detector found on a split."""

    found: list[list[DetectedRegion]]
    truths: list[list[Truth]]
    ids: list[str]
    ms_per_frame: float


def main() -> None:
    options = _options()
    cv2.setNumThreads(options.threads)
    if options.speed:
        from benchmarks.detect_speed import compare_speed

        print(json.dumps(compare_speed(threads=options.threads)))
        return
    data = os.environ.get("AIVD_DATA")
    if not data or not (Path(data) / "deeppcb" / f"{options.split}.txt").is_file():
        sys.exit(f"Nothing was measured: AIVD_DATA must name the folder that holds deeppcb/{options.split}.txt.")
    folder = Path(data) / "deeppcb"
    detector = load_detector(options.detector, threads=options.threads)
    with_template = not options.without_template
    outcome = _run(detector, folder, options.split, options.limit, with_template)
    threshold = _threshold(detector, folder, outcome, options.split, with_template)
    _write_coco(outcome, options.out)
    figures = _figures(outcome, threshold) | {"runtime": detector.runtime, "digest": detector.digest}
    print(json.dumps(figures | {"split": options.split, "with_template": with_template}))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detect", description=__doc__.splitlines()[0])
    parser.add_argument("--split", choices=("train", "test"), default=os.environ.get("SPLIT") or "test")
    parser.add_argument("--detector", default="yolo-openvino")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit", type=int, default=0, help="only the first so many boards")
    parser.add_argument("--out", type=Path, default=Path("var/bench/detect"))
    parser.add_argument("--without-template", action="store_true", help="let the network stand alone")
    parser.add_argument("--speed", action="store_true")
    return parser.parse_args()


def read_board(folder: Path, name: str) -> RealBoard:
    """Read one pair; raises FileNotFoundError naming the missing file."""
    truths = []
    for line in (folder / "labels" / f"{name}.txt").read_text().splitlines():
        x1, y1, x2, y2, kind = (int(word) for word in line.split())
        truths.append(Truth(kind - 1, (float(x1), float(y1), float(x2), float(y2))))
    image, template = (_read_picture(folder / kind / f"{name}.png") for kind in ("images", "templates"))
    return RealBoard(name, image, template, tuple(truths))


def _read_picture(path: Path) -> Rgb:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise FileNotFoundError(path)
    rgb: Rgb = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
    return rgb


def _run(detector: Detector, folder: Path, split: str, limit: int, with_template: bool) -> Outcome:
    names = (folder / f"{split}.txt").read_text().split()
    names = names[:: max(1, len(names) // limit)][:limit] if limit else names
    found, truths, spent = [], [], 0.0
    for name in names:
        board = read_board(folder, name)
        templates = [board.template] if with_template else None
        started = time.perf_counter()
        found += detector.detect([board.image], min_score=0.01, templates=templates)
        spent += time.perf_counter() - started
        truths.append(list(board.truths))
    return Outcome(found, truths, names, 1000 * spent / len(names))


def _threshold(detector: Detector, folder: Path, outcome: Outcome, split: str, with_template: bool) -> float:
    """The score with the best F at IoU 0.33, on train boards whatever the split is."""
    train = outcome if split == "train" else _run(detector, folder, "train", THRESHOLD_BOARDS, with_template)
    return best_threshold(match(train.found, train.truths, iou=0.33, classes=len(CLASSES)))[0]


def _figures(outcome: Outcome, threshold: float) -> dict[str, object]:
    loose = match(outcome.found, outcome.truths, iou=0.33, classes=len(CLASSES))
    strict = [
        mean_average_precision(match(outcome.found, outcome.truths, iou=iou, classes=len(CLASSES))) for iou in COCO_IOUS
    ]
    return {
        "images": len(outcome.ids),
        "map_iou33": round(mean_average_precision(loose), 4),
        "f_iou33": round(f_at(loose, threshold), 4),
        "f_threshold": round(threshold, 3),
        "map50": round(strict[0], 4),
        "map50_95": round(float(np.mean(strict)), 4),
        "ap_iou33": {name: round(average_precision(one), 4) for name, one in zip(CLASSES, loose, strict=True)},
        "ms_per_frame": round(outcome.ms_per_frame, 1),
    }


def _write_coco(outcome: Outcome, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    rows = [(row, truth) for row, truths in enumerate(outcome.truths) for truth in truths]
    annotations = [_annotation(number, row, truth) for number, (row, truth) in enumerate(rows, start=1)]
    truth = {
        "images": [
            {"id": row, "file_name": f"{name}.png", "width": 640, "height": 640} for row, name in enumerate(outcome.ids)
        ],
        "categories": [{"id": index, "name": name} for index, name in enumerate(CLASSES, start=1)],
        "annotations": annotations,
    }
    results = [
        {
            "image_id": row,
            "category_id": region.class_index + 1,
            "bbox": _xywh(region.box_xyxy),
            "score": round(region.score, 5),
        }
        for row, regions in enumerate(outcome.found)
        for region in regions
    ]
    (out / "truth.json").write_text(json.dumps(truth))
    (out / "results.json").write_text(json.dumps(results))


def _annotation(number: int, row: int, truth: Truth) -> dict[str, object]:
    box = _xywh(truth.box_xyxy)
    return {
        "id": number,
        "image_id": row,
        "category_id": truth.class_index + 1,
        "bbox": box,
        "area": box[2] * box[3],
        "iscrowd": 0,
    }


def _xywh(box: tuple[float, float, float, float]) -> list[float]:
    return [round(v, 2) for v in (box[0], box[1], box[2] - box[0], box[3] - box[1])]


if __name__ == "__main__":
    main()
