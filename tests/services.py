"""A real PostgreSQL and a real Redis for the suite, started by the launcher's own code in a folder of the suite.

One of each for the whole run, thrown away afterwards, so this database alone may skip its fsync. The folder is
`AIVD_VAR`, which `tests.settings` points at a fresh temporary folder before anything reads it.
"""

import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from aivd_web.launcher.layout import Layout, current
from aivd_web.launcher.postgres import Postgres
from aivd_web.launcher.processes import Identity, die_with_parent, wait_until
from aivd_web.launcher.redis import EmbeddedRedis
from scheduling.services.redis_client import RedisHints, client_of
from tests.suite import shared

READY_WITHIN_S = 60


class Service:
    """One server process that a test or the whole run owns; `kill` and `start` again stand for a crash."""

    def __init__(
        self,
        server: Any,
        *,
        log_file: Path,
        stop_signal: signal.Signals,
        identity: Identity | None = None,
    ) -> None:
        self.server = server
        self._log_file = log_file
        self._stop_signal = stop_signal
        self._identity = identity
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log_file(self) -> Path:
        return self._log_file

    def running_pid(self) -> int | None:
        return self.pid if self.running else None

    def start(self) -> None:
        self.server.prepare()
        self._process = _spawn(
            self.server.argv(), self.server.environment(), self._log_file, self._identity, self._stop_signal
        )
        if not wait_until(self._answers_or_ended, within_s=READY_WITHIN_S) or not self.running:
            raise AssertionError(f"{self._log_file.stem} did not start:\n{self._log_file.read_text()[-2000:]}")

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        self._end(self._stop_signal)

    def kill(self) -> None:
        """End it as a crash does."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(timeout=5)

    def _answers_or_ended(self) -> bool:
        return not self.running or self.server.is_ready()


def postgres_service(layout: Layout) -> Service:
    server = Postgres(layout, durable=False)
    return Service(
        server,
        log_file=layout.log_folder / "postgres.log",
        stop_signal=signal.SIGINT,
        identity=server.identity,
    )


def redis_service(layout: Layout) -> Service:
    server = EmbeddedRedis(layout)
    return Service(server, log_file=layout.log_folder / "redis.log", stop_signal=signal.SIGTERM)


def take_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the rest of the test Redis is at an address where nothing answers."""
    from aivd_web.kernel.parts import parts  # needs Django, which a process of services alone has not set up

    nobody = RedisHints(client_of("unix:///nonexistent/redis.sock"))
    monkeypatch.setitem(parts().made, RedisHints, nobody)


@pytest.fixture(scope="session")
def suite_layout() -> Iterator[Layout]:
    """The suite's own folder; never the one that a person's data lives in."""
    layout = current()
    assert "aivd-test-" in layout.var.name, f"The tests would use {layout.var}, which is not theirs."
    layout.ensure_folders()
    yield layout
    for folder in (layout.var, layout.socket_folder, layout.state_folder):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(suite_layout: Layout) -> Iterator[Service]:
    service = postgres_service(suite_layout)
    yield from _running("PostgreSQL", service, settle=service.server.ensure_database)


@pytest.fixture(scope="session")
def redis_server(suite_layout: Layout) -> Iterator[Service]:
    yield from _running("Redis", redis_service(suite_layout))


@pytest.fixture(scope="session")
def django_db_modify_db_settings(postgres: Service) -> None:
    """pytest-django asks for this before it makes the test database, so the server is up by then."""


def _running(name: str, service: Service, settle: Callable[[], None] = lambda: None) -> Iterator[Service]:
    try:
        service.start()
        settle()
        with shared(name, pid=service.running_pid, log=service.log_file):
            yield service
    finally:
        service.stop()


def _spawn(
    argv: list[str],
    environment: Mapping[str, str],
    log_file: Path,
    identity: Identity | None,
    death_signal: signal.Signals,
) -> "subprocess.Popen[bytes]":
    with log_file.open("ab") as log:
        return subprocess.Popen(
            argv,
            env=dict(environment),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=die_with_parent(death_signal),
            **(identity.popen_arguments() if identity else {}),
        )
