"""Measure a served detector on boards of a fresh seed that no training has seen."""

from typing import Any

from finetune.boards import CLASSES, STYLES, Board, generate_board
from finetune.training.detector_metrics import COCO_IOUS, Truth, average_precision, match, mean_average_precision
from scheduling.serving.contracts import DetectedRegion, Detector


def check_detector(detector: Detector, *, seed: int, boards: int = 150, with_templates: bool = False) -> dict[str, Any]:
    """`detector_map50` and its kin over `boards` boards of all styles, from `seed` on."""
    found: list[list[DetectedRegion]] = []
    truths: list[list[Truth]] = []
    styles: list[str] = []
    for number in range(boards):
        board = generate_board(seed + number, style=STYLES[number % len(STYLES)])
        templates = [board.template] if with_templates else None
        found += detector.detect([board.image], min_score=0.01, templates=templates)
        truths.append(truths_of(board))
        styles.append(board.style)
    figures: dict[str, Any] = {
        "detector_boards": boards,
        "detector_map50": _map(found, truths, (0.5,)),
        "detector_map50_95": _map(found, truths, COCO_IOUS),
    }
    matches = match(found, truths, iou=0.5, classes=len(CLASSES))
    figures["detector_ap50"] = {n: round(average_precision(one), 4) for n, one in zip(CLASSES, matches, strict=True)}
    for style in STYLES:
        rows = [row for row, name in enumerate(styles) if name == style]
        of_style = _map([found[row] for row in rows], [truths[row] for row in rows], (0.5,))
        figures[f"detector_map50_{style}"] = of_style
    return figures


def truths_of(board: Board) -> list[Truth]:
    return [Truth(CLASSES.index(defect.defect_class), defect.box_xyxy) for defect in board.defects]


def _map(found: list[list[DetectedRegion]], truths: list[list[Truth]], ious: tuple[float, ...]) -> float:
    values = [mean_average_precision(match(found, truths, iou=iou, classes=len(CLASSES))) for iou in ious]
    return round(sum(values) / len(values), 4)
