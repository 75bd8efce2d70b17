"""Training crops: facts turn with the picture, noise stays in its bounds, a store comes back as it was."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from finetune.boards import generate_board
from finetune.training.describer_crops import CLEAN, GOOD_SHARE, CropStore, Noise, _turned, noisy_box, windows_of
from scheduling.serving.answers import NO_DEFECT
from scheduling.serving.crops import cut_crop

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
        turned, facts = _turned(picture, CORNER, np.random.default_rng(seed))
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


def test_a_clean_crop_of_a_window_is_the_crop_of_the_frame() -> None:
    board = generate_board(21, style="grey")
    windows = [window for window in windows_of(board, np.random.default_rng(0)) if window.defect_class != NO_DEFECT]
    store = CropStore(windows)
    for index, defect in enumerate(board.defects):
        crop, facts = store.crop(index, np.random.default_rng(0), CLEAN)
        expected = cut_crop(board.image, defect.box_xyxy).astype(int)
        assert facts == defect.facts
        assert crop.shape == expected.shape
        assert np.abs(crop.astype(int) - expected).mean() < 6  # the window is a JPEG


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
    one, other, third = (store.crop(0, np.random.default_rng(seed), Noise())[0] for seed in (1, 1, 2))
    assert np.array_equal(one, other)
    assert one.shape != third.shape or not np.array_equal(one, third)
    assert replace(CLEAN, box=0.1) != CLEAN
