"""Training crops: facts turn with the picture, noise stays in its bounds, a store comes back as it was."""

from pathlib import Path

import numpy as np
import pytest

from finetune.boards import generate_board
from finetune.boards.facts import facts_in_view
from finetune.training.describer_crops import (
    CELL_PX,
    CLEAN,
    GOOD_SHARE,
    CropStore,
    Noise,
    _turned,
    cells_of,
    copper_of,
    noisy_box,
    windows_of,
)
from scheduling.serving.answers import NO_DEFECT
from scheduling.serving.crops import cut_crop, letterbox

CORNER = {"side": "left", "orientation": "vertical", "lie": "upright", "nets": "one net"}


def side_of(picture: np.ndarray) -> str:
    """Where the bright half is."""
    rows, columns = picture[..., 0].mean(1), picture[..., 0].mean(0)
    if abs(columns[0] - columns[-1]) > abs(rows[0] - rows[-1]):
        return "left" if columns[0] > columns[-1] else "right"
    return "above" if rows[0] > rows[-1] else "below"


def test_facts_turn_with_the_picture() -> None:
    picture = np.zeros((12, 12, 3), np.uint8)
    picture[:, :6] = 255
    seen = set()
    for seed in range(60):
        (turned, mask), facts = _turned((picture, picture[..., :1]), CORNER, np.random.default_rng(seed))
        assert np.array_equal(turned[..., :1], mask)
        assert facts["side"] == side_of(turned)
        upright = facts["side"] in ("left", "right")
        assert facts["orientation"] == ("vertical" if upright else "horizontal")
        assert facts["lie"] == ("upright" if upright else "flat")
        assert facts["nets"] == "one net"
        seen.add(facts["side"])
    assert seen == {"left", "right", "above", "below"}


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.5])
def test_box_noise_moves_and_scales_within_its_bounds(noise: float) -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        x0, y0, x1, y1 = noisy_box((100, 200, 140, 220), noise, rng)
        assert abs((x0 + x1) / 2 - 120) <= 40 * noise + 1e-9
        assert abs((y0 + y1) / 2 - 210) <= 20 * noise + 1e-9
        assert abs(np.log((x1 - x0) / 40)) <= noise + 1e-9
        assert abs(np.log((y1 - y0) / 20)) <= noise + 1e-9


def test_a_clean_square_of_a_window_is_that_of_the_frame() -> None:
    board = generate_board(21, style="grey")
    windows = [window for window in windows_of(board, np.random.default_rng(0)) if window.defect_class != NO_DEFECT]
    store = CropStore(windows)
    for index, defect in enumerate(board.defects):
        square = store.square(index, 80, np.random.default_rng(0), CLEAN)
        expected = letterbox(cut_crop(board.image, defect.box_xyxy), 80).astype(int)
        assert (square.defect_class, square.facts) == (defect.defect_class, defect.facts)
        assert np.abs(square.pixels.astype(int) - expected).mean() < 6  # the window is a JPEG


def test_cells_say_where_copper_is_designed_added_and_missing() -> None:
    copper = np.zeros((80, 80, 2), np.uint8)
    copper[:, :40, 0] = 255  # designed: the left half
    copper[40:, :, 1] = 255  # there: the lower half
    designed, added, missing = np.moveaxis(cells_of(copper, 80), -1, 0)
    side = 80 // CELL_PX
    left, low = np.arange(side)[None] < side // 2, np.arange(side)[:, None] >= side // 2
    assert np.array_equal(designed == 255, np.broadcast_to(left, designed.shape))
    assert np.array_equal(added == 255, low & ~left)
    assert np.array_equal(missing == 255, left & ~low)


def test_the_cells_of_a_defect_lie_under_its_mark() -> None:
    store = CropStore.generate(range(5, 7))
    for index, window in enumerate(store.windows):
        square = store.square(index, 80, np.random.default_rng(0), CLEAN)
        added, missing = (square.cells[..., plane].max() for plane in (1, 2))
        assert (added > 128) == (window.defect_class in ("short", "spur", "copper"))
        assert (missing > 128) == (window.defect_class in ("open", "mousebite", "pin-hole"))


def test_facts_of_a_crops_extent_are_those_of_the_disturbed_crop() -> None:
    window = next(w for w in CropStore.generate(range(3, 4)).windows if w.facts)
    low, high = window.box_xyxy[:2], window.box_xyxy[2:]
    design = copper_of(window)[..., 0]
    store, shifted = CropStore([window]), 0
    for seed in range(40):
        noise = Noise(near=0.5, far_share=0.0, light=False, turned=False)
        facts = store.square(0, 80, np.random.default_rng(seed), noise).facts
        shifted += facts["side"] != window.facts["side"] or facts["nets"] != window.facts["nets"]
        assert {name: facts[name] for name in ("shape", "lie", "feature")} == {
            name: window.facts[name] for name in ("shape", "lie", "feature")
        }
    assert shifted
    assert facts_in_view(cut_crop(design, (*low, *high))) == {
        name: window.facts[name] for name in ("nets", "side", "orientation")
    }


def test_windows_without_a_defect_have_their_share_and_no_facts() -> None:
    rng = np.random.default_rng(2)
    windows = [window for seed in range(40) for window in windows_of(generate_board(seed), rng)]
    good = [window for window in windows if window.defect_class == NO_DEFECT]
    assert abs(len(good) / len(windows) - GOOD_SHARE) < 0.06
    assert all(window.facts == {} for window in good)


def test_a_store_comes_back_from_its_file(tmp_path: Path) -> None:
    store = CropStore.generate(range(3, 5))
    store.save(tmp_path / "crops.npz")
    assert CropStore.load(tmp_path / "crops.npz").windows == store.windows


def test_the_same_stream_gives_the_same_disturbed_crop() -> None:
    store = CropStore.generate(range(3, 4))
    one, other, third = (store.square(0, 80, np.random.default_rng(seed), Noise()).pixels for seed in (1, 1, 2))
    assert np.array_equal(one, other)
    assert not np.array_equal(one, third)


def test_free_lands_are_good_design_and_no_defect() -> None:
    plain, landed = (generate_board(11, style="binary", defects=0, free_lands=lands) for lands in (0, 40))
    added = (landed.design_copper > 0) & (plain.design_copper == 0)
    assert np.count_nonzero(added) > 500
    assert landed.defects == ()
    assert np.array_equal(landed.copper, landed.design_copper)


def test_a_board_without_free_lands_is_what_it_was() -> None:
    assert np.array_equal(generate_board(11).image, generate_board(11, free_lands=0, wild_opens=0.0).image)


def test_wild_opens_still_cut_a_conductor() -> None:
    boards = [generate_board(seed, style="binary", defects=6, wild_opens=1.0) for seed in range(3)]
    opens = [defect.box_xyxy for board in boards for defect in board.defects if defect.defect_class == "open"]
    assert opens
    assert max(x2 - x1 + y2 - y1 for x1, y1, x2, y2 in opens) > 60
