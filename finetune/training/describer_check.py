"""Measure a served describer on boards of a fresh seed that no training has seen, through the node's own code.

The crops are those of the detector's own boxes, as in service. Counts only what the model wrote: the class, and the
facts its appearance states. Each fact is set against the baseline of always saying what is most frequent for the
true class. Knows describers and detectors only by their protocols.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np

from finetune.boards import CLASSES, FACTS, STYLES, Board, Defect, generate_board
from finetune.training.describer_crops import noisy_box, windows_of
from finetune.training.describer_texts import read_facts
from finetune.training.detector_metrics import overlap_matrix
from scheduling.serving.answers import NO_DEFECT
from scheduling.serving.contracts import AnswerEvent, BoxXyxy, Describer, Detector, RegionRequest, Rgb
from scheduling.serving.crops import CONTEXT_RATIO, JPEG_QUALITY, cut_crop

BATCH: Final = 16
MATCHING_IOU: Final = 0.33
"""From this overlap on a detected box is that of a defect; DeepPCB's authors count with it."""
DETECTED_SCORE: Final = 0.5
"""A station's threshold unless it is set otherwise: boxes below it do not count and are not described."""

WITH_TEMPLATE: Final = (
    "describer_crops",
    "describer_class_accuracy",
    "defect_crop_accuracy",
    "good_crops",
    "good_crop_accuracy",
    "fact_accuracy",
)


@dataclass(frozen=True)
class Case:
    """A crop as the node gets it, what is in it, and what goes with it: the template's cut, and the detector's word."""

    crop: Rgb
    defect_class: str
    facts: dict[str, str]
    template: Rgb | None = None
    hint: tuple[str, float] = ("", 0.0)


def check_describer(describer: Describer, detector: Detector, *, seed: int, boards: int = 90) -> dict[str, Any]:
    """Class and fact accuracy, their baselines, JSON validity and calibration, on what the detector finds.

    `describer_class_accuracy` is over all boxes: those of a defect, and those on good copper, where "no defect" is
    right. `defects_detected` is the share of defects that the detector found at all. The figures are of a station
    without a golden template; those in `with_template` are of one that has it.
    """
    cases: list[Case] = []
    templated: list[Case] = []
    defects = 0
    for board in check_boards(seed, boards):
        cases += detected_cases(board, detector)
        templated += detected_cases(board, detector, with_template=True)
        defects += len(board.defects)
    figures = score(cases, list(answers_to(describer, cases)))
    found = sum(case.defect_class != NO_DEFECT for case in cases)
    figures |= {"describer_boards": boards, "defects_detected": round(found / max(defects, 1), 4)}
    measured = score(templated, list(answers_to(describer, templated)))
    return figures | {"with_template": {name: measured[name] for name in WITH_TEMPLATE}}


def check_boards(seed: int, boards: int) -> Iterator[Board]:
    """All styles in turn, from `seed` on."""
    return (generate_board(seed + number, style=STYLES[number % len(STYLES)]) for number in range(boards))


def detected_cases(board: Board, detector: Detector, *, with_template: bool = False) -> list[Case]:
    """A case for each box the detector finds: of the defect it is on, or of no defect where it touches none.

    Each defect goes to its best-scored box. A second box on it, or one that only grazes it, has no one right answer
    and makes no case.
    """
    templates = [board.template] if with_template else None
    (regions,) = detector.detect([board.image], min_score=DETECTED_SCORE, templates=templates)
    left, cases = list(board.defects), []
    for region in sorted(regions, key=lambda region: -region.score):
        defect = _best(left, region.box_xyxy)
        if defect:
            left.remove(defect)
        elif any(_overlaps(region.box_xyxy, board.defects)):
            continue
        truth = (defect.defect_class, defect.facts) if defect else (NO_DEFECT, {})
        golden = _sent(board.template, region.box_xyxy) if with_template else None
        cases.append(Case(_sent(board.image, region.box_xyxy), *truth, golden, (region.class_name, region.score)))
    return cases


def jittered_cases(seed: int, boards: int, box_noise: float) -> Iterator[Case]:
    """Crops of each defect and of good places, their true boxes off by `box_noise`: see `noisy_box`."""
    rng = np.random.default_rng((seed, 7))
    for board in check_boards(seed, boards):
        for window in windows_of(board, rng):
            pixels = cv2.imdecode(np.frombuffer(window.jpeg, np.uint8), cv2.IMREAD_COLOR)
            picture = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)
            crop = _sent(picture, noisy_box(window.box_xyxy, box_noise, rng))
            yield Case(crop, window.defect_class, window.facts)


def _best(defects: Sequence[Defect], box: BoxXyxy) -> Defect | None:
    """The defect that the box overlaps most, if by enough."""
    overlaps = _overlaps(box, defects)
    best = max(range(len(defects)), key=overlaps.__getitem__, default=None)
    return None if best is None or overlaps[best] < MATCHING_IOU else defects[best]


def _overlaps(box: BoxXyxy, defects: Sequence[Defect]) -> list[float]:
    if not defects:
        return []
    return [float(v) for v in overlap_matrix(np.array([box]), np.array([d.box_xyxy for d in defects]))[0]]


def _sent(picture: Rgb, box: BoxXyxy) -> Rgb:
    """The context crop after the JPEG it travels as."""
    cut = cut_crop(picture, box, CONTEXT_RATIO)
    sent = cv2.imencode(".jpg", cut, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    return np.asarray(cv2.imdecode(sent, cv2.IMREAD_COLOR), np.uint8)


def answers_to(describer: Describer, cases: Sequence[Case]) -> Iterator[AnswerEvent]:
    """The answers in the order of the cases."""
    for start in range(0, len(cases), BATCH):
        group = cases[start : start + BATCH]
        regions = [RegionRequest(str(n), (0.0, 0.0, 32.0, 32.0), *case.hint) for n, case in enumerate(group)]
        events = describer.describe(
            [case.crop for case in group],
            regions,
            class_names=CLASSES,
            frame_size_wh=(640, 640),
            is_cancelled=lambda: False,
            templates=[case.template for case in group],
        )
        answers = {event.region_id: event for event in events if isinstance(event, AnswerEvent)}
        yield from (answers[region.region_id] for region in regions)


def score(cases: Sequence[Case], answers: Sequence[AnswerEvent]) -> dict[str, Any]:
    """The figures, as shares in 0..1."""
    named = [str(event.answer.get("defect_class", "")) for event in answers]
    right = [name == case.defect_class for name, case in zip(named, cases, strict=True)]
    faulty = [row for row, case in enumerate(cases) if case.defect_class != NO_DEFECT]
    good = [row for row, case in enumerate(cases) if case.defect_class == NO_DEFECT]
    stated = [read_facts(str(answers[row].answer.get("appearance", ""))) for row in faulty]
    true_facts = [cases[row].facts for row in faulty]
    return {
        "describer_crops": len(cases),
        "describer_class_accuracy": _share(right),
        "defect_crop_accuracy": _share(right[row] for row in faulty),
        "good_crops": len(good),
        "good_crop_accuracy": _share(right[row] for row in good),
        "class_accuracy_by_class": {
            name: _share(right[row] for row in faulty if cases[row].defect_class == name) for name in CLASSES
        },
        "fact_accuracy": {
            name: _share(said.get(name) == true[name] for said, true in zip(stated, true_facts, strict=True))
            for name in FACTS
        },
        "fact_baseline": baseline([(cases[row].defect_class, cases[row].facts) for row in faulty]),
        "json_valid": _share(event.valid for event in answers),
        "calibration_error": calibration_error(
            [float(event.answer.get("confidence", 0.0)) for event in answers], right
        ),
        "tokens_per_answer": round(sum(event.tokens for event in answers) / max(1, len(answers)), 1),
    }


def baseline(rows: Sequence[tuple[str, dict[str, str]]]) -> dict[str, float]:
    """How often the most frequent value of each fact given the class is right, counted on these very rows."""
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for defect_class, facts in rows:
        for name, value in facts.items():
            counts[name, defect_class][value] += 1
    return {
        name: round(sum(max(c.values()) for (fact, _), c in counts.items() if fact == name) / max(1, len(rows)), 4)
        for name in FACTS
    }


def calibration_error(confidences: Sequence[float], right: Sequence[bool], bins: int = 10) -> float:
    """Expected calibration error over equal bins of confidence."""
    total = 0.0
    for number in range(bins):
        rows = [row for row, value in enumerate(confidences) if min(int(value * bins), bins - 1) == number]
        if rows:
            gap = sum(confidences[row] for row in rows) - sum(right[row] for row in rows)
            total += abs(gap)
    return round(total / max(1, len(right)), 4)


def _share(values: Any) -> float:
    found = list(values)
    return round(sum(found) / len(found), 4) if found else 0.0
