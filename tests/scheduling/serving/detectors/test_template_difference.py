"""The classical detector finds what the golden template does not have and names it by the copper's pieces."""

import numpy as np
import pytest

from finetune.boards import CLASSES, STYLES, generate_board
from finetune.training.detector_check import check_detector, truths_of
from finetune.training.detector_metrics import match, mean_average_precision
from scheduling.serving.contracts import BadFrame, Detector, Rgb
from scheduling.serving.detectors import load_detector
from scheduling.serving.detectors.template_difference import compare


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


BARE, COVERED, METAL = (20, 60, 30), (46, 118, 56), (214, 178, 96)


def masked(picture: Rgb) -> Rgb:
    """The same board under a solder mask that leaves only the land's row free, seen in slanting light."""
    copper = picture[..., 0] == 0
    colours = np.where(copper[..., None], COVERED, BARE)
    colours[150:] = np.where(copper[150:, :, None], METAL, BARE)
    light = np.linspace(1.0, 0.8, picture.shape[1])[None, :, None]
    noise = np.random.default_rng(5).normal(0, 2, picture.shape)
    return np.clip(colours * light + noise, 0, 255).astype(np.uint8)


LOOKS = {"binary": lambda picture: picture, "grey": lambda picture: 220 - picture // 2, "masked": masked}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", CLASSES)
def test_each_fault_is_named_and_boxed(name: str, look: str, detector: Detector) -> None:
    (y1, y2), (x1, x2), value = FAULTS[name]
    template, image = board_with_two_traces(), board_with_two_traces()
    image[y1:y2, x1:x2] = value
    (regions,) = detector.detect([LOOKS[look](image)], min_score=0.4, templates=[LOOKS[look](template)])
    assert [region.class_name for region in regions] == [name]
    assert regions[0].box_xyxy == pytest.approx((x1 - 10, y1 - 10, x2 + 10, y2 + 10), abs=2)
    assert regions[0].class_index == CLASSES.index(name)


@pytest.mark.parametrize("shift_xy", [(3, 0), (-4, 2), (5, -5)])
def test_a_land_that_lies_a_little_elsewhere_is_no_fault(shift_xy: tuple[int, int], detector: Detector) -> None:
    template, image = board_with_two_traces(), board_with_two_traces()
    template[168:174, 168:174] = 255  # its hole
    moved = template[144:196, 144:196].copy()
    x, y = 144 + shift_xy[0], 144 + shift_xy[1]
    image[144:196, 144:196] = 255
    image[y : min(y + 52, 200), x : min(x + 52, 200)] = moved[: 200 - y, : 200 - x]
    (regions,) = detector.detect([image], min_score=0.2, templates=[template])
    assert regions == []
    image[80:90, 90:100], image[60:70, 30:42] = 0, 255
    (regions,) = detector.detect([image], min_score=0.2, templates=[template])
    assert {region.class_name for region in regions} == {"spur", "mousebite"}


def test_a_brighter_shot_of_a_good_board_is_good(detector: Detector) -> None:
    template = masked(board_with_two_traces())
    image = np.clip(template * 1.12, 0, 255).astype(np.uint8)
    assert detector.detect([image], templates=[template]) == [[]]


@pytest.mark.parametrize("style", STYLES)
def test_a_template_makes_no_style_worse(style: str) -> None:
    """Measured with the shipped network over twelve boards of one style."""
    network = load_detector("yolo-openvino", threads=1)
    alone, helped = (map50_of(network, style, with_template=helped) for helped in (False, True))
    assert helped >= alone - 0.01
    assert helped > 0.9


def map50_of(detector: Detector, style: str, *, with_template: bool) -> float:
    boards = [generate_board(seed, style=style, defects=6) for seed in range(41_000, 41_012)]
    found = [
        detector.detect([board.image], min_score=0.01, templates=[board.template] if with_template else None)[0]
        for board in boards
    ]
    truths = [truths_of(board) for board in boards]
    return mean_average_precision(match(found, truths, iou=0.5, classes=len(CLASSES)))


def test_the_template_of_another_board_is_recognised() -> None:
    board, other = (generate_board(seed, style="colour", defects=4) for seed in (60, 61))
    assert compare(board.image, board.template).same_board
    assert not compare(board.image, other.template).same_board


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
    assert figures["detector_map50"] > 0.9


@pytest.mark.parametrize("templates", [None, [None]])
def test_without_a_template_it_says_so_instead_of_finding_nothing(
    templates: list[None] | None, detector: Detector
) -> None:
    with pytest.raises(BadFrame, match="needs a golden template"):
        detector.detect([board_with_two_traces()], templates=templates)


def test_a_template_of_another_size_is_refused(detector: Detector) -> None:
    with pytest.raises(BadFrame, match="200 x 200"):
        detector.detect([np.zeros((100, 200, 3), np.uint8)], templates=[board_with_two_traces()])
