"""The describer's training run: stages, losses that fall, a resumed run that ends where an uninterrupted one does."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from finetune.boards import CLASSES, STYLES, generate_board
from finetune.training.describer import Recipe, Run, Stage, run_in
from finetune.training.describer_check import (
    MATCHING_IOU,
    Case,
    baseline,
    calibration_error,
    check_describer,
    detected_cases,
    score,
)
from finetune.training.describer_crops import LABELS
from finetune.training.describer_texts import answer_for
from scheduling.serving.answers import NO_DEFECT
from scheduling.serving.contracts import AnswerEvent, BoxXyxy, DetectedRegion
from scheduling.serving.crops import cut_crop
from scheduling.serving.describers import load_describer

TINY = Recipe(
    boards=2,
    validation_boards=1,
    vision=Stage(steps=2, batch=4, rate=1e-3, last_share=0.3),
    words=Stage(steps=2, batch=4, rate=1e-3, last_share=0.3),
    joint=Stage(steps=2, batch=4, rate=1e-3, last_share=0.3),
    warmup_steps=1,
    checkpoint_steps=3,
)
FACTS = {
    "nets": "one net",
    "side": "left",
    "relative_size": "about the copper width",
    "orientation": "vertical",
    "feature": "via",
    "shape": "thin",
    "lie": "flat",
}
quiet = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


def test_a_run_goes_through_its_stages_in_order() -> None:
    names = [TINY.at(step)[0] for step in range(TINY.steps)]
    assert names == ["vision", "vision", "words", "words", "joint", "joint"]
    with pytest.raises(ValueError, match="no step 6"):
        TINY.at(6)


def test_a_stages_rate_warms_up_and_falls_to_its_last_share() -> None:
    stage = Stage(steps=100, batch=1, rate=1.0, last_share=0.1)
    rates = [stage.rate_at(step, 10) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(0.1, abs=0.01)


def test_a_recipe_comes_back_from_its_file(tmp_path: Path) -> None:
    TINY.write(tmp_path / "recipe.json")
    assert Recipe.read(tmp_path / "recipe.json") == TINY


@quiet
def test_a_recipe_says_how_much_of_a_batch_is_good_copper(tmp_path: Path) -> None:
    run = Run(tmp_path, replace(TINY, good_share=1.0, detector=""))
    run.prepare(lambda **event: None)
    assert len(run.good)
    assert len(run.faulty)
    assert set(run.batch_of(0).labels["class"].tolist()) == {LABELS.index(NO_DEFECT)}


@quiet
def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(tmp_path: Path) -> None:
    run_in(tmp_path / "whole", TINY, resume=False)

    stopped = Run(tmp_path / "halves", TINY)
    (tmp_path / "halves").mkdir()
    TINY.write(tmp_path / "halves" / "recipe.json")
    stopped.prepare(lambda **event: None)
    for batch in stopped.batches():
        stopped.learn(batch)
        stopped.step += 1
        if stopped.step == 3:
            stopped.save()
            break
    run_in(tmp_path / "halves", replace(TINY, seed=99), resume=True)  # the folder's own recipe counts

    whole, halves = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("whole", "halves"))
    assert whole.keys() == halves.keys()
    for name, value in whole.items():
        assert np.allclose(value, halves[name], atol=1e-3), name

    describer = load_describer(str(tmp_path / "whole" / "model"), threads=1)
    figures = check_describer(describer, Finder(shift=0.05), seed=5, boards=1)
    assert figures["json_valid"] == 1.0


@quiet
def test_the_losses_fall_on_crops_that_are_seen_again(tmp_path: Path) -> None:
    run = Run(tmp_path, TINY)
    run.prepare(lambda **event: None)
    batch = next(run.batches())
    for loss in (run.learner.vision_loss, run.learner.words_loss, lambda b: run.learner.joint_loss(b, 0.3)):
        values = []
        for _ in range(6):
            value = loss(batch)
            values.append(float(value.detach()))
            run.learner.step(value, rate=2e-3, average_decay=0.9)
        assert values[-1] < values[0]


@quiet
def test_learning_words_leaves_the_vision_tower_alone(tmp_path: Path) -> None:
    run = Run(tmp_path, TINY)
    run.prepare(lambda **event: None)
    before = {name: value.detach().clone() for name, value in run.learner.named.items() if "visual" in name}
    run.learner.step(run.learner.words_loss(next(run.batches())), rate=1e-2, average_decay=0.9)
    assert all(np.array_equal(value, run.learner.named[name].detach()) for name, value in before.items())


# --- the check's figures


class Finder:
    """A detector that finds each defect of the board that it is given, its box moved by a share of its size."""

    name = version = digest = runtime = "finder"
    class_names: tuple[str, ...] = CLASSES

    def __init__(self, *, shift: float = 0.0, also: tuple[BoxXyxy, ...] = ()) -> None:
        self.shift, self.also = shift, also

    def detect(self, images: Any, *, min_score: float = 0.0, templates: Any = None) -> list[list[DetectedRegion]]:
        (image,) = images
        boards = (generate_board(5 + n, style=style) for n, style in enumerate(STYLES))
        board = next(board for board in boards if np.array_equal(board.image, image))
        boxes = [defect.box_xyxy for defect in board.defects]
        moved = [(x1 + self.shift * (x2 - x1), y1, x2 + self.shift * (x2 - x1), y2) for x1, y1, x2, y2 in boxes]
        found = [DetectedRegion(box, 0.9, 0, "open") for box in moved]
        return [[*found, *(DetectedRegion(box, 0.5, 0, "open") for box in self.also)]]


def test_each_defect_has_the_case_of_its_box_and_a_box_on_good_copper_is_no_defect() -> None:
    board = generate_board(5, style=STYLES[0])
    (x1, y1, x2, y2) = board.defects[0].box_xyxy
    far = (600.0, 600.0, 630.0, 630.0) if x1 < 300 else (5.0, 600.0, 35.0, 630.0)
    again = (x1 + 1, y1, x2 + 1, y2)
    cases = detected_cases(board, Finder(shift=0.1, also=(far, again)))
    assert [case.defect_class for case in cases] == [*(d.defect_class for d in board.defects), NO_DEFECT]
    assert [case.facts for case in cases] == [*(d.facts for d in board.defects), {}]
    expected = cut_crop(board.image, far).astype(int)
    assert np.abs(cases[-1].crop.astype(int)[..., ::1] - expected).mean() < 12


def test_a_box_that_only_grazes_a_defect_makes_no_case() -> None:
    board = generate_board(5, style=STYLES[0])
    assert detected_cases(board, Finder(shift=1 - MATCHING_IOU)) == []


def answer(defect_class: str, appearance: str, confidence: float = 1.0) -> AnswerEvent:
    content = {"defect_class": defect_class, "appearance": appearance, "confidence": confidence}
    return AnswerEvent("r", content, "", True, (), 10)


def test_perfect_answers_score_one_and_wrong_ones_nothing() -> None:
    cases = [Case(np.zeros((2, 2, 3), np.uint8), "open", FACTS), Case(np.zeros((2, 2, 3), np.uint8), "no defect", {})]
    right = answer("open", answer_for("open", FACTS)["appearance"])
    figures = score(cases, [right, answer("no defect", "")])
    assert (figures["describer_class_accuracy"], figures["good_crop_accuracy"]) == (1.0, 1.0)
    assert set(figures["fact_accuracy"].values()) == {1.0}
    assert figures["calibration_error"] == 0.0
    wrong = score(cases, [answer("short", ""), answer("open", "")])
    assert (wrong["describer_class_accuracy"], wrong["good_crop_accuracy"]) == (0.0, 0.0)
    assert set(wrong["fact_accuracy"].values()) == {0.0}
    assert wrong["calibration_error"] == 1.0


def test_the_baseline_is_the_most_frequent_value_of_each_class() -> None:
    rows = [("open", FACTS), ("open", FACTS), ("open", FACTS | {"side": "right"}), ("short", FACTS | {"side": "above"})]
    found = baseline(rows)
    assert found["side"] == 0.75
    assert found["nets"] == 1.0


@pytest.mark.parametrize(
    ("confidences", "right", "error"),
    [([1.0, 1.0], [True, True], 0.0), ([1.0, 1.0], [True, False], 0.5), ([0.55, 0.51], [True, False], 0.03)],
)
def test_calibration_error(confidences: list[float], right: list[bool], error: float) -> None:
    assert calibration_error(confidences, right) == pytest.approx(error, abs=1e-6)
