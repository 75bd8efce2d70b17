"""Folders, sockets and secrets: the same answer in every process, nothing too long, nothing foreign touched."""

import os
import stat
import threading
from pathlib import Path

import pytest
from kombu.utils.url import url_to_parts
from redis.connection import parse_url

from aivd_web.launcher import layout, source
from aivd_web.launcher.layout import Layout, LayoutError, broker_url, layout_from, make_folder, open_to_others


def a_layout(tmp_path: Path, *, var: Path | None = None, as_root: bool = False) -> Layout:
    return Layout(
        root=tmp_path,
        var=var or tmp_path / "var",
        as_root=as_root,
        state_root=tmp_path / "state",
        run_root=tmp_path / "run",
        temp_root=tmp_path / "tmp",
    )


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def var_of_length(length: int, letter: str = "v") -> Path:
    """A var folder whose longest socket path has `length` bytes (`letter` may take more than one)."""
    tail = "/run/s/pg/.s.PGSQL.5432"
    name = letter * ((length - len(tail) - len("/srv/")) // len(letter.encode()))
    return Path("/srv") / name


@pytest.mark.parametrize(
    ("socket_bytes", "in_var"),
    [(40, True), (106, True), (107, True), (108, False), (150, False), (250, False)],
)
def test_sockets_move_to_a_short_folder_when_their_path_is_too_long(
    tmp_path: Path, socket_bytes: int, in_var: bool
) -> None:
    place = a_layout(tmp_path, var=var_of_length(socket_bytes))
    assert place.socket_folder.is_relative_to(place.var) is in_var


@pytest.mark.parametrize("name", ["Prüf Stand 1", "line one", "a'b", "a;b", "线", "a%20b", "x" * 200])
def test_sockets_and_nodes_lie_where_a_shell_and_a_url_take_the_path_as_it_is(tmp_path: Path, name: str) -> None:
    place = a_layout(tmp_path, var=Path("/srv") / name)
    plain = layout.is_plain(place.var)
    assert layout.is_plain(place.socket_folder)
    assert layout.is_plain(place.nodes_folder)
    assert place.nodes_folder.is_relative_to(place.var) is plain


def test_every_socket_fits_wherever_the_installation_is() -> None:
    place = Layout(root=Path("/"), var=Path("/" + "long/" * 60), as_root=False)
    for socket in (place.redis_socket, place.postgres_socket_folder / ".s.PGSQL.5432"):
        assert len(os.fsencode(socket)) <= layout.MAX_SOCKET_PATH_BYTES


def test_two_installations_share_no_short_folder(tmp_path: Path) -> None:
    one, other = (a_layout(tmp_path, var=Path("/srv") / (letter * 200)) for letter in "ab")
    assert one.socket_folder != other.socket_folder


def test_root_keeps_the_database_in_the_state_folder_when_a_parent_is_closed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    make_folder(home, 0o700)
    place = a_layout(tmp_path, var=home / "aivd" / "var", as_root=True)
    assert place.postgres_data.is_relative_to(place.state_root)
    assert not place.socket_folder.is_relative_to(home)
    assert mode_of(home) == 0o700


def test_an_ordinary_user_keeps_the_database_in_var_even_in_a_closed_home(tmp_path: Path) -> None:
    make_folder(tmp_path / "home", 0o700)
    place = a_layout(tmp_path, var=tmp_path / "home" / "var")
    assert place.postgres_data == place.var / "postgres"


def test_a_database_that_exists_is_found_again_when_a_parent_is_closed_later(tmp_path: Path) -> None:
    home = tmp_path / "home"
    make_folder(home / "var" / "postgres", 0o711)
    home.chmod(0o700)
    place = a_layout(tmp_path, var=home / "var", as_root=True)
    assert place.postgres_data == home / "var" / "postgres"


def test_folders_are_private_whatever_the_umask(tmp_path: Path) -> None:
    place = a_layout(tmp_path)
    before = os.umask(0)
    try:
        place.ensure_folders()
    finally:
        os.umask(before)
    private = (place.var, place.log_folder, place.media_folder, place.socket_folder, place.redis_socket.parent)
    assert [mode_of(folder) for folder in private] == [0o700] * 5


def test_root_lets_the_database_user_pass_through_var_and_read_nothing(tmp_path: Path) -> None:
    place = a_layout(tmp_path, as_root=True)
    place.ensure_folders()
    assert mode_of(place.var) == 0o711
    assert mode_of(place.media_folder) == 0o700
    assert mode_of(place.log_folder) == 0o700


def test_folders_that_exist_keep_their_permissions(tmp_path: Path) -> None:
    place = a_layout(tmp_path)
    make_folder(place.var, 0o755)
    place.ensure_folders()
    assert mode_of(place.var) == 0o755


@pytest.mark.parametrize("mode", [0o777, 0o720, 0o702])
def test_a_short_folder_that_others_can_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    place = a_layout(tmp_path, var=tmp_path / ("v" * 120))
    make_folder(place.socket_folder, mode)
    with pytest.raises(LayoutError, match=r"not a folder that only you can write to.*AIVD_VAR"):
        place.ensure_folders()


def test_a_link_in_the_place_of_the_short_folder_is_refused(tmp_path: Path) -> None:
    place = a_layout(tmp_path, var=tmp_path / ("v" * 120))
    make_folder(tmp_path / "elsewhere", 0o700)
    make_folder(place.socket_folder.parent, 0o700)
    place.socket_folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LayoutError):
        place.ensure_folders()


def test_secrets_are_made_once_and_are_private(tmp_path: Path) -> None:
    place = a_layout(tmp_path)
    first = place.secrets()
    assert place.secrets() == first
    assert mode_of(place.secrets_file) == 0o600
    assert len({first.secret_key, first.postgres_password, first.redis_password}) == 3
    assert len(first.secret_key) >= 50


def test_processes_that_start_at_once_agree_on_the_secrets(tmp_path: Path) -> None:
    place = a_layout(tmp_path)
    found = []
    gate = threading.Barrier(8)

    def ask() -> None:
        gate.wait()
        found.append(place.secrets())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert [path.name for path in place.var.iterdir()] == ["secrets.json"]


def test_aivd_var_chooses_the_folder() -> None:
    assert layout_from({"AIVD_VAR": "/srv/aivd/../plant"}).var == Path("/srv/plant")
    assert layout_from({}).var == source.HOME / "var"


def test_an_installed_wheel_keeps_its_things_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "IS_CLONE", False)
    monkeypatch.chdir(tmp_path)
    place = layout_from({})
    assert (place.var, place.root) == (tmp_path / "var", tmp_path / "var")
    assert layout_from({"AIVD_VAR": "data"}).var == tmp_path / "data"


def test_an_installed_wheel_does_not_take_the_systems_own_var(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that names no working folder starts in /."""
    monkeypatch.setattr(source, "IS_CLONE", False)
    monkeypatch.chdir("/")
    with pytest.raises(LayoutError, match="AIVD_VAR"):
        layout_from({})


def test_redis_and_celery_mean_the_same_socket_and_password(tmp_path: Path) -> None:
    place = a_layout(tmp_path, var=tmp_path / "a folder #1")
    for_redis = parse_url(place.redis_url())
    celery = url_to_parts(broker_url(place.redis_url()))
    assert for_redis["path"] == str(place.redis_socket)
    assert f"/{celery.path}" == str(place.redis_socket)
    assert for_redis["password"] == celery.password == place.secrets().redis_password
    assert celery.query == {"virtual_host": "0"}


@pytest.mark.parametrize(
    ("redis_url", "expected"),
    [
        ("redis://cache:6379/3", "redis://cache:6379/3"),
        ("rediss://:pw@cache:6380/0", "rediss://:pw@cache:6380/0"),
        ("unix://:pw@/run/r.sock?db=4", "redis+socket://:pw@/run/r.sock?virtual_host=4"),
        ("unix:///run/r.sock", "redis+socket:///run/r.sock?virtual_host=0"),
    ],
)
def test_broker_url(redis_url: str, expected: str) -> None:
    assert broker_url(redis_url) == expected


def test_open_to_others_looks_at_every_parent(tmp_path: Path) -> None:
    closed = Path("/a-folder-that-is-not-there")
    assert open_to_others(closed)
    make_folder(tmp_path / "closed", 0o700)
    assert not open_to_others(tmp_path / "closed" / "inner")
