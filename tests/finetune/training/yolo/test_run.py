"""A run of kind `detector`: it learns, says so, leaves what a node loads; it goes on, ends and refuses as it should."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from finetune.training import outcome
from finetune.training.detector_network import DESIGNS
from finetune.training.events import EventLog, read_events
from finetune.training.faults import Cancelled
from finetune.training.yolo import memory, run
from finetune.training.yolo.bases import SHIPPED_SAFETENSORS, Base, base_of, classes_in_order, open_network
from finetune.training.yolo.recipe import YoloRecipe
from scheduling.serving.detectors import load_detector, trained_on
from scheduling.serving.nodes import PROJECT_ROOT
from scheduling.serving.tiling import Scale, scale_of
from tests.finetune.training.lora.sealed import CLASSES, SIDE, write_dataset
from tests.waiting import eventually

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


class Unwatched:
    """A supervision that asks for an end after so many looks."""

    def __init__(self, looks: int = 10**9) -> None:
        self.looks = looks

    def check(self) -> None:
        self.looks -= 1
        if self.looks < 0:
            raise Cancelled("It was asked to stop.")


class PowerCut(Exception):
    pass


Launch = Callable[[Path, Path], "subprocess.Popen[bytes]"]


@pytest.fixture
def launch() -> Iterator[Launch]:
    """Starts trainers as the supervisor does, and leaves none behind."""
    started: list[subprocess.Popen[bytes]] = []

    def start_one(recipe: Path, out: Path) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "finetune.training", str(recipe), str(out)]
        started.append(subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=subprocess.DEVNULL, env=os.environ))
        return started[-1]

    yield start_one
    for child in started:
        child.kill()
        child.wait()


def wait_for(child: "subprocess.Popen[bytes]", out: Path, event: str, *, times: int = 1) -> None:
    def seen() -> bool:
        there = sum(one["event"] == event for one in read_events(out)) >= times
        assert there or child.poll() is None, f"the trainer ended: {read_events(out)[-1]}"
        return there

    eventually(seen, f"no {event}", within_s=300)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("sealed") / "v1", template=False)


def write_recipe(folder: Path, dataset: Path, **fields: Any) -> Path:
    recipe = {
        "trainer": "detector", "dataset": str(dataset), "seed": 1, "batch": 2, "max_steps": 4, "side_px": 96,
        "checkpoint_steps": 2, "validate_steps": 2, "samples": 1, "mosaic": 0.5,
    }  # fmt: skip
    path = folder / "run.json"
    path.write_text(json.dumps(recipe | fields))
    return path


def start(recipe: Path, out: Path, supervision: Any = None) -> list[dict[str, Any]]:
    out.mkdir(exist_ok=True)
    run.Run(YoloRecipe.read(recipe), out, EventLog(out), cast(Any, supervision or Unwatched())).run()
    return read_events(out)


def failure(recipe: Path, out: Path) -> dict[str, Any]:
    """What the last event says of a run that must fail."""
    assert run.main([str(recipe), str(out)]) == outcome.FAILED
    last = read_events(out)[-1]
    assert last["event"] == "failed"
    assert last["hint"]
    return last


def names(events: list[dict[str, Any]]) -> list[str]:
    return [event["event"] for event in events]


def test_a_run_says_what_it_does_and_leaves_a_detector_that_a_node_loads(dataset: Path, tmp_path: Path) -> None:
    events = start(write_recipe(tmp_path, dataset), tmp_path / "out")

    assert names(events)[:3] == ["estimate", "started", "step"]
    assert {"validated", "sample", "checkpoint"} < set(names(events))
    assert events[0]["steps"] == 4
    done = events[-1]
    onnx = tmp_path / "out" / done["detector"]["path"] / "detector.onnx"
    assert done["detector"]["digest"] == hashlib.sha256(onnx.read_bytes()).hexdigest()
    detector = load_detector(str(onnx), threads=1)
    assert detector.class_names == CLASSES
    assert scale_of(detector) == Scale(SIDE)
    assert getattr(detector, "products", ()) == ("plate",)
    assert trained_on(str(onnx)).products == ("plate",)
    assert {"validation", "test"} < set(done["report"])
    assert {"map_iou33", "map50", "map50_95", "classes"} < set(done["report"]["test"])


def test_nothing_that_a_run_leaves_is_a_pickle(dataset: Path, tmp_path: Path) -> None:
    start(write_recipe(tmp_path, dataset, max_steps=1), tmp_path / "out")

    left = {path.suffix for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert left == {".safetensors", ".onnx", ".json", ".jsonl"}


def test_it_learns_what_a_dent_is(dataset: Path, tmp_path: Path) -> None:
    recipe = write_recipe(
        tmp_path, dataset, batch=4, max_steps=60, validate_steps=60, checkpoint_steps=60, epochs=999, mosaic=0.0,
        average_decay=0.8,
    )  # fmt: skip
    events = start(recipe, tmp_path / "out")

    losses = [event["loss"] for event in events if event["event"] == "step"]
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])
    assert events[-1]["report"]["validation"]["map_iou33"] > 0.5


def test_a_run_that_was_cut_off_ends_where_an_unbroken_one_does(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = write_recipe(tmp_path, dataset)
    start(recipe, tmp_path / "whole")
    real = run.Run._one_step

    def cut_off_at_three(self: run.Run, pieces: Any) -> float:
        if self.training.step == 3:
            raise PowerCut
        return real(self, pieces)

    monkeypatch.setattr(run.Run, "_one_step", cut_off_at_three)
    with pytest.raises(PowerCut):
        start(recipe, tmp_path / "cut")
    monkeypatch.setattr(run.Run, "_one_step", real)
    events = start(recipe, tmp_path / "cut")

    assert next(event["step"] for event in reversed(events) if event["event"] == "started") == 2
    whole, cut = (load_file(tmp_path / name / "checkpoint-4.safetensors") for name in ("whole", "cut"))
    assert all(torch.equal(value, cut[name]) for name, value in whole.items())


def test_a_trainer_that_was_killed_goes_on_from_its_checkpoint(dataset: Path, tmp_path: Path, launch: Launch) -> None:
    recipe, out = write_recipe(tmp_path, dataset, max_steps=5000, epochs=9999, checkpoint_steps=1), tmp_path / "out"
    child = launch(recipe, out)
    wait_for(child, out, "checkpoint")
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert "done" not in names(read_events(out))

    second = launch(recipe, out)
    wait_for(second, out, "started", times=2)
    began = [event for event in read_events(out) if event["event"] == "started"][-1]
    assert began["step"] >= 1
    second.terminate()
    assert second.wait(600) == outcome.CANCELLED
    last = read_events(out)[-1]
    assert last["event"] == "cancelled"
    assert json.loads((out / run.POINTER).read_text())["path"].startswith("checkpoint-")


def test_a_run_that_is_asked_to_stop_writes_its_checkpoint_first(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        start(write_recipe(tmp_path, dataset, checkpoint_steps=100), tmp_path / "out", Unwatched(looks=3))

    events = read_events(tmp_path / "out")
    assert names(events)[-1] == "checkpoint"
    assert events[-1]["step"] == 2


def test_a_run_whose_time_is_over_ends_well(dataset: Path, tmp_path: Path) -> None:
    events = start(write_recipe(tmp_path, dataset, max_steps=5000, epochs=9999, max_minutes=0.001), tmp_path / "out")

    assert names(events)[-1] == "done"
    assert names(events).count("step") < 5
    assert events[0]["seconds"] <= 0.1


def test_small_frames_are_enlarged_and_the_node_is_told(dataset: Path, tmp_path: Path) -> None:
    events = start(write_recipe(tmp_path, dataset, max_steps=1, side_px=128), tmp_path / "out")

    detector = load_detector(str(tmp_path / "out" / "detector" / "detector.onnx"), threads=1)
    assert scale_of(detector) == Scale()
    assert events[-1]["report"]["validation"]["frames"] == 3


@pytest.mark.parametrize("base", DESIGNS)
def test_each_network_begins_from_nothing_and_is_served(base: str, dataset: Path, tmp_path: Path) -> None:
    start(write_recipe(tmp_path, dataset, base=base, max_steps=1, side_px=96), tmp_path / "out")

    detector = load_detector(str(tmp_path / "out" / "detector" / "detector.onnx"), threads=1)
    assert detector.detect([np.zeros((96, 96, 3), np.uint8)], min_score=0.9) == [[]]


def test_a_run_begins_from_the_weights_of_an_earlier_one(dataset: Path, tmp_path: Path) -> None:
    start(write_recipe(tmp_path, dataset, max_steps=1), tmp_path / "first")
    weights = tmp_path / "first" / "weights.safetensors"

    start(write_recipe(tmp_path, dataset, max_steps=1, base=str(weights)), tmp_path / "second")
    lineage = json.loads((tmp_path / "second" / "detector" / "lineage.json").read_text())
    assert lineage["base"]["digest"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert lineage["base"]["design"] == "yolo26-p34"


# --- classes


def test_what_the_base_knows_of_a_class_goes_with_its_name() -> None:
    base = base_of("aivd-detector")
    names = classes_in_order(base, ("scratch", "spur", "open"))
    assert names == ("open", "spur", "scratch")
    stored = load_file(SHIPPED_SAFETENSORS)
    network = open_network(base, names, seed=0).state_dict()
    key = next(name for name in stored if name.endswith("one2one_cv3.1.2.weight"))
    old = base.class_names
    assert torch.equal(network[key][0], stored[key][old.index("open")])
    assert torch.equal(network[key][1], stored[key][old.index("spur")])
    assert not any(torch.equal(network[key][2], row) for row in stored[key])


def test_a_set_with_the_base_s_own_classes_keeps_their_order() -> None:
    base = Base("", "", class_names=("a", "b", "c"))
    assert classes_in_order(base, ("c", "a", "b")) == ("a", "b", "c")
    assert classes_in_order(Base("", ""), ("c", "a")) == ("c", "a")


# --- what is refused, before hours are spent


def changed(dataset: Path, folder: Path, change: Any) -> Path:
    """A copy of the dataset whose frames `change` has gone over."""
    shutil.copytree(dataset, folder)
    rows = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    change(folder, rows)
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def no_test_split(_: Path, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        row["split"] = "val" if row["split"] == "test" else row["split"]


def no_scratches(_: Path, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        row["regions"] = [region for region in row["regions"] if region["class"] != "scratch"]


def half_a_picture(folder: Path, rows: list[dict[str, Any]]) -> None:
    path = folder / rows[5]["picture"]
    path.write_bytes(path.read_bytes()[:200])
    rows[5]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()


def box_outside(_: Path, rows: list[dict[str, Any]]) -> None:
    rows[1]["regions"][0]["box"] = [90, 10, 20, 10]


@pytest.mark.parametrize(
    ("change", "code", "sentence"),
    [
        (no_test_split, "no_split", "no frame in its test split"),
        (no_scratches, "class_without_samples", "'scratch' has no region in the train split"),
        (half_a_picture, "bad_picture", "f5.png is no readable picture"),
        (box_outside, "bad_box", "frame f1: the box (90, 10, 110, 20) does not lie inside 96x96 px"),
    ],
)
def test_a_dataset_that_cannot_be_learned_says_why(
    change: Any, code: str, sentence: str, dataset: Path, tmp_path: Path
) -> None:
    folder = changed(dataset, tmp_path / "data", change)
    failed = failure(write_recipe(tmp_path, folder), tmp_path / "out")
    assert failed["code"] == code
    assert sentence in failed["sentence"]
    assert "step" not in names(read_events(tmp_path / "out"))


def test_a_step_that_does_not_fit_the_memory_names_a_batch_that_does(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = iter((100, 100 + 2 * 300 * 2**20))
    monkeypatch.setattr(memory, "_used", lambda _: next(used))
    monkeypatch.setattr(memory, "available_bytes", lambda: 1000 * 2**20)
    failed = failure(write_recipe(tmp_path, dataset, batch=8), tmp_path / "out")
    assert failed["code"] == "out_of_memory"
    assert failed["sentence"].startswith("A step of 8 pictures needs about 2409 MiB, 1000 MiB are free")
    assert failed["hint"] == "Use a batch of 3 or less."


def test_a_full_disk_is_said_before_the_first_step(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = write_recipe(tmp_path, dataset)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    assert failure(recipe, tmp_path / "out")["code"] == "disk_full"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"batch": 0}, "batch is 0"),
        ({"rate": "fast"}, "rate is 'fast'"),
        ({"side_px": 100}, "side_px is 100"),
        ({"turns": "sometimes"}, "turns is 'sometimes'"),
        ({"magic": 1}, "has 'magic'"),
        ({"trainer": "describer-lora"}, "no trainer 'describer-lora'"),
        ({"base": "yolo5"}, "No detector is called 'yolo5'"),
    ],
)
def test_a_recipe_that_cannot_be_followed_says_why(
    fields: dict[str, Any], sentence: str, dataset: Path, tmp_path: Path
) -> None:
    failed = failure(write_recipe(tmp_path, dataset, **fields), tmp_path / "out")
    assert sentence in failed["sentence"]


def test_a_pickle_is_no_base_by_whatever_name(dataset: Path, tmp_path: Path) -> None:
    weights = tmp_path / "best.safetensors"
    weights.write_bytes(b"\x80\x04\x95 a pickle")
    failed = failure(write_recipe(tmp_path, dataset, base=str(weights)), tmp_path / "out")
    assert failed["code"] == "refused_weights"


def test_a_checkpoint_that_the_run_did_not_write_is_refused(dataset: Path, tmp_path: Path) -> None:
    recipe, out = write_recipe(tmp_path, dataset, max_steps=2), tmp_path / "out"
    start(recipe, out)
    path = out / "checkpoint-2.safetensors"
    save_file({"network.x": torch.zeros(1)}, path)
    assert failure(recipe, out)["sentence"] == "checkpoint-2.safetensors is not what this run has written."


def test_a_folder_of_another_recipe_is_left_alone(dataset: Path, tmp_path: Path) -> None:
    start(write_recipe(tmp_path, dataset, max_steps=2), tmp_path / "out")
    assert failure(write_recipe(tmp_path, dataset, max_steps=3), tmp_path / "out")["code"] == "other_recipe"
