"""A large frame is looked at in tiles: nothing small is lost, nothing found twice, a usual frame is as ever."""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.boards.generator import generate_board
from scheduling.serving.contracts import TILE_PX, BadFrame, BoxXyxy, DetectedRegion, Detector, Rgb, tile_count
from scheduling.serving.detectors import load_detector
from scheduling.serving.tiling import CONTEXT_PX, Scale, detect_in_tiles, merged, tiles_of

SHIPPED = Scale(TILE_PX)
LENGTHS = st.integers(1, 20_000)


@given(width=LENGTHS, height=LENGTHS)
def test_the_tiles_cover_the_frame_and_are_as_many_as_was_counted(width: int, height: int) -> None:
    tiles = tiles_of((width, height), SHIPPED)
    assert len(tiles) == tile_count((width, height))
    for length, spans in ((width, {(t.x0, t.x1) for t in tiles}), (height, {(t.y0, t.y1) for t in tiles})):
        ordered = sorted(spans)
        assert (ordered[0][0], ordered[-1][1]) == (0, length)
        assert all(start <= end - 100 for (_, end), (start, _) in pairwise(ordered))
        assert all(end - start == min(length, TILE_PX) or len(tiles) == 1 for start, end in ordered)


@given(x=st.integers(0, 5990), y=st.integers(0, 5990), size=st.integers(1, 96))
def test_whatever_is_small_lies_whole_in_one_of_the_tiles(x: int, y: int, size: int) -> None:
    box = (float(x), float(y), float(min(x + size, 6000)), float(min(y + size, 6000)))
    assert any(tile.shows(box, (6000, 6000)) for tile in tiles_of((6000, 6000), SHIPPED))


@pytest.mark.parametrize("size_wh", [(640, 640), (64, 48), (800, 600), (800, 800)])
def test_a_frame_of_usual_size_is_one_picture(size_wh: tuple[int, int]) -> None:
    assert len(tiles_of(size_wh, SHIPPED)) == 1


def test_a_detector_that_does_not_know_its_scale_is_shown_the_whole_frame_too() -> None:
    *parts, whole = tiles_of((2000, 1000), Scale(640, overview=True))
    assert len(parts) == 8
    assert whole.of(np.zeros((1000, 2000, 3), np.uint8)).shape == (1000, 2000, 3)


class Marks:
    """Finds white rectangles, as far as a tile shows them: what a perfect detector would say."""

    name = version = runtime = "marks"
    digest = "0"
    class_names: tuple[str, ...] = ("mark",)
    scale = SHIPPED

    def __init__(self) -> None:
        self.goldens: list[Rgb | None] = []

    def detect(
        self, images: Sequence[Rgb], *, min_score: float = 0.05, templates: Sequence[Rgb | None] | None = None
    ) -> list[list[DetectedRegion]]:
        self.goldens += templates or []
        return [_marks(image) for image in images]


def _marks(image: Rgb) -> list[DetectedRegion]:
    rows, columns = np.nonzero(image[..., 0])
    if not len(rows):
        return []
    box = (float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1))
    return [DetectedRegion(box, 0.9, 0, "mark")]


def found(image: Rgb, detector: Detector, template: Rgb | None = None, min_score: float = 0.5) -> list[DetectedRegion]:
    *_, regions = detect_in_tiles(detector, image, template, min_score=min_score)
    assert regions is not None
    return regions


@given(
    x=st.integers(0, 1650), y=st.integers(0, 1650), width=st.integers(4, 1600), height=st.integers(4, 40),
    upright=st.booleans(),
)  # fmt: skip
def test_one_mark_is_one_region_with_its_own_box_wherever_the_seams_are(
    x: int, y: int, width: int, height: int, upright: bool
) -> None:
    if upright:
        width, height = height, width
    image = np.zeros((1664, 1664, 3), np.uint8)
    image[y : y + height, x : x + width] = 255
    (region,) = found(image, Marks())
    assert region.box_xyxy == (x, y, min(x + width, 1664), min(y + height, 1664))


def test_two_marks_that_one_tile_shows_stay_two() -> None:
    tiles = tiles_of((1664, 640), SHIPPED)
    mark = DetectedRegion((100.0, 100.0, 140.0, 140.0), 0.9, 0, "open")
    beside = DetectedRegion((110.0, 100.0, 150.0, 140.0), 0.8, 0, "open")
    assert merged(tiles, [[mark, beside], [], []], (1664, 640)) == [mark, beside]


def test_what_two_classes_are_said_of_stays_two() -> None:
    tiles = tiles_of((1664, 640), SHIPPED)
    left = DetectedRegion((550.0, 100.0, 590.0, 140.0), 0.9, 0, "open")
    right = DetectedRegion((38.0, 100.0, 78.0, 140.0), 0.8, 1, "short")
    assert {region.class_name for region in merged(tiles, [[left], [right], []], (1664, 640))} == {"open", "short"}


@pytest.mark.parametrize("box", [(700.0, 5.0, 640.0, 9.0), (float("nan"), 5.0, 9.0, 9.0), (640.0, 5.0, 640.0, 9.0)])
def test_what_lies_nowhere_in_its_tile_is_passed_on(box: BoxXyxy) -> None:
    lost = DetectedRegion(box, 0.9, 0, "open")
    assert len(merged(tiles_of((1664, 640), SHIPPED), [[lost], [], []], (1664, 640))) == 1


def test_each_tile_gets_its_part_of_the_template() -> None:
    image = np.zeros((640, 1664, 3), np.uint8)
    template = np.arange(1664, dtype=np.uint16).astype(np.uint8)[None, :, None].repeat(640, 0).repeat(3, 2)
    detector = Marks()
    found(image, detector, template)
    assert [golden[0, 0, 0] for golden in detector.goldens if golden is not None] == [0, 512 % 256, 1024 % 256]


def test_a_template_of_another_size_is_a_bad_frame() -> None:
    with pytest.raises(BadFrame, match="must be the same size"):
        found(np.zeros((640, 1664, 3), np.uint8), Marks(), np.zeros((640, 640, 3), np.uint8))


# --- with the shipped detector


@cache
def shipped() -> Detector:
    return load_detector("yolo-openvino", threads=2)


def lies_on(region: DetectedRegion, box: BoxXyxy) -> bool:
    x, y = (region.box_xyxy[0] + region.box_xyxy[2]) / 2, (region.box_xyxy[1] + region.box_xyxy[3]) / 2
    return box[0] - 4 <= x <= box[2] + 4 and box[1] - 4 <= y <= box[3] + 4


def test_one_small_defect_on_a_large_board_is_found_once_and_nothing_else() -> None:
    board = generate_board(5, defects=1, size_px=6000, facts=False)
    (defect,) = board.defects
    assert max(defect.box_xyxy[2] - defect.box_xyxy[0], defect.box_xyxy[3] - defect.box_xyxy[1]) < 100
    (region,) = found(board.image, shipped())
    assert lies_on(region, defect.box_xyxy)
    assert region.class_name == defect.defect_class


@pytest.mark.parametrize("seed", range(900, 904))
def test_many_defects_on_a_larger_board_are_found_with_its_template(seed: int) -> None:
    board = generate_board(seed, defects=12, size_px=1800, facts=False)
    regions = found(board.image, shipped(), board.template)
    missed = [one for one in board.defects if not any(lies_on(region, one.box_xyxy) for region in regions)]
    assert len(missed) <= 1
    assert len(regions) <= len(board.defects) + 2


def test_a_frame_of_640_pixels_gives_what_the_detector_says() -> None:
    board = generate_board(7, defects=6, facts=False)
    assert found(board.image, shipped()) == shipped().detect([board.image], min_score=0.5)[0]
    assert CONTEXT_PX < 64
