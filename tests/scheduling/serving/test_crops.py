"""Context crops: the box grown, clipped, cut and scaled."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from scheduling.serving.crops import context_box, cut_crop, encode_crop, letterbox


@pytest.mark.parametrize(
    ("box", "k", "expected"),
    [
        ((40, 40, 60, 60), 1.0, (40, 40, 60, 60)),
        ((40, 40, 60, 60), 1.5, (35, 35, 65, 65)),
        ((40, 40, 60, 50), 2.0, (30, 35, 70, 55)),
        ((40.4, 40.4, 59.6, 59.6), 1.0, (40, 40, 60, 60)),  # outwards to whole pixels
        ((0, 0, 20, 20), 2.0, (0, 0, 30, 30)),  # clipped at the frame's corner
        ((90, 70, 100, 80), 2.0, (85, 65, 100, 80)),
        ((50, 50, 50, 50), 1.5, (50, 50, 51, 51)),  # never empty
        ((-30, -30, -10, -10), 1.5, (0, 0, 1, 1)),  # outside: the nearest pixel
        ((200, 200, 220, 220), 1.5, (99, 79, 100, 80)),
    ],
)
def test_the_context_box_is_grown_about_its_centre_and_stays_in_the_frame(
    box: tuple[float, float, float, float], k: float, expected: tuple[int, int, int, int]
) -> None:
    assert context_box(box, k, size_wh=(100, 80)) == expected


@given(
    box=st.tuples(*[st.floats(-500, 500) for _ in range(4)]).map(
        lambda v: (min(v[0], v[2]), min(v[1], v[3]), max(v[0], v[2]), max(v[1], v[3]))
    ),
    k=st.floats(1, 4),
    size_wh=st.tuples(st.integers(1, 300), st.integers(1, 300)),
)
def test_any_box_gives_a_crop_of_at_least_one_pixel_inside_the_frame(
    box: tuple[float, float, float, float], k: float, size_wh: tuple[int, int]
) -> None:
    left, top, right, bottom = context_box(box, k, size_wh=size_wh)
    assert 0 <= left < right <= size_wh[0]
    assert 0 <= top < bottom <= size_wh[1]


@pytest.mark.parametrize(
    ("box", "k", "words"),
    [
        ((0, 0, float("nan"), 5), 1.5, "finite"),
        ((5, 0, 0, 5), 1.5, "left, top, right, bottom"),
        ((0, 0, 5, 5), 0.5, "at least 1"),
        ((0, 0, 5, 5), float("inf"), "at least 1"),
    ],
)
def test_a_box_that_cannot_be_cut_is_refused_with_a_sentence(
    box: tuple[float, float, float, float], k: float, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        context_box(box, k, size_wh=(10, 10))


def test_a_crop_is_a_copy_of_the_frames_pixels() -> None:
    frame = np.arange(10 * 12 * 3, dtype=np.uint8).reshape(10, 12, 3)
    crop = cut_crop(frame, (4, 4, 6, 6), k=2.0)
    assert np.array_equal(crop, frame[3:7, 3:7])
    crop[:] = 0
    assert frame[4, 4].any()


def test_encoding_keeps_size_and_follows_the_quality() -> None:
    crop = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    good, poor = encode_crop(crop, 95), encode_crop(crop, 30)
    assert Image.open(io.BytesIO(good)).size == (60, 40)
    assert len(poor) < len(good) / 2
    with pytest.raises(ValueError, match=r"1\.\.95"):
        encode_crop(crop, 100)


@pytest.mark.parametrize(("height", "width"), [(40, 80), (80, 40), (7, 7), (1, 300)])
def test_a_letterboxed_crop_keeps_its_aspect_between_grey_bars(height: int, width: int) -> None:
    square = letterbox(np.zeros((height, width, 3), np.uint8), 80)
    inside = square[..., 0] < 64
    rows, columns = int(inside.any(1).sum()), int(inside.any(0).sum())
    assert square.shape == (80, 80, 3)
    assert max(rows, columns) == 80
    assert min(rows, columns) == max(1, round(80 * min(height, width) / max(height, width)))
