"""Measure a describer on real boards as a station asks it: crops, the template's cuts, and the detector's word.

`AIVD_DATA=/path/to/data python -m benchmarks.describe_real [--split train|test] [--every N] [--describer SPEC]`.
Choose anything on the train split; the test split is asked once for each question. True boxes are asked about without
a hint, with and without their template and at several box noises; the detector's own boxes with its word, as in
service: how often the describer overrules it rightly and wrongly, and calls a box on good copper "no defect".
The last line is JSON. Needs AIVD_DATA, and says so.
"""

import argparse
import json
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from PIL import Image

from finetune.boards import CLASSES
from finetune.training.describer_crops import noisy_box
from finetune.training.detector_metrics import overlap_matrix
from scheduling.serving.answers import NO_DEFECT
from scheduling.serving.contracts import AnswerEvent, BoxXyxy, Describer, Detector, RegionRequest, Rgb
from scheduling.serving.crops import CONTEXT_RATIO, JPEG_QUALITY, cut_crop
from scheduling.serving.describers import SMALL, load_describer
from scheduling.serving.detectors import load_detector

BATCH: Final = 16
MATCHING_IOU: Final = 0.33
DETECTED_SCORE: Final = 0.5
NOISES: Final = (0.0, 0.1, 0.3, 0.5)
TEMPLATES: Final = {"template": True, "alone": False}
RESAMPLES: Final = 2000


@dataclass(frozen=True)
class Board:
    """A real board: its picture, its template, and where its defects are."""

    name: str
    image: Rgb
    template: Rgb
    boxes: tuple[BoxXyxy, ...]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """What the describer is asked about, and what is true there; no `hint` where nothing was detected."""

    board: str
    crop: Rgb
    template: Rgb | None
    true_class: str
    hint: tuple[str, float] = ("", 0.0)


def main() -> int:
    options = _options()
    folder = Path(os.environ.get("AIVD_DATA") or "/nonexistent") / "deeppcb"
    if not (folder / f"{options.split}.txt").exists():
        print(f"Not measured: {options.split}.txt not found. Set AIVD_DATA to the folder with deeppcb/.")
        return 2
    boards = list(read_boards(folder, options.split, options.every))
    describer = load_describer(options.describer, threads=options.threads)
    detector = load_detector(options.detector, threads=options.threads)
    figures = measure(describer, detector, boards)
    about = {"split": options.split, "every": options.every, "describer": describer.version}
    print(json.dumps(about | {"detector": detector.version, "boards": len(boards)} | figures))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.describe_real", description=__doc__)
    parser.add_argument("--split", choices=("train", "test"), default="train")
    parser.add_argument("--every", type=int, default=7, help="every Nth board of the split")
    parser.add_argument("--describer", default=SMALL)
    parser.add_argument("--detector", default="yolo-openvino")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def measure(describer: Describer, detector: Detector, boards: Sequence[Board]) -> dict[str, Any]:
    """The figures by question: `true boxes NOISE template|alone`, and `detector template|alone`."""
    figures: dict[str, Any] = {}
    for named, with_template in TEMPLATES.items():
        for noise in NOISES:
            cases = [case for board in boards for case in true_cases(board, noise, with_template=with_template)]
            named_right = [said == case.true_class for case, said in asked(describer, cases)]
            figures[f"true boxes {noise} {named}"] = {"n": len(cases), "right": _share(named_right)}
            print(f"true boxes {noise} {named}: {_share(named_right)} of {len(cases)}", flush=True)
        cases = [case for board in boards for case in detected_cases(board, detector, with_template=with_template)]
        figures[f"detector {named}"] = judge(asked(describer, cases))
        print(f"detector {named}: {figures[f'detector {named}']}", flush=True)
    return figures


def judge(answers: Sequence[tuple[Case, str]]) -> dict[str, Any]:
    """Of the detector's boxes: those on a defect, where the describer overrules, and those on good copper."""
    defects = [(case, said) for case, said in answers if case.true_class != NO_DEFECT]
    false_boxes = [said for case, said in answers if case.true_class == NO_DEFECT]
    overruled = [(case, said) for case, said in defects if said != case.hint[0]]
    return {
        "defects": len(defects),
        "describer_right": _share(said == case.true_class for case, said in defects),
        "detector_right": _share(case.hint[0] == case.true_class for case, _ in defects),
        "better_by": _interval(defects),
        "overrules_right": sum(said == case.true_class for case, said in overruled),
        "overrules_wrong": sum(case.hint[0] == case.true_class for case, _ in overruled),
        "defects_called_good": _share(said == NO_DEFECT for _, said in defects),
        "false_boxes": len(false_boxes),
        "false_boxes_called_good": _share(said == NO_DEFECT for said in false_boxes),
    }


def _interval(defects: Sequence[tuple[Case, str]]) -> tuple[float, float]:
    """95 % of the describer's lead over the detector, paired, boards drawn anew."""
    by_board: dict[str, list[int]] = {}
    for case, said in defects:
        lead = int(said == case.true_class) - int(case.hint[0] == case.true_class)
        by_board.setdefault(case.board, []).append(lead)
    leads = np.array([[sum(of_one), len(of_one)] for of_one in by_board.values()], float).reshape(-1, 2)
    if not len(leads):
        return (0.0, 0.0)
    drawn = leads[np.random.default_rng(0).integers(0, len(leads), (RESAMPLES, len(leads)))].sum(1)
    low, high = np.percentile(drawn[:, 0] / drawn[:, 1], (2.5, 97.5))
    return round(float(low), 4), round(float(high), 4)


def read_boards(folder: Path, split: str, every: int) -> Iterator[Board]:
    for name in (folder / f"{split}.txt").read_text().split()[::every]:
        rows = [line.split() for line in (folder / "labels" / f"{name}.txt").read_text().splitlines() if line.strip()]
        yield Board(
            name,
            _picture(folder / "images" / f"{name}.png"),
            _picture(folder / "templates" / f"{name}.png"),
            tuple((float(r[0]), float(r[1]), float(r[2]), float(r[3])) for r in rows),
            tuple(CLASSES[int(r[4]) - 1] for r in rows),
        )


def true_cases(board: Board, noise: float, *, with_template: bool) -> Iterator[Case]:
    """The labelled boxes, off by `noise`; the same draws with and without template."""
    rng = np.random.default_rng((zlib.crc32(board.name.encode()), int(100 * noise)))
    for box, name in zip(board.boxes, board.classes, strict=True):
        moved = noisy_box(box, noise, rng)
        yield Case(board.name, *_cuts(board, moved, with_template), name)


def detected_cases(board: Board, detector: Detector, *, with_template: bool) -> Iterator[Case]:
    """The detector's boxes: each defect's best one, and those that touch no defect."""
    templates = [board.template] if with_template else None
    (regions,) = detector.detect([board.image], min_score=DETECTED_SCORE, templates=templates)
    taken: set[int] = set()
    for region in sorted(regions, key=lambda region: -region.score):
        overlaps = overlap_matrix(np.array([region.box_xyxy]), np.array(board.boxes).reshape(-1, 4))[0]
        best = int(overlaps.argmax()) if len(overlaps) else -1
        touched = best >= 0 and overlaps[best] > 0
        if touched and (overlaps[best] < MATCHING_IOU or best in taken):
            continue  # a second box on a defect, or one that grazes it, has no one right answer
        true_class = board.classes[best] if touched else NO_DEFECT
        taken |= {best} if touched else set()
        yield Case(
            board.name, *_cuts(board, region.box_xyxy, with_template), true_class, (region.class_name, region.score)
        )


def _cuts(board: Board, box: BoxXyxy, with_template: bool) -> tuple[Rgb, Rgb | None]:
    return _sent(board.image, box), _sent(board.template, box) if with_template else None


def _sent(picture: Rgb, box: BoxXyxy) -> Rgb:
    """The context crop after the JPEG it travels as."""
    sent = cv2.imencode(".jpg", cut_crop(picture, box, CONTEXT_RATIO), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    return np.asarray(cv2.imdecode(sent, cv2.IMREAD_COLOR), np.uint8)


def _picture(path: Path) -> Rgb:
    return np.asarray(Image.open(path).convert("RGB"))


def asked(describer: Describer, cases: Sequence[Case]) -> list[tuple[Case, str]]:
    """Each case with the class that the describer named; "" where it gave no valid answer."""
    answered = []
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
        named = {
            event.region_id: str(event.answer.get("defect_class", ""))
            for event in events
            if isinstance(event, AnswerEvent)
        }
        answered += [(case, named.get(str(n), "")) for n, case in enumerate(group)]
    return answered


def _share(values: Any) -> float:
    found = list(values)
    return round(sum(found) / len(found), 4) if found else 0.0


if __name__ == "__main__":
    raise SystemExit(main())
