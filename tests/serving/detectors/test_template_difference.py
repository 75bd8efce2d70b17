"""The classical detector finds what the golden template does not have and names it by the copper's pieces."""

import numpy as np
import pytest

from finetune.boards import CLASSES, STYLES, generate_board
from finetune.training.detector_check import check_detector
from scheduling.serving.contracts import BadFrame, Detector, Rgb
from scheduling.serving.detectors import load_detector


@pytest.fixture(scope="module")
def detector() -> Detector:
    return load_detector("template-difference", threads=1)


def board_with_two_traces() -> Rgb:
    """White board, black copper: two horizontal traces of 20 px with 20 px between, and a land."""
    picture = np.full((200, 200, 3), 255, np.uint8)
    picture[60:80], picture[100:120] = 0, 0
    picture[150:190, 150:190] = 0
    return picture


FAULTS = {
    "open": ((60, 80), (90, 102), 255),
    "short": ((80, 100), (90, 98), 0),
    "mousebite": ((60, 70), (90, 102), 255),
    "spur": ((80, 90), (90, 100), 0),
    "copper": ((25, 37), (90, 102), 0),
    "pin-hole": ((165, 175), (165, 175), 255),
}


@pytest.mark.parametrize("name", CLASSES)
def test_each_fault_is_named_and_boxed(name: str, detector: Detector) -> None:
    (y1, y2), (x1, x2), value = FAULTS[name]
    template, image = board_with_two_traces(), board_with_two_traces()
    image[y1:y2, x1:x2] = value
    (regions,) = detector.detect([image], min_score=0.4, templates=[template])
    assert [region.class_name for region in regions] == [name]
    assert regions[0].box_xyxy == pytest.approx((x1 - 10, y1 - 10, x2 + 10, y2 + 10), abs=2)
    assert regions[0].class_index == CLASSES.index(name)


@pytest.mark.parametrize("shift_xy", [(5, 0), (0, -4), (-7, 6)])
def test_a_shifted_template_is_aligned(shift_xy: tuple[int, int], detector: Detector) -> None:
    board = generate_board(77, style="binary", defects=0)
    template = np.roll(board.image, shift_xy, axis=(1, 0))
    (regions,) = detector.detect([board.image], min_score=0.4, templates=[template])
    inner = [r for r in regions if min(r.box_xyxy) > 15 and max(r.box_xyxy) < 625]
    assert inner == []


def test_a_blank_board_against_itself_is_fine(detector: Detector) -> None:
    blank = np.full((200, 200, 3), 255, np.uint8)
    assert detector.detect([blank], templates=[blank]) == [[]]


@pytest.mark.parametrize("style", STYLES)
def test_good_boards_stay_good(style: str, detector: Detector) -> None:
    wrong = 0
    for seed in range(300, 306):
        board = generate_board(seed, style=style, defects=0)
        (regions,) = detector.detect([board.image], min_score=0.5, templates=[board.template])
        wrong += len(regions)
    assert wrong <= 4


def test_most_defects_of_generated_boards_are_found(detector: Detector) -> None:
    figures = check_detector(detector, seed=5000, boards=12, with_templates=True)
    assert figures["detector_map50"] > 0.7


@pytest.mark.parametrize("templates", [None, [None]])
def test_without_a_template_it_says_so_instead_of_finding_nothing(
    templates: list[None] | None, detector: Detector
) -> None:
    with pytest.raises(BadFrame, match="needs a golden template"):
        detector.detect([board_with_two_traces()], templates=templates)


def test_a_template_of_another_size_is_refused(detector: Detector) -> None:
    with pytest.raises(BadFrame, match="200 x 200"):
        detector.detect([np.zeros((100, 200, 3), np.uint8)], templates=[board_with_two_traces()])
