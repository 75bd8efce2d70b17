"""The detector's training is repeatable and resumable, and what is exported is what was trained."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from finetune.boards import CLASSES, generate_board
from finetune.training import detector
from finetune.training.detector import CHECKPOINT, DetectorRecipe, train_detector
from finetune.training.detector_check import check_detector
from finetune.training.detector_export import export_onnx, load_network
from finetune.training.detector_network import build_network
from finetune.training.detector_optimiser import Muon, optimisers_of
from finetune.training.detector_state import Training
from finetune.training.detector_tiles import tiles_of_step
from scheduling.serving.contracts import DetectedRegion, Rgb
from scheduling.serving.detectors import SHIPPED_WEIGHTS, load_detector
from scheduling.serving.detectors.model_file import read_model_file

TINY = DetectorRecipe(seed=3, steps=4, tiles_a_step=4, tile_px=96, warmup_steps=1, cooldown_steps=2, checkpoint_every=2)
WEIGHTS = SHIPPED_WEIGHTS.with_name("detector.safetensors")


class PowerCut(Exception):
    pass


def test_a_run_that_was_cut_off_ends_where_an_unbroken_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = load_file(train_detector(TINY, tmp_path / "whole"))
    real = detector._one_step

    def cut_off_at_three(training: Training, recipe: DetectorRecipe) -> float:
        if training.step == 3:
            raise PowerCut
        return real(training, recipe)

    monkeypatch.setattr(detector, "_one_step", cut_off_at_three)
    with pytest.raises(PowerCut):
        train_detector(TINY, tmp_path / "cut")
    monkeypatch.setattr(detector, "_one_step", real)
    resumed = load_file(train_detector(TINY, tmp_path / "cut", resume=True))
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_a_run_leaves_recipe_checkpoint_and_no_half_files(tmp_path: Path) -> None:
    train_detector(TINY, tmp_path)
    assert json.loads((tmp_path / "recipe.json").read_text())["seed"] == 3
    assert (tmp_path / CHECKPOINT).exists()
    assert not list(tmp_path.glob("*.partial"))


def test_muon_steps_the_weights_a_batch_norm_follows_and_adam_the_rest() -> None:
    network = build_network(len(CLASSES))
    muon, adam = optimisers_of(network, muon_rate=0.02, adam_rate=1e-3, weight_decay=0.0)
    shared, own = ([p for group in o.param_groups for p in group["params"]] for o in (muon, adam))
    assert len(shared) + len(own) == len(list(network.parameters()))
    assert all(weight.ndim == 4 for weight in shared)
    head_ends = [m.weight for m in network.modules() if isinstance(m, torch.nn.Conv2d) and m.bias is not None]
    assert {id(weight) for weight in head_ends} <= {id(weight) for weight in own}


def test_a_step_of_muon_moves_all_directions_alike() -> None:
    weight = torch.nn.Parameter(torch.zeros(8, 8, 1, 1))
    weight.grad = torch.diag(torch.logspace(-1, 1, 8)).reshape(8, 8, 1, 1)
    Muon([weight], lr=0.1, weight_decay=0.0).step()
    steps = torch.linalg.svdvals(weight.detach().reshape(8, 8))
    assert steps.max() < 0.13
    assert steps.min() > 0.05
    assert torch.all(weight.detach().reshape(8, 8).diagonal() < 0)


def test_the_learning_rate_warms_up_holds_and_cools_down() -> None:
    recipe = DetectorRecipe(steps=100, warmup_steps=10, cooldown_steps=20)
    rates = [recipe.pace_at(step) for step in (0, 4, 9, 50, 80, 90, 99)]
    assert rates == pytest.approx([0.1, 0.5, 1.0, 1.0, 1.0, 0.5, 0.05])


def test_a_recipe_that_cannot_be_tiled_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 4"):
        DetectorRecipe(tiles_a_step=6)


@pytest.mark.parametrize("step", [0, 7])
def test_the_tiles_of_a_step_depend_on_nothing_but_seed_and_step(step: int) -> None:
    one, two = (tiles_of_step(seed=5, step=step, count=8, side_px=320) for _ in range(2))
    for a, b in zip(one, two, strict=True):
        assert np.array_equal(a.picture, b.picture)
        assert np.array_equal(a.targets, b.targets)
    other = tiles_of_step(seed=5, step=step + 1, count=8, side_px=320)
    assert not np.array_equal(one[0].picture, other[0].picture)


def test_targets_lie_inside_their_tile() -> None:
    targets = np.concatenate([t.targets for t in tiles_of_step(seed=1, step=0, count=16, side_px=320)])
    assert len(targets) > 16
    assert set(targets[:, 0]) <= set(range(len(CLASSES)))
    low, high = targets[:, 1:3] - targets[:, 3:] / 2, targets[:, 1:3] + targets[:, 3:] / 2
    assert low.min() >= -1e-5
    assert high.max() <= 1 + 1e-5


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped weights, exported anew."""
    return export_onnx(WEIGHTS, tmp_path_factory.mktemp("export") / "model.onnx", class_names=CLASSES)


def box_of(row: Any) -> Any:
    return tuple(map(float, row))


def predict(picture: Rgb) -> list[DetectedRegion]:
    """What ultralytics' own `predict` says."""
    network = load_network(WEIGHTS, len(CLASSES))  # first, because it keeps ultralytics from changing other libraries
    from ultralytics import YOLO  # type: ignore[attr-defined]

    model: Any = YOLO("yolo26n.yaml")
    model.model = network
    model.model.names = dict(enumerate(CLASSES))
    (result,) = model.predict(
        picture[..., ::-1], imgsz=640, conf=0.05, max_det=100, verbose=False, save=False, device="cpu", rect=False
    )
    return [
        DetectedRegion(box_of(box), float(score), int(kind), CLASSES[int(kind)])
        for box, score, kind in zip(result.boxes.xyxy, result.boxes.conf, result.boxes.cls, strict=True)
    ]


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("side_px", [640, 480])
def test_the_exported_detector_agrees_with_predict_box_by_box(runtime: str, side_px: int, exported: Path) -> None:
    served = load_detector(f"{runtime}:{exported}", threads=1)
    board = generate_board(8, style="colour", defects=10).image
    picture = np.ascontiguousarray(board[:side_px, :side_px])
    expected = predict(picture)
    (regions,) = served.detect([picture], min_score=0.05)
    assert len(expected) >= 4
    assert abs(len(regions) - len(expected)) <= 1  # a score may lie on either side of the minimum
    for one in expected:
        if one.score > 0.06:
            assert _closest(one, regions) < 0.5, one


def _closest(region: DetectedRegion, others: list[DetectedRegion]) -> float:
    """Largest corner distance in pixels to the closest region of the same class and nearly the same score."""
    return min(
        max(abs(a - b) for a, b in zip(region.box_xyxy, other.box_xyxy, strict=True))
        for other in others
        if other.class_index == region.class_index and abs(other.score - region.score) < 5e-3
    )


def test_the_export_says_who_it_is(exported: Path) -> None:
    served = load_detector(str(exported), threads=1)
    assert served.class_names == CLASSES
    assert served.name == "aivd-detector"
    assert len(served.version) == 12


@pytest.mark.parametrize("runtime", ["yolo-openvino", "yolo-openvino-bf16", "yolo-openvino-int8", "yolo-onnxruntime"])
def test_the_shipped_detector_finds_nearly_all_defects_of_unseen_boards(runtime: str) -> None:
    figures = check_detector(load_detector(runtime, threads=1), seed=77_000, boards=9)
    assert figures["detector_map50"] > 0.9


def test_a_picture_alone_and_in_a_batch_gets_the_same_answer() -> None:
    detector = load_detector("yolo-openvino", threads=1)
    boards = [generate_board(seed).image for seed in (77_001, 77_002)]
    together = detector.detect(boards)
    for board, regions in zip(boards, together, strict=True):
        (alone,) = detector.detect([board])
        assert len(alone) == len(regions) > 0
        for one, other in zip(alone, regions, strict=True):
            assert one.class_name == other.class_name
            assert one.box_xyxy == pytest.approx(other.box_xyxy, abs=0.1)
            assert one.score == pytest.approx(other.score, abs=1e-3)


def test_the_shipped_file_is_an_export_of_the_shipped_weights(exported: Path) -> None:
    assert read_model_file(exported).version == read_model_file(SHIPPED_WEIGHTS).version
