"""Run by `test_crashes.py` in a process of its own: runs go on, or fail with their reason, whoever dies under them.

A real Celery worker with its beat, a trainer that only pretends, and twenty deaths by SIGKILL: of the trainer, of the
worker, of Redis and of PostgreSQL, each five times in an order and at steps drawn from a seed.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.db import DatabaseError, connection

from finetune.datasets import sealing
from finetune.models import Dataset, DatasetVersion, FineTuneRun, State
from finetune.runs import services
from tests.cast import Cast
from tests.services import Service
from tests.waiting import eventually

connection.settings_dict["OPTIONS"]["pool"]["timeout"] = 2
pytestmark = [pytest.mark.stack, pytest.mark.django_db(transaction=True)]
ROOT = Path(__file__).resolve().parents[2]
KILLS = 5
SEED = 10
AGAIN_WITHIN_S = 30.0
"""After what was killed is up again."""
BEGIN_WITHIN_S = 90.0
OPEN = (State.QUEUED, State.RUNNING)


class Worker:
    """The Celery worker that trains, and its beat; `kill` is a crash of both."""

    def __init__(self, log_file: Path) -> None:
        self.log_file = log_file
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        ready = self.log_file.with_suffix(".ready")
        ready.unlink(missing_ok=True)
        environ = {
            **os.environ,
            "AIVD_VAR": os.environ["AIVD_VAR"],
            "AIVD_TEST_DATABASE": str(connection.settings_dict["NAME"]),
            "AIVD_READY_FILE": str(ready),
        }
        command = "-m celery -A tests.crash.training_worker worker --beat --pool=threads --concurrency=4 -Q"
        schedule = f"--schedule={self.log_file.with_suffix('.beat')}"
        arguments = [*command.split(), "dispatch,housekeeping,training", "--loglevel=INFO", schedule]
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *arguments], cwd=ROOT, env=environ, stdout=log, stderr=log, start_new_session=True
            )
        grown = self.log_file.stat().st_size
        eventually(lambda: b" ready." in self.log_file.read_bytes()[grown:], self._words, within_s=BEGIN_WITHIN_S)

    def kill(self) -> None:
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(20)

    def trainer(self) -> psutil.Process | None:
        assert self.process is not None
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if any("stand_in_trainer" in word for word in child.cmdline()):
                    return child
        return None

    def _words(self) -> str:
        return self.log_file.read_text(errors="replace")[-3000:]


@pytest.fixture
def worker(tmp_path: Path, redis_server: Service) -> Iterator[Worker]:
    made = Worker(tmp_path / "worker.log")
    made.start()
    yield made
    made.kill()


@pytest.fixture
def version(cast: Cast) -> DatasetVersion:
    dataset = Dataset.objects.create(line=cast.line, name="boards", created_by="alice")
    made = DatasetVersion.objects.create(
        dataset=dataset, number=1, digest="d" * 64, folder="datasets/d", seed=0, classes=["open"], counts={},
        sealed_by="alice",
    )  # fmt: skip
    sealing.folder_of(made).mkdir(parents=True, exist_ok=True)
    (sealing.folder_of(made) / sealing.MANIFEST).write_text("")
    return made


@pytest.mark.breaks_services
def test_each_run_goes_on_or_fails_with_its_reason(
    version: DatasetVersion, worker: Worker, redis_server: Service, postgres: Service
) -> None:
    rng = random.Random(SEED)
    victims = ["trainer", "worker", "redis", "postgres"] * KILLS
    rng.shuffle(victims)
    run, took = launched(version, 0), []
    for number, victim in enumerate(victims):
        if stands(run).state not in OPEN:
            run = launched(version, number)
        at_step = stands(run).step + rng.randrange(1, 60)
        eventually(lambda: begun(run, at_step), lambda: words(run), within_s=BEGIN_WITHIN_S)  # noqa: B023
        threading.Event().wait(rng.random() * 0.3)  # at a moment of its own, between two looks at the row
        kill(victim, worker, redis_server, postgres)
        back, before = time.monotonic(), stands(run)
        eventually(lambda: goes_on(run, before), lambda: f"{victim}: {words(run)}", within_s=AGAIN_WITHIN_S)  # noqa: B023
        took.append((victim, round(time.monotonic() - back, 1), stands(run).state))
    print("after each death, seconds until it went on:", took)
    assert len(took) == 4 * KILLS
    eventually(lambda: stands(run).state not in OPEN, lambda: words(run), within_s=BEGIN_WITHIN_S)
    for one in asked(lambda: list(FineTuneRun.objects.all())):
        assert one.state == State.SUCCEEDED or one.error_detail, words(one)
        steps = [event.data["step"] for event in one.events.filter(type="step")]
        assert steps == sorted(steps), "no step is told by two holders at once"


def kill(victim: str, worker: Worker, redis_server: Service, postgres: Service) -> None:
    """End it as a crash does, and have it back as the launcher would."""
    if victim == "trainer":
        found = worker.trainer()
        if found is not None:
            found.kill()
        return
    part: Any = {"worker": worker, "redis": redis_server, "postgres": postgres}[victim]
    part.kill()
    part.start()


def launched(version: DatasetVersion, number: int) -> FineTuneRun:
    def launch() -> FineTuneRun:
        run = services.launch(
            version=version, kind="describer-lora", settings={"max_steps": 600}, seed=number, by="alice"
        )
        FineTuneRun.objects.filter(pk=run.pk).update(settings=run.settings | {"stand_in": {"step_s": 0.02}})
        return run

    return asked(launch)


def begun(run: FineTuneRun, at_step: int) -> bool:
    now = stands(run)
    return now.state not in OPEN or now.step >= min(at_step, 560)


def goes_on(run: FineTuneRun, before: FineTuneRun) -> bool:
    """It has ended, or somebody holds it and it has come further than when what was killed came back."""
    now = stands(run)
    return now.state not in OPEN or (now.state == State.RUNNING and now.step > before.step)


def stands(run: FineTuneRun) -> FineTuneRun:
    return asked(lambda: FineTuneRun.objects.get(pk=run.pk))


def asked(question: Callable[[], Any]) -> Any:
    """The database's answer; connections to one that died are used up first."""
    end = time.monotonic() + 30
    while True:
        try:
            return question()
        except DatabaseError:
            connection.close()
            if time.monotonic() > end:
                raise


def words(run: FineTuneRun) -> str:
    now = stands(run)
    return f"{now.state} at step {now.step}, attempt {now.attempts}: {now.error_detail}"
