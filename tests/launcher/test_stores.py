"""The real PostgreSQL and Redis as the launcher runs them: who they run as, who gets in, what a crash leaves."""

import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from aivd_web.launcher.layout import Layout, LayoutError, layout_from, make_folder
from aivd_web.launcher.postgres import Postgres, refuse_closed_parents
from aivd_web.launcher.processes import Identity, mark_of
from scheduling.services.redis_client import client_of
from tests.services import Service, postgres_service, redis_service

pytestmark = pytest.mark.stack
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="root alone has a second user to think of")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Layout]:
    """An installation of these tests, below a folder that other users may pass through."""
    folder = Path("/tmp") / f"aivd-test-{os.getpid()}-{tmp_path_factory.mktemp('place').name}"
    yield from an_installation(folder, opened=True)


@pytest.fixture
def new_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Layout]:
    """An installation that has no database yet."""
    folder = Path("/tmp") / f"aivd-test-{os.getpid()}-{tmp_path_factory.mktemp('new').name}"
    yield from an_installation(folder, opened=True)


@pytest.fixture
def closed_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Layout]:
    """The same in a folder that nobody else may enter, as /root is, and 150 characters deep."""
    folder = Path("/tmp") / f"aivd-test-{os.getpid()}-{tmp_path_factory.mktemp('closed').name}" / ("long" * 30)
    yield from an_installation(folder, opened=False)


def an_installation(folder: Path, *, opened: bool) -> Iterator[Layout]:
    make_folder(folder, 0o755 if opened else 0o700)
    place = layout_from({"AIVD_VAR": str(folder / "var")})
    place.ensure_folders()
    yield place
    for path in (Path(*folder.parts[:3]), place.socket_folder, place.state_folder):
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def server(place: Layout) -> Iterator[Service]:
    service = postgres_service(place)
    service.start()
    yield service
    service.stop()


def connect(place: Layout, *, password: str | None = None) -> "psycopg.Connection[tuple[object, ...]]":
    settings = place.database_settings()
    return psycopg.connect(
        host=settings["HOST"],
        port=settings["PORT"],
        user=settings["USER"],
        password=password or settings["PASSWORD"],
        dbname=settings["NAME"],
        connect_timeout=5,
    )


def in_database(place: Layout, query: str) -> object:
    with connect(place) as connection:
        row = connection.execute(query).fetchone()
    return row and row[0]


def test_the_database_is_reachable_by_password_over_its_socket_only(place: Layout, server: Service) -> None:
    server.server.ensure_database()
    assert in_database(place, "SELECT current_setting('listen_addresses')") == ""
    assert not in_database(place, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(place, password="guess")
    assert stat.S_IMODE(place.postgres_socket_folder.stat().st_mode) == 0o700


def test_the_database_keeps_what_was_committed_through_a_crash(place: Layout, server: Service) -> None:
    server.server.ensure_database()
    with connect(place) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    server.kill()
    server.start()
    assert in_database(place, "SELECT answer FROM kept") == 42


def test_a_durable_server_never_answers_before_the_disk_has_it(place: Layout) -> None:
    flags = Postgres(place).argv()
    assert not {"fsync=off", "synchronous_commit=off", "full_page_writes=off"} & set(flags)


def test_a_lock_file_that_names_another_process_is_cleared(place: Layout, server: Service) -> None:
    server.stop()
    stranger = os.getpid()
    lock = place.postgres_data / "postmaster.pid"
    lock.write_text(f"{stranger}\n{place.postgres_data}\n1\n5432\n")
    server.start()
    assert server.running
    assert mark_of(stranger) is not None


def test_a_server_that_outlived_its_launcher_is_ended_before_the_next_start(place: Layout, server: Service) -> None:
    old = mark_of(server.pid)
    assert old is not None
    Postgres(place, durable=False).prepare()
    assert not old.alive()


def test_a_half_made_cluster_is_made_anew(new_place: Layout) -> None:
    place = new_place
    make_folder(place.var / "postgres.new", 0o700)
    (place.var / "postgres.new" / "PG_VERSION").write_text("18\n")
    service = postgres_service(place)
    service.start()
    service.stop()
    assert not (place.var / "postgres.new").exists()
    assert not list(place.var.glob("*.password"))


def test_lost_secrets_are_said_and_not_guessed_around(place: Layout, server: Service) -> None:
    kept = place.secrets_file.read_text()
    place.secrets_file.unlink()
    try:
        with pytest.raises(LayoutError, match=r"made with other secrets.*secrets\.json"):
            server.server.is_ready()
    finally:
        place.secrets_file.write_text(kept)


@needs_root
def test_root_runs_the_database_as_a_user_of_its_own(place: Layout, server: Service) -> None:
    owner = Path(f"/proc/{server.pid}").stat().st_uid
    assert owner != 0
    assert place.postgres_data.stat().st_uid == owner
    assert place.var.stat().st_uid == 0


@needs_root
def test_root_in_a_closed_and_deep_folder_opens_nothing(closed_place: Layout) -> None:
    service = postgres_service(closed_place)
    service.start()
    service.server.ensure_database()
    try:
        assert in_database(closed_place, "SELECT 1") == 1
    finally:
        service.stop()
    assert stat.S_IMODE(closed_place.var.parent.stat().st_mode) == 0o700
    assert closed_place.postgres_data.is_relative_to(closed_place.state_root)
    assert stat.S_IMODE(closed_place.postgres_data.stat().st_mode) == 0o700


@needs_root
def test_root_runs_a_copy_of_the_binaries_where_a_closed_folder_holds_the_environment(
    new_place: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aivd_web.launcher.postgres._runnable_by_others", lambda binary: False)
    service = postgres_service(new_place)
    service.start()
    try:
        assert Path(f"/proc/{service.pid}/exe").readlink().is_relative_to(new_place.state_folder)
    finally:
        service.stop()


def test_a_folder_that_was_closed_later_is_named(tmp_path: Path) -> None:
    make_folder(tmp_path / "home" / "var" / "postgres", 0o711)
    (tmp_path / "home").chmod(0o700)
    with pytest.raises(LayoutError, match=r"chmod o\+x"):
        refuse_closed_parents(tmp_path / "home" / "var" / "postgres", Identity(12345, 12345, "aivd"))


def test_redis_needs_its_password_and_keeps_it_off_the_command_line(place: Layout) -> None:
    service = redis_service(place)
    service.start()
    try:
        client = redis.Redis.from_url(place.redis_url())
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        client.close()
        stranger = client_of(f"unix://{place.redis_socket}")
        with pytest.raises(redis.AuthenticationError):
            stranger.ping()
        stranger.close()
        assert place.secrets().redis_password not in Path(f"/proc/{service.pid}/cmdline").read_text()
        assert stat.S_IMODE(service.server.config.stat().st_mode) == 0o600
    finally:
        service.stop()


def test_redis_comes_back_over_the_socket_of_a_killed_one(place: Layout) -> None:
    service = redis_service(place)
    service.start()
    service.kill()
    assert place.redis_socket.exists()
    service.start()
    service.stop()


def test_a_killed_parent_takes_the_database_with_it(place: Layout) -> None:
    script = """
        import sys, time
        from aivd_web.launcher.layout import layout_from
        from tests.services import postgres_service
        service = postgres_service(layout_from({"AIVD_VAR": sys.argv[1]}))
        service.start()
        print(service.pid, flush=True)
        time.sleep(600)
    """
    lines = "\n".join(line.strip() for line in script.splitlines())
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", lines, str(place.var)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as parent:
        assert parent.stdout is not None
        mark = mark_of(int(parent.stdout.readline()))
        assert mark is not None
        parent.send_signal(signal.SIGKILL)
    service = postgres_service(place)
    service.start()
    assert not mark.alive()
    service.stop()
