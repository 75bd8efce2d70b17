"""A run of describer-lora: tiny models of every family learn, are saved and answer alike; runs resume, end, refuse."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from finetune.training import outcome
from finetune.training.events import EventLog, read_events
from finetune.training.faults import Cancelled, TrainingFault
from finetune.training.lora import estimate, preview, run
from finetune.training.lora.coaugment import Example
from finetune.training.lora.hub_learner import HubLearner
from finetune.training.lora.recipe import LoraRecipe
from scheduling.serving.contracts import AnswerEvent, RegionRequest
from scheduling.serving.describers import load_describer
from scheduling.serving.describers.adapters import write_lineage
from scheduling.serving.describers.hub import HubDescriber
from scheduling.serving.model_folder import RefusedFiles
from scheduling.serving.nodes import PROJECT_ROOT
from tests.finetune.training.lora.sealed import CLASSES, write_dataset, write_recipe
from tests.scheduling.serving.describers.small_folder import write_small_folder
from tests.scheduling.serving.describers.tiny_models import BUILDERS, build

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


class Unwatched:
    """A supervision that asks for an end after so many looks."""

    def __init__(self, looks: int = 10**9) -> None:
        self.looks = looks

    def check(self) -> None:
        self.looks -= 1
        if self.looks < 0:
            raise Cancelled("It was asked to stop.")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    write_small_folder(folder)
    return folder


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("sealed") / "v1")


def start(recipe: Path, out: Path, supervision: Any = None) -> list[dict[str, Any]]:
    out.mkdir(exist_ok=True)
    run.Run(LoraRecipe.read(recipe), out, EventLog(out), cast(Any, supervision or Unwatched())).run()
    return read_events(out)


def answer_of(describer: Any) -> AnswerEvent:
    crop = np.random.default_rng(2).integers(0, 256, (30, 45, 3), np.uint8)
    events = describer.describe(
        [crop], [RegionRequest("r", (1, 1, 40, 30), "dent", 0.7)], class_names=CLASSES, frame_size_wh=(96, 96),
        is_cancelled=lambda: False, templates=[crop[:, ::-1]],
    )  # fmt: skip
    return next(event for event in events if isinstance(event, AnswerEvent))


def test_a_run_says_what_it_does_and_leaves_an_adapter_that_a_node_loads(
    small: Path, dataset: Path, tmp_path: Path
) -> None:
    events = start(write_recipe(tmp_path, dataset, base=str(small)), tmp_path / "out")
    kinds = [event["event"] for event in events]
    assert kinds[-1] == "done"
    assert {"log", "estimate", "started", "step", "validated", "sample", "checkpoint"} <= set(kinds)
    assert kinds.count("step") == 6
    (said,) = (event for event in events if event["event"] == "estimate")
    assert said["steps"] == 6
    assert said["seconds"] > 0 < said["trained_parameters"] < said["parameters"]
    samples = [event for event in events if event["event"] == "sample"]
    shares = {re.search(r"\(([\d.]+) %", event["answer"]["size"])[1] for event in samples}
    assert "0.00" not in shares, "the size is a share of the frame that the box lies in"
    done = events[-1]
    describer = load_describer(str(tmp_path / "out" / done["adapter"]["path"]), threads=1)
    assert describer.digest == done["adapter"]["digest"]
    answer = answer_of(describer)
    assert answer.valid
    assert answer.answer["defect_class"] in (*CLASSES, "no defect")
    assert (tmp_path / "out" / samples[0]["picture"]).read_bytes().startswith(b"\x89PNG")
    report = json.loads((tmp_path / "out" / done["report"]["path"]).read_text())
    assert report["digests"]["weights"] == done["adapter"]["digest"]
    assert set(report["arms"]) == {"base", "version"}
    assert [event["done"] for event in events if event["event"] == "measured"] == list(range(1, 11))
    lineage = json.loads((tmp_path / "out" / "adapter" / "lineage.json").read_text())
    assert lineage["dataset"] == "d" * 64
    assert lineage["box_errors"]["boxes"] == 6


@pytest.mark.parametrize("stopped_at", [1, 3, 5])
def test_a_run_stopped_at_any_step_and_resumed_ends_with_the_same_weights(
    stopped_at: int, small: Path, dataset: Path, tmp_path: Path
) -> None:
    recipe = write_recipe(tmp_path, dataset, base=str(small))
    start(recipe, tmp_path / "whole")
    with pytest.raises(Cancelled):
        start(recipe, tmp_path / "halves", Unwatched(looks=stopped_at + 1))
    assert read_events(tmp_path / "halves")[-1] == read_events(tmp_path / "halves")[-1] | {
        "event": "checkpoint", "step": stopped_at,
    }  # fmt: skip
    start(recipe, tmp_path / "halves")
    whole, halves = (load_file(tmp_path / name / "checkpoint.safetensors") for name in ("whole", "halves"))
    assert whole.keys() == halves.keys()
    assert all(torch.equal(whole[name], halves[name]) for name in whole)


def test_a_checkpoint_of_another_recipe_is_not_gone_on_from(small: Path, dataset: Path, tmp_path: Path) -> None:
    start(write_recipe(tmp_path, dataset, base=str(small), max_steps=2), tmp_path / "out")
    with pytest.raises(TrainingFault, match="another recipe"):
        start(write_recipe(tmp_path, dataset, base=str(small), max_steps=3), tmp_path / "out")


def test_the_loss_falls_on_what_is_seen_again(small: Path, dataset: Path, tmp_path: Path) -> None:
    fields = {"augmentation": "plain", "max_steps": 40, "rate": 5e-3, "validate_steps": 40, "batch": 4}
    events = start(write_recipe(tmp_path, dataset, base=str(small), **fields), tmp_path / "out")
    losses = [event["loss"] for event in events if event["event"] == "step"]
    assert sum(losses[-5:]) < 0.85 * sum(losses[:5])


def test_a_killed_process_goes_on_and_sigterm_ends_one_cleanly(small: Path, dataset: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, dataset, base=str(small), max_steps=4000, epochs=1000, validate_steps=4000)
    out = tmp_path / "out"
    killed = launch(recipe, out)
    wait_for(out, "checkpoint")
    killed.kill()
    killed.wait()
    again = launch(recipe, out)
    wait_for(out, "started", times=2)
    again.send_signal(signal.SIGTERM)
    assert again.wait(60) == outcome.CANCELLED
    events = read_events(out)
    assert [event["step"] for event in events if event["event"] == "started"][1] >= 2
    assert (events[-1]["event"], events[-2]["event"]) == ("cancelled", "checkpoint")


def test_a_run_ends_when_its_parent_dies(small: Path, dataset: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, dataset, base=str(small), max_steps=4000, epochs=1000, validate_steps=4000)
    out = tmp_path / "out"
    code = "import subprocess, sys; subprocess.Popen(sys.argv[1:]).wait()"
    parent = subprocess.Popen([sys.executable, "-c", code, *command(recipe, out)], cwd=PROJECT_ROOT)
    wait_for(out, "step")
    parent.kill()
    parent.wait()
    wait_for(out, "cancelled")


def command(recipe: Path, out: Path) -> list[str]:
    return [sys.executable, "-m", "finetune.training", str(recipe), str(out)]


def launch(recipe: Path, out: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(command(recipe, out), cwd=PROJECT_ROOT, stdout=subprocess.DEVNULL, env=os.environ)


def wait_for(out: Path, event: str, *, times: int = 1, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while sum(one["event"] == event for one in read_events(out)) < times:
        assert time.monotonic() < end, f"no {event} within {seconds} s"
        time.sleep(0.05)


def test_a_run_killed_while_it_reports_goes_on_with_its_report(small: Path, dataset: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, dataset, base=str(small), max_steps=2)
    start(recipe, tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "report")
    events = start(recipe, tmp_path / "out")
    assert sum(event["event"] == "step" for event in events) == 2
    assert (tmp_path / "out" / events[-1]["report"]["path"]).exists()


def test_a_preview_shows_crops_and_costs_before_anything_is_trained(small: Path, dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "preview"
    assert preview.main([str(write_recipe(tmp_path, dataset, base=str(small))), str(out)]) == outcome.DONE
    shown = json.loads((out / "preview.json").read_text())
    assert len(shown["crops"]) == 16
    assert {crop["defect_class"] for crop in shown["crops"]} == {*CLASSES, "no defect"}
    assert all((out / crop["picture"]).exists() and crop["question"] for crop in shown["crops"])
    assert shown["estimate"]["steps"] == 6
    assert shown["estimate"]["seconds"] > shown["estimate"]["report_seconds"] > 0
    assert not (out / "checkpoint.safetensors").exists()


def test_a_preview_fails_as_the_run_would(dataset: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, dataset, base=str(tmp_path / "nowhere"))
    assert preview.main([str(recipe), str(tmp_path / "out")]) == outcome.FAILED
    assert read_events(tmp_path / "out")[-1]["event"] == "failed"


# --- families


@pytest.mark.parametrize("family", BUILDERS)
def test_a_family_takes_two_steps_is_saved_and_answers_alike_when_loaded(family: str, tmp_path: Path) -> None:
    model, processor = build(family)
    HubDescriber(model, processor, name=family, version="1", digest="0", max_tokens=12).save(tmp_path / "base")
    recipe = LoraRecipe(dataset="", base=str(tmp_path / "base"), rank=4, alpha=8, rate=5e-3)
    learner = HubLearner(recipe.base, recipe)
    learner._base.max_tokens = 12
    crop = np.random.default_rng(1).integers(0, 256, (40, 40, 3), np.uint8)
    texts = {"appearance": "A.", "probable_cause": "B.", "recommended_action": "C."}
    example = Example("f", (1, 1, 30, 30), crop, None, None, "Which?", {"defect_class": "dent"} | texts, {})
    losses = []
    for _ in range(2):
        loss = learner.loss([example])
        losses.append(float(loss.detach()))
        learner.step(loss, learner.peak_rate)
    assert float(learner.loss([example])) < losses[0]
    learner.save_adapter(tmp_path / "adapter")
    base = {"spec": recipe.base, "digest": learner.base_digest}
    write_lineage(tmp_path / "adapter", {"base": base, "classes": list(CLASSES)})
    live = learner.describer(tmp_path / "adapter")
    again = load_describer(str(tmp_path / "adapter"), threads=1)
    assert isinstance(again, HubDescriber)
    again.max_tokens = 12
    assert text_of(again) == text_of(live)
    assert again.digest == live.digest


def text_of(describer: Any) -> str:
    return answer_of_one(describer).raw_text


def answer_of_one(describer: Any) -> AnswerEvent:
    crop = np.random.default_rng(2).integers(0, 256, (30, 45, 3), np.uint8)
    events = describer.describe(
        [crop], [RegionRequest("r", (1, 1, 40, 30), "dent", 0.7)], class_names=CLASSES, frame_size_wh=(96, 96),
        is_cancelled=lambda: False,
    )  # fmt: skip
    return next(event for event in events if isinstance(event, AnswerEvent))


# --- what is refused


def test_a_pickle_in_the_base_is_refused(dataset: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (base / "pytorch_model.bin").write_bytes(b"\x80\x04")
    recipe = write_recipe(tmp_path, dataset, base=str(base))
    assert run.main([str(recipe), str(tmp_path / "out")]) == outcome.FAILED
    failed = read_events(tmp_path / "out")[-1]
    assert (failed["event"], failed["code"]) == ("failed", "refused_weights")
    assert "pytorch_model.bin may hold a pickle" in failed["sentence"]


def test_a_base_that_does_not_fit_the_memory_is_refused_before_it_is_opened(
    small: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "available_bytes", lambda: 1 << 20)
    with pytest.raises(TrainingFault, match=r"The base needs about 1. MiB, 1 MiB are free"):
        start(write_recipe(tmp_path, dataset, base=str(small)), tmp_path / "out")


def test_a_full_disk_is_said_before_the_first_step(
    small: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    with pytest.raises(TrainingFault, match="the disk has 0 MiB free"):
        start(write_recipe(tmp_path, dataset, base=str(small)), tmp_path / "out")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"rank": 0}, r"`int` >= 1 - at `\$.rank`"),
        ({"rank": 2.5}, r"got `float` - at `\$.rank`"),
        ({"rate": "fast"}, r"got `str` - at `\$.rate`"),
        ({"rate": 1e-9}, "rate is 1e-09"),
        ({"epochs": float("nan")}, "is no recipe"),
        ({"augmentation": {"light": 2}}, r"<= 1.0 - at `\$.augmentation.light`"),
        ({"augmentation": "much"}, "'much' - at"),
        ({"magic": 1}, "unknown field `magic`"),
        ({"trainer": "detector"}, "'detector' - at"),
    ],
)
def test_a_recipe_that_cannot_be_followed_says_why(fields: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(TrainingFault, match=sentence):
        LoraRecipe.read(write_recipe(tmp_path, tmp_path, **fields)).how  # noqa: B018


def test_an_adapter_over_another_base_is_refused(small: Path, dataset: Path, tmp_path: Path) -> None:
    start(write_recipe(tmp_path, dataset, base=str(small), max_steps=1), tmp_path / "out")
    path = tmp_path / "out" / "adapter" / "lineage.json"
    lineage = json.loads(path.read_text())
    lineage["base"]["digest"] = "0" * 64
    path.write_text(json.dumps(lineage))
    with pytest.raises(RefusedFiles, match="was trained over weights 000000000000"):
        load_describer(str(tmp_path / "out" / "adapter"), threads=1)
