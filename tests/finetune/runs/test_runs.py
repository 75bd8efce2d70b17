"""A run from its launch to its end, against a trainer that only pretends: what is told becomes rows, and every way in
which a trainer can end is a state with its reason."""

import json
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.utils import timezone

from aivd_web.kernel.errors import Conflict
from finetune import leases
from finetune.datasets import sealing
from finetune.models import Dataset, DatasetVersion, FineTuneRun, ModelVersion, State
from finetune.registry import services as registry
from finetune.runs import recipes, services, supervisor
from finetune.runs.events import Tail
from finetune.runs.recipes import BadRecipe
from inspections.events import numbering
from tests.cast import Cast
from tests.finetune.runs.test_gates import measured

TRAINER = (sys.executable, str(Path(__file__).parents[1] / "stand_in_trainer.py"))


@pytest.fixture
def version(cast: Cast) -> DatasetVersion:
    """A sealed version of nothing: the pretended trainer opens no picture."""
    dataset = Dataset.objects.create(line=cast.line, name="boards", created_by="alice")
    made = DatasetVersion.objects.create(
        dataset=dataset, number=1, digest="d" * 64, folder="datasets/d", seed=0, classes=["open"], counts={},
        sealed_by="alice",
    )  # fmt: skip
    sealing.folder_of(made).mkdir(parents=True)
    (sealing.folder_of(made) / sealing.MANIFEST).write_text("")
    return made


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "HEARTBEAT_S", 0.05)
    monkeypatch.setattr(supervisor, "POLL_S", 0.02)
    monkeypatch.setattr(supervisor, "GRACE_S", 10.0)
    monkeypatch.setattr(services, "wake", lambda: None)


def launch(version: DatasetVersion, steps: int = 3, **acts: Any) -> FineTuneRun:
    run = services.launch(version=version, kind="describer-lora", settings={"max_steps": steps}, seed=7, by="alice")
    run.settings = {**run.settings, "stand_in": acts}
    run.save()
    return run


def carried_out(run: FineTuneRun) -> FineTuneRun:
    supervisor.carry_out(run.pk, command=TRAINER)
    run.refresh_from_db()
    return run


def types(run: FineTuneRun) -> list[str]:
    return list(run.events.values_list("type", flat=True))


def test_viewers_never_take_news_of_a_run_for_an_event_of_the_line(
    version: DatasetVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    hints: list[dict[str, Any]] = []
    monkeypatch.setattr(numbering, "publish_on_commit", lambda _, message: hints.append(message["hint"]))

    carried_out(launch(version))

    assert {hint["state"] for hint in hints} == {"queued", "running", "succeeded"}
    assert not any("seq" in hint for hint in hints)


# -- launch -----------------------------------------------------------------------------------------


def test_what_is_not_set_has_its_default(version: DatasetVersion) -> None:
    run = services.launch(version=version, kind="describer-lora", settings={"rank": 8}, by="alice")

    assert (run.state, run.base, run.settings["rank"], run.settings["batch"]) == ("queued", "aivd-small", 8, 16)
    order = json.loads(services.write_order(run).read_text())
    assert order["dataset"] == str(sealing.folder_of(version))
    assert (order["trainer"], order["rank"]) == ("describer-lora", 8)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"rank": 0}, "LoRA rank is a whole number from 1 to 256, not 0."),
        ({"rank": True}, "LoRA rank is a whole number from 1 to 256, not True."),
        ({"rate": float("nan")}, "Learning rate is a number from 0 to 1, not nan."),
        ({"augmentation": "more"}, "Augmentation is one of co, plain, not 'more'."),
        ({"exec": 1}, "A describer-lora run has no setting 'exec'."),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(version: DatasetVersion, given: dict[str, Any], said: str) -> None:
    with pytest.raises(BadRecipe) as error:
        services.launch(version=version, kind="describer-lora", settings=given, by="alice")

    assert error.value.detail == said
    assert FineTuneRun.objects.count() == 0


def test_each_default_is_allowed() -> None:
    for name in recipes.KINDS:
        assert recipes.checked(name, {})


def test_a_version_whose_files_are_gone_is_not_trained_on(version: DatasetVersion) -> None:
    (sealing.folder_of(version) / sealing.MANIFEST).unlink()

    with pytest.raises(Conflict, match="are gone"):
        services.launch(version=version, kind="detector", by="alice")


def test_a_recipe_is_kept_and_a_run_has_its_own_copy(version: DatasetVersion) -> None:
    def keep(rank: int) -> Any:
        return services.save_recipe(
            version=version, name="ours", kind="describer-lora", settings={"rank": rank}, by="alice"
        )

    run = services.launch(version=version, kind="describer-lora", recipe=keep(4), by="alice")

    assert keep(8).settings["rank"] == 8
    run.refresh_from_db()
    assert run.settings["rank"] == 4


# -- to its end -------------------------------------------------------------------------------------


def test_a_run_is_done_and_its_weights_are_registered(version: DatasetVersion) -> None:
    run = carried_out(launch(version, steps=3))

    assert (run.state, run.step, run.steps, run.error_detail) == (State.SUCCEEDED, 3, 3, "")
    assert types(run) == ["started", "step", "step", "step", "validated", "done"]
    assert list(run.events.values_list("seq", flat=True)) == [1, 2, 3, 4, 5, 6]
    made = ModelVersion.objects.get(run=run)
    assert (made.kind, made.number, made.format, made.classes) == ("adapter", 1, "safetensors", ["open"])
    assert (made.base_digest, made.packages, made.metrics["field_f1"]) == ("b" * 64, {"torch": "2"}, 0.8)
    assert (registry.folder_of(made) / "lineage.json").exists()


def test_its_report_is_judged_by_the_gates_of_its_line(version: DatasetVersion) -> None:
    arms = {name: {"trials": figures} for name, figures in measured(json_valid=0.5)["arms"].items()}
    report = {"arms": arms, "gains": measured()["gains"], "digests": {}}

    run = carried_out(launch(version, report=report))

    made = ModelVersion.objects.get(run=run)
    assert run.report is not None
    assert run.report["measured"]["gains"] == measured()["gains"]
    assert [gate["name"] for gate in made.gates if not gate["passed"]] == ["json_valid"]
    assert not made.passed


def test_those_who_wait_know_their_place(version: DatasetVersion) -> None:
    first, second, third = (launch(version) for _ in range(3))
    assert [run.ahead() for run in (first, second, third)] == [0, 1, 2]
    services.cancel(run=first)
    assert second.ahead() == 0


def test_the_same_weights_are_the_same_version(version: DatasetVersion) -> None:
    carried_out(launch(version))
    again = carried_out(launch(version))

    assert again.state == State.SUCCEEDED
    assert ModelVersion.objects.count() == 1


def test_a_fault_of_the_data_is_told_as_the_trainer_says_it(version: DatasetVersion) -> None:
    run = carried_out(launch(version, fail_at=2))

    assert (run.state, run.error_code, run.error_detail) == (
        State.FAILED, "bad_picture", "a.png is no readable picture."
    )  # fmt: skip
    assert run.error_hint == "Seal a new version."


def test_a_crash_ends_with_its_last_words(version: DatasetVersion) -> None:
    run = carried_out(launch(version, crash_at=1))

    assert (run.state, run.error_code) == (State.FAILED, "trainer_failed")
    assert run.error_detail == "The trainer ended with code 1. RuntimeError: a fault that nobody foresaw"


def test_a_killed_trainer_goes_on_from_its_checkpoint(version: DatasetVersion) -> None:
    run = carried_out(launch(version, steps=4, die_at=2))
    assert run.state == State.QUEUED

    run = carried_out(run)

    assert run.state == State.SUCCEEDED
    steps = [event.data["step"] for event in run.events.filter(type="step")]
    assert steps == [1, 2, 3, 4]


def test_a_trainer_that_is_always_killed_fails_with_the_reason(version: DatasetVersion) -> None:
    run = launch(version, steps=9, die_at=1, always=True)
    FineTuneRun.objects.filter(pk=run.pk).update(attempts=leases.MAX_ATTEMPTS - 1)

    run = carried_out(run)

    assert (run.state, run.error_code) == (State.FAILED, "killed")
    assert run.error_detail.startswith("The trainer was ended by SIGKILL 5 times")


def test_a_trainer_that_takes_too_much_memory_is_ended(version: DatasetVersion, settings: Any) -> None:
    settings.TRAINING_MEMORY_MIB = 100

    run = carried_out(launch(version, steps=10_000, eat_mib=200, step_s=0.05))

    assert (run.state, run.error_code) == (State.FAILED, "out_of_memory")
    assert "more than it may" in run.error_detail


def test_weights_that_are_a_pickle_are_refused(version: DatasetVersion) -> None:
    run = carried_out(launch(version, pickle=True))

    assert (run.state, run.error_code) == (State.FAILED, "refused_weights")
    assert run.error_detail == "adapter_model.safetensors is not a safetensors file, or it is cut off."


# -- while it runs ----------------------------------------------------------------------------------


def at_step(monkeypatch: pytest.MonkeyPatch, run: FineTuneRun, step: int, act: Callable[[], object]) -> None:
    """Call `act` once, when the row has come to this step."""
    done: list[bool] = []
    write = leases.Held.write

    def watched(held: Any, **values: Any) -> None:
        write(held, **values)
        if not done and held.row.step >= step:
            done.append(True)
            act()

    monkeypatch.setattr(leases.Held, "write", watched)


def test_a_run_is_paused_and_goes_on(version: DatasetVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    run = launch(version, steps=30, step_s=0.02)
    at_step(monkeypatch, run, 3, lambda: services.pause(run=FineTuneRun.objects.get(pk=run.pk)))

    run = carried_out(run)
    assert (run.state, run.wish, run.finished_at) == (State.PAUSED, "", None)
    assert 3 <= run.step < 30

    services.resume(run=run)
    assert carried_out(run).state == State.SUCCEEDED
    assert [event.data["step"] for event in run.events.filter(type="step")] == list(range(1, 31))


def test_a_run_is_cancelled(version: DatasetVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    run = launch(version, steps=10_000, step_s=0.02)
    at_step(monkeypatch, run, 3, lambda: services.cancel(run=FineTuneRun.objects.get(pk=run.pk)))

    run = carried_out(run)

    assert run.state == State.CANCELLED
    with pytest.raises(Conflict, match="only what was paused or has failed can go on"):
        services.resume(run=run)


def test_what_waits_is_paused_and_cancelled_at_once(version: DatasetVersion) -> None:
    run = launch(version)

    assert services.pause(run=run).state == State.PAUSED
    assert services.cancel(run=run).state == State.CANCELLED
    assert supervisor.carry_out(run.pk, command=TRAINER) is None


def test_who_lost_the_lease_ends_its_trainer(version: DatasetVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    run = launch(version, steps=10_000, step_s=0.02)
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    at_step(monkeypatch, run, 2, lambda: FineTuneRun.objects.filter(pk=run.pk).update(lease_epoch=9))

    assert supervisor.carry_out(run.pk, command=TRAINER) is None

    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before
    assert FineTuneRun.objects.get(pk=run.pk).state == State.RUNNING  # as the other worker left it


def test_a_run_without_its_worker_waits_again(version: DatasetVersion) -> None:
    run = launch(version)
    held = leases.claim(FineTuneRun, run.pk, lease=supervisor.LEASE)
    assert held is not None
    assert supervisor.reap() == 0

    FineTuneRun.objects.filter(pk=run.pk).update(lease_until=timezone.now() - supervisor.LEASE)
    assert supervisor.reap() == 1
    with pytest.raises(leases.LeaseLost):
        held.write(step=5)
    assert carried_out(run).state == State.SUCCEEDED


def test_a_run_that_loses_every_worker_fails(version: DatasetVersion) -> None:
    run = launch(version)
    FineTuneRun.objects.filter(pk=run.pk).update(
        state="running", lease_until=timezone.now() - supervisor.LEASE, attempts=leases.MAX_ATTEMPTS
    )

    supervisor.reap()

    run.refresh_from_db()
    assert (run.state, run.error_code) == (State.FAILED, "worker_lost")


def test_one_run_has_one_worker(version: DatasetVersion) -> None:
    run = launch(version)

    assert leases.claim(FineTuneRun, run.pk, lease=supervisor.LEASE) is not None
    assert leases.claim(FineTuneRun, run.pk, lease=supervisor.LEASE) is None


# -- what is told -----------------------------------------------------------------------------------


def test_lines_that_are_none_are_passed_over(version: DatasetVersion) -> None:
    run = launch(version)
    held = leases.claim(FineTuneRun, run.pk, lease=supervisor.LEASE)
    assert held is not None
    path = services.folder_of(run) / "events.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        b'{"event": "log", "level": "warning", "text": "a\\u0000b"}\n[1]\nnot json\n\xff\xfe\n'
        b'{"event": "step", "step": 4, "loss": NaN}\n{"event": "half'
    )

    tail = Tail(held, path)
    tail.read()
    with path.open("ab") as file:
        file.write(b'", "text": 1}\n')
    tail.read()

    rows = list(run.events.values_list("seq", "type", "level"))
    assert rows == [(1, "log", "warning"), (2, "step", ""), (3, "half", "")]
    assert run.events.get(seq=1).data["text"] == "a�b"
    assert run.events.get(seq=2).data["loss"] is None
    run.refresh_from_db()
    assert (run.step, run.events_seq, run.events_read) == (4, 3, path.stat().st_size)


def test_a_long_run_keeps_as_many_steps_as_a_curve_can_show(version: DatasetVersion) -> None:
    run = launch(version)
    held = leases.claim(FineTuneRun, run.pk, lease=supervisor.LEASE)
    assert held is not None
    path = services.folder_of(run) / "events.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [{"event": "started", "steps": 10_000}, *({"event": "step", "step": n} for n in range(1, 10_001))]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))

    Tail(held, path).read()

    assert run.events.filter(type="step").count() == 2_000
    assert run.events.order_by("-seq")[0].data["step"] == 10_000


def test_a_trainer_does_not_outlive_its_supervisor(version: DatasetVersion, tmp_path: Path) -> None:
    """The supervisor's process is killed; its trainer is told so by the kernel, and keeps its checkpoint."""
    order = services.write_order(launch(version, steps=100_000, step_s=0.02))
    code = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([*{TRAINER!r}, {str(order)!r}, {str(tmp_path)!r}], start_new_session=True)\n"
        "print(child.pid, flush=True)\ntime.sleep(600)\n"
    )
    supervising = psutil.Popen([sys.executable, "-c", code], stdout=-1)
    pid = int(supervising.stdout.readline())
    trainer = psutil.Process(pid)
    wait_for(lambda: (tmp_path / "checkpoint.json").exists())

    supervising.send_signal(signal.SIGKILL)
    supervising.communicate()

    psutil.wait_procs([trainer], timeout=20)
    assert not trainer.is_running() or trainer.status() == psutil.STATUS_ZOMBIE
    assert json.loads((tmp_path / "events.jsonl").read_text().splitlines()[-1])["event"] == "cancelled"


def wait_for(condition: Callable[[], bool], within_s: float = 20) -> None:
    pause = threading.Event()
    for _ in range(int(within_s / 0.02)):
        if condition():
            return
        pause.wait(0.02)
    raise AssertionError("It did not come true.")
