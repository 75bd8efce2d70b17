"""What the network's rows become: regions of the frame, best first, the same with every runtime."""

from pathlib import Path

import numpy as np
import pytest

from scheduling.serving.contracts import TimedDetector
from scheduling.serving.detectors import load_detector
from scheduling.serving.preprocess import PADDING, Fit, fit, is_placed, to_regions, to_tensor
from tests.scheduling.serving.detectors.onnx_files import CLASSES, SIDE_PX, graph_model, write

ROWS = np.array(
    [
        (8, 8, 24, 24, 0.4, 1),
        (32, 16, 48, 40, 0.9, 0),
        (0, 0, 9, 9, 0.02, 2),
        (-10, 20, 10, 30, 0.5, 2),
    ],
    np.float32,
)


@pytest.fixture(params=["openvino", "onnxruntime"])
def runtime(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def grey(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 127, np.uint8)


def test_regions_come_best_first_above_the_minimum_score(runtime: str, tmp_path: Path) -> None:
    path = write(tmp_path / "model.onnx", graph_model(rows=ROWS))
    detector = load_detector(f"{runtime}:{path}", threads=1)
    (regions,) = detector.detect([grey(SIDE_PX, SIDE_PX)], min_score=0.05)
    assert [region.class_name for region in regions] == ["short" if i == 1 else CLASSES[i] for i in (0, 2, 1)]
    assert [round(region.score, 2) for region in regions] == [0.9, 0.5, 0.4]
    assert regions[1].box_xyxy == (0, 20, 10, 30)


def test_boxes_are_in_pixels_of_an_oblong_frame(runtime: str, tmp_path: Path) -> None:
    path = write(tmp_path / "model.onnx", graph_model(rows=ROWS[1:2]))
    detector = load_detector(f"{runtime}:{path}", threads=1)
    (regions,) = detector.detect([grey(128, 256)])  # a quarter of its size, with 16 px of padding above
    assert regions[0].box_xyxy == pytest.approx((128, 0, 192, 96))


@pytest.mark.parametrize("batch", ["batch", 1, 4])
def test_any_number_of_frames_fits_any_batch(runtime: str, batch: int | str, tmp_path: Path) -> None:
    path = write(tmp_path / "model.onnx", graph_model(rows=ROWS, batch=batch))
    detector = load_detector(f"{runtime}:{path}", threads=1)
    answers = detector.detect([grey(64, 64), grey(32, 64), grey(640, 640), grey(64, 64), grey(64, 64)])
    assert len(answers) == 5
    assert answers[0] == answers[3] == answers[4]
    assert detector.detect([]) == []


def test_a_detector_tells_its_stages(runtime: str, tmp_path: Path) -> None:
    detector = load_detector(f"{runtime}:{write(tmp_path / 'm.onnx', graph_model(rows=ROWS))}", threads=1)
    detector.detect([grey(640, 640)])
    assert isinstance(detector, TimedDetector)
    assert detector.last_timings.preprocess_ms > 0
    assert detector.last_timings.infer_ms > 0
    assert runtime in detector.runtime
    assert "1 threads" in detector.runtime


@pytest.mark.parametrize(
    ("size_hw", "scale", "offset_xy"),
    [
        ((640, 640), 1.0, (0, 0)),
        ((320, 640), 1.0, (0, 160)),
        ((1280, 640), 0.5, (160, 0)),
        ((300, 200), 640 / 300, (106, 0)),
        ((641, 640), 640 / 641, (0, 0)),
        ((1, 1), 640.0, (0, 0)),
    ],
)
def test_fit_keeps_the_aspect_and_pads_with_grey(
    size_hw: tuple[int, int], scale: float, offset_xy: tuple[int, int]
) -> None:
    picture, placed = fit(np.zeros((*size_hw, 3), np.uint8), 640)
    assert picture.shape == (640, 640, 3)
    assert placed.scale == pytest.approx(scale)
    assert placed.offset_xy == offset_xy
    assert placed.size_wh == (size_hw[1], size_hw[0])
    left, top = offset_xy
    if top:
        assert (picture[:top] == PADDING).all()
    if left:
        assert (picture[:, :left] == PADDING).all()


def test_boxes_go_there_and_back() -> None:
    _, placed = fit(np.zeros((480, 1000, 3), np.uint8), 640)
    box = np.array([[100.0, 50.0, 300.0, 400.0]], np.float32)
    there = box * placed.scale + np.tile(placed.offset_xy, 2)
    assert placed.to_frame(there.astype(np.float32)) == pytest.approx(box, abs=0.01)


def test_tensor_is_rgb_planes_in_0_to_1() -> None:
    picture = np.zeros((4, 6, 3), np.uint8)
    picture[1, 2] = (255, 0, 51)
    tensor = to_tensor([picture, picture])
    assert tensor.shape == (2, 3, 4, 6)
    assert tensor.dtype == np.float32
    assert tensor[1, :, 1, 2] == pytest.approx([1.0, 0.0, 0.2])


@pytest.mark.parametrize(
    "row",
    [
        (0, 0, 9, 9, 0.9, 3),  # no such class
        (0, 0, 9, 9, 0.9, -1),
        (0, 0, 9, 9, 0.9, float("nan")),
        (0, 0, 9, 9, float("nan"), 0),
        (0, float("nan"), 9, 9, 0.9, 0),
        (float("-inf"), float("nan"), 9, 9, 0.9, 0),
        (700, 10, 720, 30, 0.9, 0),  # beyond the frame
        (-50, 10, -20, 30, 0.9, 0),
        (10, 650, 20, 680, 0.9, 0),
        (10, 10, 10, 30, 0.9, 0),  # nothing in it
        (30, 10, 10, 30, 0.9, 0),  # inside out
    ],
)
def test_a_row_that_lies_nowhere_is_passed_on_as_such(row: tuple[float, ...]) -> None:
    placed = Fit(1.0, (0, 0), (640, 640))
    (region,) = to_regions(np.array([row], np.float32), placed, min_score=0.05, class_names=CLASSES)
    assert not is_placed(region, (640, 640))


@pytest.mark.parametrize("score", [0.0, 0.04])
def test_rows_that_hardly_count_are_dropped(score: float) -> None:
    rows = np.array([(0, 0, 9, 9, score, 0), (0, 0, 0, 0, 0, 0)], np.float32)
    assert to_regions(rows, Fit(1.0, (0, 0), (640, 640)), min_score=0.05, class_names=CLASSES) == []
