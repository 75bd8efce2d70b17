"""Boards are what they say they are: repeatable, with exact boxes, true classes and readable facts."""

from collections import Counter
from functools import lru_cache

import cv2
import numpy as np
import pytest

from finetune.boards import (
    BOX_MARGIN_PX,
    CLASSES,
    FACTS,
    STYLES,
    Board,
    encode_jpeg,
    encode_png,
    generate_board,
)

SEEDS = range(1000, 1060)


@lru_cache(maxsize=1)
def the_boards() -> tuple[Board, ...]:
    return tuple(generate_board(seed, style="binary", defects=9) for seed in SEEDS)


@pytest.mark.parametrize("style", STYLES)
def test_same_seed_gives_the_same_board(style: str) -> None:
    one, two = (generate_board(7, style=style, defects=5) for _ in range(2))
    assert np.array_equal(one.image, two.image)
    assert np.array_equal(one.template, two.template)
    assert one.defects == two.defects


def test_another_seed_gives_another_board() -> None:
    assert not np.array_equal(generate_board(7).image, generate_board(8).image)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("size_px", [320, 640, 1280])
def test_a_board_has_the_asked_size_and_style(style: str, size_px: int) -> None:
    board = generate_board(3, style=style, size_px=size_px)
    assert board.image.shape == board.template.shape == (size_px, size_px, 3)
    assert board.image.dtype == board.template.dtype == np.uint8
    assert board.style == style


def test_masks_show_the_designed_and_the_actual_copper_in_line_with_the_image() -> None:
    for board in the_boards()[:10]:
        for mask in (board.design_copper, board.copper):
            assert mask.shape == board.image.shape[:2]
            assert set(np.unique(mask)) == {0, 255}
        agrees = (board.image[..., 0] == 0) == (board.copper > 127)
        assert agrees.mean() > 0.97


def test_masks_differ_inside_the_boxes_and_nowhere_else() -> None:
    for board in the_boards():
        differs = board.design_copper != board.copper
        for defect in board.defects:
            x1, y1, x2, y2 = (int(v) for v in defect.box_xyxy)
            assert differs[y1:y2, x1:x2].any()
            differs[y1:y2, x1:x2] = False
        assert not differs.any()


def test_a_binary_board_is_black_and_white() -> None:
    assert set(np.unique(the_boards()[0].image)) == {0, 255}


def _difference(board: Board) -> np.ndarray:
    """Changed pixels of a binary board without the fraying of its rims."""
    dx, dy = board.misregistration_xy
    back = np.array([[1, 0, -dx], [0, 1, -dy]], np.float32)
    aligned = cv2.warpAffine(board.template[..., 0], back, board.template.shape[:2], borderMode=cv2.BORDER_REPLICATE)
    changed = ((board.image[..., 0] > 127) != (aligned > 127)).astype(np.uint8)
    return cv2.morphologyEx(changed, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)).astype(bool)


def test_boxes_hold_every_difference_and_a_good_board_has_none() -> None:
    for board in the_boards():
        rest = _difference(board)
        for defect in board.defects:
            x1, y1, x2, y2 = (int(v) for v in defect.box_xyxy)
            rest[y1:y2, x1:x2] = False
        assert rest.sum() < 60, f"seed {board.seed}: {rest.sum()} changed pixels outside all boxes"


def test_boxes_are_tight_but_for_their_margin() -> None:
    slack = []
    for board in the_boards():
        changed = _difference(board)
        for defect in board.defects:
            x1, y1, x2, y2 = (int(v) for v in defect.box_xyxy)
            if min(x1, y1) == 0 or max(x2, y2) == 640:
                continue
            ys, xs = np.nonzero(changed[y1:y2, x1:x2])
            if len(xs):
                slack.append((xs.min(), ys.min(), x2 - x1 - 1 - xs.max(), y2 - y1 - 1 - ys.max()))
    # The threshold and the fraying may eat or add a pixel or two of a mark's rim.
    assert np.abs(np.median(slack, axis=0) - BOX_MARGIN_PX).max() <= 1.5
    assert (np.abs(np.array(slack) - BOX_MARGIN_PX) <= 4).mean() > 0.9


def test_boxes_lie_inside_the_frame_in_whole_pixels() -> None:
    for board in the_boards():
        for defect in board.defects:
            x1, y1, x2, y2 = defect.box_xyxy
            assert 0 <= x1 < x2 <= 640
            assert 0 <= y1 < y2 <= 640
            assert defect.box_xyxy == tuple(round(v) for v in defect.box_xyxy)


def test_every_class_is_about_equally_common_and_nearly_all_asked_for_are_placed() -> None:
    counts = Counter(d.defect_class for board in the_boards() for d in board.defects)
    assert set(counts) == set(CLASSES)
    assert min(counts.values()) > 0.6 * max(counts.values())
    assert sum(counts.values()) > 0.9 * 9 * len(SEEDS)


@pytest.mark.parametrize("fact", FACTS)
def test_every_value_of_every_fact_occurs(fact: str) -> None:
    seen = {d.facts[fact] for board in the_boards() for d in board.defects}
    assert seen == set(FACTS[fact])


def test_each_defect_states_each_fact_with_a_known_value() -> None:
    for board in the_boards():
        for defect in board.defects:
            assert defect.facts.keys() == FACTS.keys()
            assert all(value in FACTS[name] for name, value in defect.facts.items())


@pytest.mark.parametrize("fact", FACTS)
def test_no_fact_follows_from_the_class(fact: str) -> None:
    seen: dict[str, Counter[str]] = {name: Counter() for name in CLASSES}
    for board in the_boards():
        for defect in board.defects:
            seen[defect.defect_class][defect.facts[fact]] += 1
    guessed = sum(counts.most_common(1)[0][1] for counts in seen.values())
    assert guessed / sum(counts.total() for counts in seen.values()) < 0.78


ADDS_COPPER = {"short", "spur", "copper"}


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_adds_copper_or_takes_it_away(name: str) -> None:
    for board in the_boards():
        changed = _difference(board)
        for defect in board.defects:
            x1, y1, x2, y2 = (int(v) for v in defect.box_xyxy)
            inner = (slice(y1 + 8, y2 - 8), slice(x1 + 8, x2 - 8))
            dark = board.image[inner][..., 0][changed[inner]] == 0
            if defect.defect_class == name and dark.size > 40:
                assert (dark.mean() > 0.5) == (name in ADDS_COPPER), f"seed {board.seed} {defect}"


@pytest.mark.parametrize("style", STYLES)
def test_a_good_board_differs_from_its_template_by_noise_only(style: str) -> None:
    for seed in range(20, 26):
        board = generate_board(seed, style=style, defects=0)
        assert board.defects == ()
        a, b = (cv2.GaussianBlur(p, (0, 0), 3).astype(float) for p in (board.image, board.template))
        assert np.abs(a - b).mean() < 12
        if style == "binary":
            assert _difference(board).sum() < 60


def test_the_good_board_of_a_seed_is_the_design_of_the_faulty_one() -> None:
    good, faulty = (generate_board(31, style="binary", defects=n) for n in (0, 8))
    assert np.array_equal(good.template, faulty.template)


def test_an_unknown_style_and_a_tiny_board_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown style 'sepia'"):
        generate_board(1, style="sepia")
    with pytest.raises(ValueError, match="too small"):
        generate_board(1, size_px=100)


def test_encoded_pictures_keep_their_channel_order() -> None:
    picture = generate_board(4, style="colour").image
    png = cv2.imdecode(np.frombuffer(encode_png(picture), np.uint8), cv2.IMREAD_COLOR)
    jpeg = cv2.imdecode(np.frombuffer(encode_jpeg(picture, quality=95), np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(png[..., ::-1], picture)
    assert np.abs(jpeg[..., ::-1].astype(int) - picture).mean() < 6


def test_facts_are_left_out_when_nobody_asks_for_them() -> None:
    with_facts, without = (generate_board(5, style="binary", defects=6, facts=facts) for facts in (True, False))
    assert [d.box_xyxy for d in without.defects] == [d.box_xyxy for d in with_facts.defects]
    assert all(d.facts == {} for d in without.defects)
    assert np.array_equal(with_facts.image, without.image)


def _pieces(mask: np.ndarray) -> int:
    return cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[0] - 1


CHANGE_OF_PIECES = {"open": 1, "short": -1, "mousebite": 0, "spur": 0, "copper": 1, "pin-hole": 0}
"""Least change of the number of copper pieces (greatest for a short)."""


@pytest.mark.parametrize("threshold", [110, 145])
def test_a_defect_means_the_same_through_a_soft_lens(threshold: int) -> None:
    wrong = []
    for board in the_boards():
        before, after = (cv2.GaussianBlur(m, (0, 0), 1.2) > threshold for m in (board.design_copper, board.copper))
        for defect in board.defects:
            x1, y1, x2, y2 = (int(v) for v in defect.box_xyxy)
            window = (slice(y1 + 4, y2 - 4), slice(x1 + 4, x2 - 4))
            change = _pieces(after[window]) - _pieces(before[window])
            least = CHANGE_OF_PIECES[defect.defect_class]
            if change * np.sign(least) < abs(least) or (least == 0 and change):
                wrong.append((board.seed, defect.defect_class))
    # Boxes are clipped at the frame and a mask has no soft rim, so a few differ.
    assert len(wrong) <= 0.02 * sum(len(board.defects) for board in the_boards()), wrong


def test_no_small_round_lands_stand_alone() -> None:
    """Copper of a good board in small compact pieces would look like copper that stayed behind."""
    small = 0
    for seed in range(400, 430):
        copper = generate_board(seed, style="binary", defects=0).design_copper
        stats = cv2.connectedComponentsWithStats(copper, connectivity=8)[2][1:]
        left, top, width, height, area = stats.T
        inside = (left > 0) & (top > 0) & (left + width < 640) & (top + height < 640)
        round_or_square = (np.maximum(width, height) < 1.3 * np.minimum(width, height)) & (area > 0.6 * width * height)
        small += int((inside & round_or_square & (np.maximum(width, height) < 22)).sum())
    assert small <= 2  # the least pads of component rows
