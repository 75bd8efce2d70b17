"""A golden template confirms, corrects and completes what a network proposes."""

import json
from pathlib import Path

import numpy as np
import pytest

from scheduling.serving.contracts import BadFrame, BoxXyxy, DetectedRegion
from scheduling.serving.detectors import load_detector
from scheduling.serving.detectors.fusion import fuse
from scheduling.serving.detectors.template_difference import CLASS_NAMES, TemplateComparison
from tests.scheduling.serving.detectors.onnx_files import graph_model, write

HERE: BoxXyxy = (10, 10, 40, 40)
ALMOST_HERE: BoxXyxy = (12, 12, 42, 42)
THERE: BoxXyxy = (60, 60, 90, 90)


def region(box: BoxXyxy, score: float, name: str = "open") -> DetectedRegion:
    return DetectedRegion(box, score, CLASS_NAMES.index(name), name)


def differing(
    *regions: DetectedRegion, places: tuple[BoxXyxy, ...] = (), share: float = 0.0, exact: bool = True
) -> TemplateComparison:
    """A comparison that lists `regions`, with something changed in `places` and on `share` of the board besides."""
    changed = np.zeros((100, 100), np.uint8)
    changed[: round(100 * share)] = 1
    for x1, y1, x2, y2 in places:
        changed[int(y1) : int(y2), int(x1) : int(x2)] = 1
    return TemplateComparison(list(regions), changed, exact)


def test_a_confirmed_region_takes_box_and_class_of_the_difference_and_a_higher_score() -> None:
    (one,) = fuse([region(HERE, 0.5, "mousebite")], differing(region(ALMOST_HERE, 0.6, "open")))
    assert (one.box_xyxy, one.class_name) == (ALMOST_HERE, "open")
    assert one.score == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("exact", "score", "name"),
    [(True, 0.9, "open"), (False, 0.9, "mousebite"), (False, 0.5, "mousebite"), (False, 0.4, "open")],
)
def test_a_sure_network_names_what_no_mask_shows_exactly(exact: bool, score: float, name: str) -> None:
    (one,) = fuse([region(HERE, score, "mousebite")], differing(region(ALMOST_HERE, 0.6, "open"), exact=exact))
    assert (one.box_xyxy, one.class_name, one.class_index) == (ALMOST_HERE, name, CLASS_NAMES.index(name))


@pytest.mark.parametrize(("score", "box", "name"), [(0.9, HERE, "mousebite"), (0.7, ALMOST_HERE, "open")])
def test_a_network_that_says_from_when_it_is_sure_keeps_box_and_class(score: float, box: BoxXyxy, name: str) -> None:
    differences = differing(region(ALMOST_HERE, 0.6, "open"))
    (one,) = fuse([region(HERE, score, "mousebite")], differences, sure_score=0.8)
    assert (one.box_xyxy, one.class_name) == (box, name)
    assert one.score == pytest.approx(1 - (1 - score) * 0.4)


def test_an_unconfirmed_region_sinks_and_an_overlooked_difference_stays() -> None:
    fused = fuse([region(HERE, 0.9)], differing(region(THERE, 0.6, "short")))
    assert [r.box_xyxy for r in fused] == [THERE, HERE]
    assert fused[0].score == pytest.approx(0.42)
    assert fused[1].score == pytest.approx(0.18)


def test_a_difference_confirms_only_one_region() -> None:
    fused = fuse([region(HERE, 0.9), region(ALMOST_HERE, 0.8)], differing(region(HERE, 0.5)))
    assert [round(r.score, 2) for r in fused] == [0.95, 0.16]


def test_nothing_gives_nothing() -> None:
    assert fuse([], differing()) == []


def test_a_region_where_something_smaller_differs_sinks_less() -> None:
    (one,) = fuse([region(HERE, 0.8)], differing(places=((20, 20, 23, 23),)))
    assert one.score == pytest.approx(0.4)


def test_what_differs_in_the_margin_of_a_box_is_not_in_it() -> None:
    (one,) = fuse([region(HERE, 0.8)], differing(places=((10, 10, 14, 40),)))
    assert one.score == pytest.approx(0.16)


def test_a_template_of_another_board_has_no_say() -> None:
    proposed = [region(HERE, 0.4), region(THERE, 0.8, "short")]
    fused = fuse(proposed, differing(region(ALMOST_HERE, 0.9, "spur"), share=0.05))
    assert fused == [proposed[1], proposed[0]]


def board() -> np.ndarray:
    picture = np.full((64, 64, 3), 255, np.uint8)
    picture[26:38] = 0
    return picture


@pytest.fixture
def proposes_an_open(tmp_path: Path) -> Path:
    rows = np.array([(18, 16, 48, 48, 0.5, 0)], np.float32)
    return write(tmp_path / "m.onnx", graph_model(rows=rows, class_names=list(CLASS_NAMES)))


def test_a_network_without_a_template_stands_alone(proposes_an_open: Path) -> None:
    (regions,) = load_detector(str(proposes_an_open), threads=1).detect([board()])
    assert [round(r.score, 2) for r in regions] == [0.5]


def test_a_network_with_a_template_is_confirmed_or_doubted(proposes_an_open: Path) -> None:
    detector = load_detector(str(proposes_an_open), threads=1)
    cut = board()
    cut[26:38, 28:38] = 255
    confirmed, doubted = detector.detect([cut, board()], templates=[board(), board()])
    assert confirmed[0].class_name == "open"
    assert confirmed[0].score > 0.8
    assert [round(r.score, 2) for r in doubted] == [0.1]


def test_a_file_may_say_from_which_score_on_it_is_sure(tmp_path: Path) -> None:
    rows = np.array([(16, 14, 46, 46, 0.5, 2)], np.float32)
    cut = board()
    cut[26:38, 28:38] = 255
    found = []
    for sure_score in ("0.6", "0.4"):
        model = graph_model(rows=rows, class_names=list(CLASS_NAMES), sure_score=sure_score)
        detector = load_detector(str(write(tmp_path / f"m{sure_score}.onnx", model)), threads=1)
        found += detector.detect([cut], templates=[board()])
    (unsure,), (sure,) = found
    assert (unsure.class_name, sure.class_name) == ("open", "mousebite")
    assert sure.box_xyxy == (16, 14, 46, 46) != unsure.box_xyxy


def test_a_template_of_another_size_is_refused(proposes_an_open: Path) -> None:
    with pytest.raises(BadFrame, match="same size"):
        load_detector(str(proposes_an_open), threads=1).detect([board()], templates=[board()[:32]])


def test_other_classes_than_bare_boards_ignore_a_template(tmp_path: Path) -> None:
    rows = np.array([(18, 16, 48, 48, 0.5, 0)], np.float32)
    path = write(tmp_path / "m.onnx", graph_model(rows=rows, class_names=json.dumps(["scratch"])))
    (regions,) = load_detector(str(path), threads=1).detect([board()], templates=[board()])
    assert [round(r.score, 2) for r in regions] == [0.5]
