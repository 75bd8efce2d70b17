"""`python -m benchmarks.schedule.degradation`: what the admission's ladder costs in accuracy, with the shipped models.

Each rung of the ladder is applied to generated boards as a sender applies it: frames as JPEG of the rung's quality to
the detector, context crops likewise to the describer. Templates stay as they are: a Node has them already. Writes
docs/benchmarks/degradation.json, which the results page shows, and prints it.
"""

import argparse
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from finetune.boards import CLASSES, generate_board
from finetune.boards.contracts import Board
from finetune.training.detector_metrics import Truth, f_at, match, mean_average_precision
from scheduling.policy import FULL_QUALITY, Quality
from scheduling.policy.items import LADDER
from scheduling.serving.contracts import DEFAULT_MIN_SCORE, AnswerEvent, Describer, Detector, RegionRequest, Rgb
from scheduling.serving.crops import cut_crop
from scheduling.serving.describers import SMALL, load_describer
from scheduling.serving.detectors import load_detector
from scheduling.serving.pictures import decode_picture

FIRST_BOARD = 1 << 43  # far from every seed that a training, a calibration or a training report draws from
IOU = 0.33
RESULT = Path(__file__).parents[2] / "docs" / "benchmarks" / "degradation.json"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.schedule.degradation", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--boards", type=int, default=60)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--detector", default="yolo-openvino")
    parser.add_argument("--describer", default=SMALL)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    detector = load_detector(options.detector, threads=options.threads)
    describer = load_describer(options.describer, threads=options.threads)
    boards = [generate_board(FIRST_BOARD + number, facts=False) for number in range(options.boards)]
    rungs = [rung(quality, boards, detector, describer) for quality in (FULL_QUALITY, *LADDER)]
    made_by = {"detector": detector.digest, "describer": describer.digest, "boards": len(boards)}
    text = json.dumps(made_by | {"rungs": rungs}, indent=1)
    options.out.write_text(text + "\n")
    print(json.dumps(made_by | {"rungs": rungs}))


def rung(quality: Quality, boards: Sequence[Board], detector: Detector, describer: Describer) -> dict[str, Any]:
    """Accuracy and payload of one rung over `boards`."""
    frames = [jpeg(board.image, quality) for board in boards]
    crops = [[jpeg(cut_crop(b.image, d.box_xyxy), quality) for d in b.defects] for b in boards]
    named = sum(
        named_right(describer, board, [decode_picture(crop) for crop in some])
        for board, some in zip(boards, crops, strict=True)
    )
    return {
        "rung": quality.name,
        "jpeg": quality.jpeg_quality,
        "frame_kb": round(float(np.mean([len(frame) for frame in frames])) / 1000, 1),
        "crop_kb": round(float(np.mean([len(crop) for some in crops for crop in some])) / 1000, 2),
        **detected(detector, boards, [decode_picture(frame) for frame in frames]),
        "describer_class_share": round(named / sum(map(len, crops)), 4),
        "crops": sum(map(len, crops)),
    }


def detected(detector: Detector, boards: Sequence[Board], frames: Sequence[Rgb]) -> dict[str, float]:
    """mAP and F at the overlap `IOU`; F at the score that nodes serve with."""
    found = [
        detector.detect([frame], min_score=0.01, templates=[board.template])[0]
        for board, frame in zip(boards, frames, strict=True)
    ]
    truths = [[Truth(CLASSES.index(d.defect_class), d.box_xyxy) for d in board.defects] for board in boards]
    matches = match(found, truths, iou=IOU, classes=len(CLASSES))
    return {
        "map_iou33": round(mean_average_precision(matches), 4),
        "f_iou33": round(f_at(matches, DEFAULT_MIN_SCORE), 4),
    }


def named_right(describer: Describer, board: Board, crops: Sequence[Rgb]) -> int:
    """How many crops of a board the describer names as they are."""
    regions = [RegionRequest(str(n), d.box_xyxy, "", 0.0) for n, d in enumerate(board.defects)]
    height, width = board.image.shape[:2]
    events = describer.describe(
        crops, regions, class_names=CLASSES, frame_size_wh=(width, height), is_cancelled=lambda: False
    )
    answers = {event.region_id: event.answer for event in events if isinstance(event, AnswerEvent)}
    return sum(answers[str(n)].get("defect_class") == d.defect_class for n, d in enumerate(board.defects))


def jpeg(picture: Rgb, quality: Quality) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=quality.jpeg_quality)
    return stream.getvalue()


if __name__ == "__main__":
    main()
