"""The report: its figures by hand, its trials alike for both arms, and the files that it leaves."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from finetune.training.faults import Cancelled
from finetune.training.manifest import read_manifest
from finetune.training.report import figures, texts
from finetune.training.report.figures import Answered
from finetune.training.report.report import BASE, VERSION, Arm, write_report
from finetune.training.report.trials import Trial, trials_of
from scheduling.serving.answers import NO_DEFECT
from scheduling.serving.contracts import AnswerEvent
from tests.finetune.training.lora.sealed import CLASSES, write_dataset


def row(truth: str, said: str, confidence: float = 0.9, *, frame: str = "f", valid: bool = True) -> Answered:
    return Answered(frame, truth, said, confidence, valid)


ROWS = [
    row("dent", "dent"),
    row("dent", "scratch", 0.8),
    row("dent", NO_DEFECT, 0.3),
    row("scratch", "scratch", valid=False),
    row(NO_DEFECT, NO_DEFECT, 0.6),
    row(NO_DEFECT, "dent", 0.7),
]


def test_shares_count_what_did_not_fit_the_schema_as_wrong_and_as_nothing_else() -> None:
    assert figures.shares(ROWS) == {
        "crops": 6, "class_accuracy": 0.3333, "json_valid": 0.8333, "good_called_defect": 0.5,
        "defect_called_good": 0.25,
    }  # fmt: skip


def test_of_nothing_there_is_no_share() -> None:
    assert figures.shares([])["class_accuracy"] is None
    assert figures.gain([], []) is None
    assert figures.calibration([]) == {"ece": None, "bins": []}


def test_the_confusion_has_a_column_for_what_was_no_answer() -> None:
    found = figures.confusion([*ROWS, row("dent", "rust")], CLASSES)
    assert found["said"] == ["dent", "scratch", NO_DEFECT, figures.UNREADABLE]
    assert found["counts"] == [[1, 1, 1, 1], [0, 0, 0, 1], [1, 0, 1, 0]]


def test_the_calibration_error_is_the_distance_of_sureness_and_truth() -> None:
    found = figures.calibration([row("a", "a", 0.9), row("a", "b", 0.9), row("a", "a", 0.2), row("a", "a", 1.0)])
    assert [each["crops"] for each in found["bins"]] == [1, 3]
    assert found["ece"] == pytest.approx((0.8 * 1 + 3 * abs(2.8 / 3 - 2 / 3)) / 4, abs=1e-4)


def test_a_gain_is_paired_and_drawn_by_frames() -> None:
    before = [row("dent", "scratch", frame=f"f{n // 10}") for n in range(100)]
    after = [row("dent", "dent" if n < 50 else "scratch", frame=f"f{n // 10}") for n in range(100)]
    found = figures.gain(before, after)
    assert found is not None
    assert found["mean"] == 0.5
    assert found["low"] <= 0.2, "ten frames are ten draws, not a hundred"
    assert found == figures.gain(before, after)
    assert figures.gain(before, before) == {"mean": 0.0, "low": 0.0, "high": 0.0}


@pytest.mark.parametrize(
    ("said", "rouge", "bleu"),
    [
        ("A dark round spot.", 1.0, 1.0),
        ("a DARK, round spot", 1.0, 1.0),
        ("", 0.0, 0.0),
        ("nothing alike", 0.0, 0.0),
    ],
)
def test_texts_by_the_ends_of_their_scales(said: str, rouge: float, bleu: float) -> None:
    pairs = [("A dark round spot.", said)]
    assert texts.rouge_l(pairs) == pytest.approx(rouge)
    assert texts.bleu(pairs) == pytest.approx(bleu)


def test_texts_in_between_by_hand() -> None:
    pairs = [("the cat sat on the mat", "the cat is on the mat")]
    assert texts.rouge_l(pairs) == pytest.approx(10 / 12)
    # 5/6 words, (3+1)/(5+1) pairs, (1+1)/(4+1) triples, (0+1)/(3+1) of four
    assert texts.bleu(pairs) == pytest.approx((5 / 6 * 4 / 6 * 2 / 5 * 1 / 4) ** 0.25)


# -- trials and files -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> list[Trial]:
    manifest = read_manifest(write_dataset(tmp_path_factory.mktemp("sealed") / "v1"))
    return trials_of(manifest.of("test"), manifest.classes, seed=3, good_share=0.5, most=100)


def test_the_trials_move_boxes_further_and_keep_what_is_there(trials: list[Trial]) -> None:
    assert [trial.name for trial in trials] == ["0", "0.1", "0.3", "0.5", "detector"]
    exact, *moved = trials[:4]
    truths = [example.answer["defect_class"] for example in exact.examples]
    shifts = []
    for trial in moved:
        assert [example.answer["defect_class"] for example in trial.examples] == truths
        pairs = zip(exact.examples, trial.examples, strict=True)
        shifts.append(np.mean([np.abs(np.subtract(one.box_xyxy, other.box_xyxy)).mean() for one, other in pairs]))
    assert shifts == sorted(shifts)
    assert shifts[0] > 0


def test_the_detectors_own_boxes_come_with_what_it_said(trials: list[Trial]) -> None:
    own = trials[-1].examples
    assert {example.hint for example in own} == {("scratch", 0.8), ("dent", 0.6)}
    assert {example.answer["defect_class"] for example in own} == {"dent", NO_DEFECT}
    assert all(example.hint is None for example in trials[0].examples)


class Says:
    """A describer that has one word for everything, and sometimes no answer."""

    def __init__(self, word: str, *, valid: bool = True) -> None:
        self.word, self.valid = word, valid

    def describe(self, crops: Any, regions: Any, **_: Any) -> Iterator[AnswerEvent]:
        for region in regions:
            answer = {"defect_class": self.word, "confidence": 0.75, "appearance": "A bright mark."}
            yield AnswerEvent(region.region_id, answer, "", self.valid, (), 3)


def written(folder: Path, trials: list[Trial], base: Any, version: Any, **more: Any) -> dict[str, Any]:
    arms = (Arm(BASE, "Base", lambda: base), Arm(VERSION, "Version", lambda: version))
    given: dict[str, Any] = {"about": {"digests": {}}, "between": lambda: None, "told": lambda **_: None, **more}
    return write_report(folder, trials, arms, CLASSES, **given)


def test_a_report_says_what_both_arms_did(trials: list[Trial], tmp_path: Path) -> None:
    told: list[Any] = []
    report = written(tmp_path, trials, Says("scratch"), Says("dent"), told=lambda **said: told.append(said))
    assert report == json.loads((tmp_path / "report.json").read_text())
    assert [(one["arm"], one["done"], one["of"]) for one in told][-1] == (VERSION, 10, 10)
    exact = report["arms"][VERSION]["trials"]["0"]
    truths = [example.answer["defect_class"] for example in trials[0].examples]
    assert exact["class_accuracy"] == pytest.approx(truths.count("dent") / len(truths), abs=1e-4)
    assert exact["good_called_defect"] == 1.0
    assert exact["field_accuracy"]["appearance"] == 1.0
    assert report["gains"]["detector"]["mean"] > 0, "its own boxes are on dents and on nothing"
    assert report["arms"][VERSION]["texts"]["pairs"] == 3 * truths.count("scratch")


def test_the_worst_crops_are_pictures(trials: list[Trial], tmp_path: Path) -> None:
    report = written(tmp_path, trials, Says("dent"), Says(NO_DEFECT))
    assert report["worst"][0]["truth"] == "dent"
    assert report["worst"][0]["base_said"] == "dent"
    for each in report["worst"]:
        assert (tmp_path / each["picture"]).read_bytes().startswith(b"\x89PNG")


def test_every_answer_is_kept_as_it_was(trials: list[Trial], tmp_path: Path) -> None:
    report = written(tmp_path, trials, Says("dent"), Says("dent", valid=False))
    rows = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert len(rows) == report["answers"]["rows"] == 2 * sum(len(trial.examples) for trial in trials)
    again = [Answered(r["frame"], r["truth"], r["said"], r["confidence"], r["valid"]) for r in rows if r["arm"] == BASE
             and r["trial"] == "0.3"]  # fmt: skip
    assert figures.shares(again).items() <= report["arms"][BASE]["trials"]["0.3"].items()
    assert report["arms"][VERSION]["trials"]["0"]["json_valid"] == 0


def test_a_run_that_is_to_end_leaves_no_half_report(trials: list[Trial], tmp_path: Path) -> None:
    def stop() -> None:
        raise Cancelled("It was asked to stop.")

    with pytest.raises(Cancelled):
        written(tmp_path, trials, Says("dent"), Says("dent"), between=stop)
    assert not (tmp_path / "report.json").exists()
