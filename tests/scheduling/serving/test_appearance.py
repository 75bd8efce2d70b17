"""How a frame looks: the same picture gives the same numbers, and pictures of nothing are far from boards."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.patterns import camera_patterns
from finetune.boards import generate_board
from finetune.training.trained_on import trained_on, write
from scheduling.serving import detectors
from scheduling.serving.appearance import (
    STATISTICS,
    Anything,
    BadReference,
    TrainedOn,
    around,
    measure,
    read_trained_on,
    station_reference,
)
from scheduling.serving.backend.options import NodeOptions, OptionError, open_trained_on
from scheduling.serving.contracts import Rgb
from tests.node_fakes import ConstantDetector

SHIPPED = detectors.trained_on("yolo-openvino-bf16")


def solid(level: int) -> Rgb:
    return np.full((480, 640, 3), level, np.uint8)


def steel(seed: int) -> Rgb:
    """Something like a rolled strip: soft grain along the rows, low contrast."""
    rng = np.random.default_rng(seed)
    grain = cv2.GaussianBlur(rng.normal(0, 60, (200, 200)).astype(np.float32), (0, 0), sigmaX=2.5, sigmaY=0.8)
    grey = np.clip(120 + grain + rng.normal(0, 6, grain.shape), 0, 255).astype(np.uint8)
    return np.dstack([grey, grey, grey])


def like(picture: Rgb) -> bool:
    look = SHIPPED.looked_at(picture)
    assert look.distance is not None
    assert look.limit is not None
    return look.distance <= look.limit


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 255), st.booleans(), st.integers(0, 99))
def test_any_picture_can_be_measured(width: int, height: int, level: int, noisy: bool, seed: int) -> None:
    picture = np.full((height, width, 3), level, np.uint8)
    if noisy:
        picture = np.random.default_rng(seed).integers(0, 256, picture.shape).astype(np.uint8)
    measured = measure(picture)
    assert tuple(measured) == STATISTICS
    assert all(np.isfinite(value) and 0 <= value <= 1.0001 for value in measured.values())
    # Not to the last digit: a slope that lies on a bound falls on this side or that by how the memory is laid out.
    assert measure(picture.copy()) == pytest.approx(measured, abs=0.05)


def test_most_boards_that_nobody_trained_on_are_like_the_training() -> None:
    seeds = range(91_000, 91_025)
    assert sum(like(generate_board(seed, facts=False).image) for seed in seeds) >= 22


@pytest.mark.parametrize("seed", range(20))
def test_steel_is_unlike_boards(seed: int) -> None:
    assert not like(steel(seed))


def test_spokes_and_even_bars_are_far_from_every_board() -> None:
    """A Siemens star, and a chart of bars, look like nothing a board does, wherever the limit of a station lies."""
    drawn = camera_patterns(17, 70)
    boards = [measure(generate_board(93_000 + seed, facts=False).image) for seed in range(20)]
    assert max(one["polar"] for one in boards) < 0.05
    assert min(measure(picture)["polar"] for name, picture in drawn if name == "star") == 1.0
    bars = [measure(picture)["gratings"] for name, picture in drawn if name == "chart"]
    assert np.mean([one["gratings"] for one in boards]) < 0.1 < 0.5 < np.mean(bars)


@pytest.mark.parametrize(
    ("name", "picture"), [(f"{n}-{name}", image) for n, (name, image) in enumerate(camera_patterns(3, 42))]
)
def test_camera_patterns_are_unlike_boards(name: str, picture: Rgb) -> None:
    assert not like(picture)


@pytest.mark.parametrize("level", [0, 1, 114, 128, 254, 255])
def test_a_frame_of_one_colour_is_unlike_boards(level: int) -> None:
    assert not like(solid(level))


def test_a_large_board_is_measured_in_parts_of_the_size_that_was_trained_on() -> None:
    boards = [generate_board(seed, size_px=1600, facts=False).image for seed in range(91_000, 91_006)]
    assert sum(map(like, boards)) >= 4


def measured(pictures: list[Rgb]) -> list[dict[str, float]]:
    return [measure(picture) for picture in pictures]


BOARDS = measured([generate_board(92_000 + n, style="binary", facts=False).image for n in range(30)])
STRIPS = measured([steel(n) for n in range(30)])


def test_a_stations_first_frames_vouch_for_their_like_only() -> None:
    reference = around(BOARDS)
    assert all(reference.distance(row) > reference.limit for row in STRIPS)
    more = measured([generate_board(93_000 + n, style="binary", facts=False).image for n in range(12)])
    assert sum(reference.distance(row) <= reference.limit for row in more) >= 10


@pytest.mark.parametrize("strips", [0, 1, 5, 10])
def test_steel_among_the_first_frames_stays_out(strips: int) -> None:
    mixed = BOARDS[: 30 - strips] + STRIPS[:strips]
    reference = station_reference(mixed, [True] * (30 - strips) + [False] * strips)
    assert reference is not None
    assert all(reference.distance(row) > reference.limit for row in STRIPS)


def test_a_baseline_of_steel_does_not_establish_itself() -> None:
    assert station_reference(STRIPS, [False] * 30) is None
    assert station_reference(BOARDS[:12] + STRIPS[:18], [True] * 12 + [False] * 18) is None


def test_other_statistics_cannot_be_compared() -> None:
    reference = around(BOARDS)
    assert reference.distance({"contrast": 0.5}) is None
    assert reference.distance({**BOARDS[0], "contrast": float("nan")}) is None
    with pytest.raises(BadReference):
        around([{"contrast": 0.5}] * 5)


def test_the_reference_is_made_again_from_its_seed(tmp_path: Path) -> None:
    again, path = trained_on(seed=7, boards=12), tmp_path / "trained-on.json"
    assert again == trained_on(seed=7, boards=12)
    write(path, again)
    assert read_trained_on(path).reference.as_json()["frames"] == again["frames"]  # type: ignore[union-attr]
    assert SHIPPED.products == ("bare-pcb",)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda fields: fields.pop("products"),
        lambda fields: fields.update(products=[]),
        lambda fields: fields.update(products=["x" * 41]),
        lambda fields: fields.update(limit=0),
        lambda fields: fields.update(limit="wide"),
        lambda fields: fields["frames"].pop(0) and fields["frames"].__delitem__(slice(2, None)),
        lambda fields: fields["frames"][0].pop(),
        lambda fields: fields["scales"].__setitem__(0, 0),
        lambda fields: fields["frames"][1].__setitem__(0, float("nan")),
    ],
)
def test_a_file_that_cannot_be_compared_with_is_refused(
    tmp_path: Path, spoil: Callable[[dict[str, object]], object]
) -> None:
    fields = json.loads(detectors.SHIPPED_TRAINED_ON.read_text())
    spoil(fields)
    path = tmp_path / "trained-on.json"
    path.write_text(json.dumps(fields))
    with pytest.raises(BadReference):
        read_trained_on(path)


def test_a_model_without_a_word_was_trained_for_nothing_known(tmp_path: Path) -> None:
    nothing = detectors.trained_on(str(tmp_path / "mine.onnx"))
    assert nothing.products == ()
    assert nothing.looked_at(solid(9)).distance is None


def test_a_file_beside_a_model_says_what_it_was_trained_for(tmp_path: Path) -> None:
    (tmp_path / "mine.trained-on.json").write_text('{"products": ["gear-wheel"]}')
    assert detectors.trained_on(str(tmp_path / "mine.onnx")).products == ("gear-wheel",)


def test_a_setting_says_what_a_model_was_trained_for() -> None:
    options = NodeOptions.from_environment({"AIVD_DETECTOR_PRODUCT": "gear-wheel, cog"})
    assert open_trained_on(options, ConstantDetector()).products == ("gear-wheel", "cog")
    with pytest.raises(OptionError, match="AIVD_DETECTOR_PRODUCT"):
        NodeOptions.from_environment({"AIVD_DETECTOR_PRODUCT": "x" * 41})


def test_a_test_model_may_take_anything() -> None:
    assert TrainedOn(("bare-pcb",), Anything()).looked_at(solid(0)).distance == 0.0
