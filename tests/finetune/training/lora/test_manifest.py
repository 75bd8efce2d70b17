"""A sealed dataset is read as it was written, and what is wrong in it is named before anything is trained."""

import json
from pathlib import Path
from typing import Any

import pytest

from finetune.training.faults import TrainingFault
from finetune.training.manifest import check_pictures, read_manifest
from tests.finetune.training.lora.sealed import CLASSES, write_dataset

REGION = {"box": [1, 1, 5, 5], "polygon": None, "class": "dent", "text": None, "source": "person"}


def test_a_dataset_comes_back_with_splits_texts_and_the_detectors_boxes(tmp_path: Path) -> None:
    manifest = read_manifest(write_dataset(tmp_path / "v"))
    check_pictures(manifest)
    assert manifest.classes == CLASSES
    assert [len(manifest.of(split)) for split in ("train", "val", "test")] == [6, 3, 3]
    frame = manifest.frames[0]
    assert frame.regions[1].text["probable_cause"] == "A tool."
    assert frame.regions[1].box_xyxy == (58, 16, 86, 34)
    assert frame.detected[0].score == 0.8
    assert frame.template is not None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"regions": [REGION | {"box": [90, 1, 20, 5]}]}, r"frame f0: the box \(90, 1, 110, 6\) does not lie inside"),
        ({"regions": [REGION | {"box": [9, 1, 0, 5]}]}, "does not lie inside"),
        ({"regions": [REGION | {"polygon": [[1, 1], [2, 2]]}]}, "a polygon has 2 points"),
        ({"regions": [REGION | {"class": "hole"}]}, "Regions name 'hole'"),
        ({"split": "later"}, "the split is 'later'"),
        ({"width": None}, "manifest.jsonl line 1 lacks"),
    ],
)
def test_what_is_wrong_with_a_frame_is_said_with_its_name(changes: Any, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(TrainingFault, match=sentence):
        read_manifest(write_dataset(tmp_path / "v", f0=changes))


def test_a_polygon_alone_gives_its_box(tmp_path: Path) -> None:
    region = REGION | {"box": None, "polygon": [[2, 3], [9, 4], [5, 8]]}
    manifest = read_manifest(write_dataset(tmp_path / "v", f0={"regions": [region]}))
    assert manifest.frames[0].regions[0].box_xyxy == (2, 3, 9, 8)


def test_a_version_without_a_test_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingFault, match="no frame in its test split"):
        read_manifest(write_dataset(tmp_path / "v", frames=3))


def test_a_class_without_samples_is_refused(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "v")
    about = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps(about | {"classes": [*CLASSES, "crack"]}))
    with pytest.raises(TrainingFault, match="'crack' has no region in the train split"):
        read_manifest(folder)


@pytest.mark.parametrize(
    ("content", "changes", "sentence"),
    [
        (b"changed", {}, "f0.png is not the picture that was sealed"),
        (b"no picture", {"sha256": ""}, "f0.png is no readable picture"),
        (None, {"width": 95}, "has 96x96 px, the manifest says 95x96"),
        (None, {"picture": "pictures/gone.png"}, "gone.png cannot be read"),
    ],
)
def test_a_bad_picture_is_named(content: bytes | None, changes: Any, sentence: str, tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "v", f0=changes)
    if content:
        (folder / "pictures" / "f0.png").write_bytes(content)
    with pytest.raises(TrainingFault, match=sentence):
        check_pictures(read_manifest(folder))


@pytest.mark.parametrize("name", ["dataset.json", "manifest.jsonl", "detector.jsonl"])
def test_a_file_that_is_no_json_is_named(name: str, tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "v")
    (folder / name).write_text("{oops\n")
    with pytest.raises(TrainingFault, match=name):
        read_manifest(folder)
