"""A run of kind `detector` through the supervisor, with the real trainer: it ends as a version in the registry."""

import json
from pathlib import Path

import pytest

from finetune.datasets import sealing
from finetune.models import Dataset, DatasetVersion, ModelVersion, State
from finetune.runs import recipes, services, supervisor
from finetune.training.yolo.recipe import YoloRecipe
from tests.cast import Cast
from tests.finetune.training.lora.sealed import CLASSES, SIDE, write_dataset


@pytest.fixture
def version(cast: Cast) -> DatasetVersion:
    dataset = Dataset.objects.create(line=cast.line, name="plates", created_by="alice")
    made = DatasetVersion.objects.create(
        dataset=dataset, number=1, digest="d" * 64, folder="datasets/d", seed=0, classes=list(CLASSES), counts={},
        sealed_by="alice",
    )  # fmt: skip
    write_dataset(sealing.folder_of(made), template=False)
    return made


def test_what_the_form_offers_is_what_the_trainer_takes(version: DatasetVersion, tmp_path: Path) -> None:
    run = services.launch(version=version, kind="detector", settings={"batch": 4}, seed=3, by="alice")

    order = services.write_order(run)
    recipe = YoloRecipe.read(order)
    assert (recipe.base, recipe.batch, recipe.seed) == ("aivd-detector", 4, 3)
    defaults = {setting.name: setting.default for setting in recipes.KINDS["detector"].settings}
    untouched = YoloRecipe(dataset="")
    assert {name: getattr(untouched, name) for name in defaults} == defaults
    assert json.loads(order.read_text())["trainer"] == "detector"


@pytest.mark.django_db(transaction=True)
def test_a_run_becomes_a_version_of_the_line_s_detector(
    version: DatasetVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "wake", lambda: None)
    settings = {"max_steps": 2, "side_px": SIDE, "batch": 2, "validate_steps": 1}
    run = services.launch(version=version, kind="detector", settings=settings, by="alice")

    assert supervisor.carry_out(run.pk) is State.SUCCEEDED
    run.refresh_from_db()
    made = ModelVersion.objects.get(run=run)
    assert (made.kind, made.format, made.base, made.classes) == ("detector", "onnx", "aivd-detector", list(CLASSES))
    assert {"map50", "map50_95", "map_iou33"} < set(made.metrics)
    assert {"validation", "test"} < set(run.report)
    assert run.report["model_version"] == made.pk
