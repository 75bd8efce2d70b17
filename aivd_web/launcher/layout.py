"""Where AIVD keeps its things on this machine: folders, sockets, secrets, and the settings that follow.

Read by the launcher, which starts the embedded parts, and by Django's settings, which connect to them; both
must come to the same answer in any process, so everything follows from the environment and from what is on
the disk. It knows no Django and starts nothing. It creates folders and secrets below its own roots only, and
never changes the permissions of anything that it did not create.
"""

import hashlib
import json
import os
import re
import secrets as random_secrets
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from urllib.parse import quote, urlsplit

from aivd_web.launcher import source

MAX_SOCKET_PATH_BYTES = 107
"""A unix socket's address holds 108 bytes and the last one is a zero (unix(7))."""

PLAIN_PATH = re.compile(r"[A-Za-z0-9_./+-]+")

POSTGRES_PORT = "5432"
"""Part of the socket's name only; the embedded PostgreSQL listens on no network address."""

DATABASE_NAME = "aivd"
DATABASE_ROLE = "aivd"
DATABASE_ADMIN = "postgres"

STATE_ROOT = Path("/var/lib/aivd")
RUN_ROOT = Path("/run")
TEMP_ROOT = Path("/tmp")  # noqa: S108 - fixed, so that every process finds the same folder; its owner is checked


class LayoutError(RuntimeError):
    """The folders of this machine cannot be used as they are; the text says which one and what to do."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the parts prove themselves with; made once for each var folder."""

    secret_key: str
    postgres_password: str
    postgres_admin_password: str
    redis_password: str


@dataclass(frozen=True, slots=True)
class Layout:
    """The places of one installation; two installations differ in `var` and share nothing.

    `root` is where our processes run: Python looks for packages there too, so nobody else may write to it.
    """

    root: Path
    var: Path
    as_root: bool
    state_root: Path = STATE_ROOT
    run_root: Path = RUN_ROOT
    temp_root: Path = TEMP_ROOT

    @property
    def key(self) -> str:
        """Stands for the var folder where its own path is too long or cannot be entered."""
        return hashlib.sha256(os.fsencode(self.var)).hexdigest()[:10]

    @property
    def log_folder(self) -> Path:
        return self.var / "log"

    @property
    def run_folder(self) -> Path:
        return self.var / "run"

    @property
    def media_folder(self) -> Path:
        return self.var / "media"

    @property
    def static_folder(self) -> Path:
        return self.var / "static"

    @property
    def secrets_file(self) -> Path:
        return self.var / "secrets.json"

    @property
    def state_folder(self) -> Path:
        """Holds what the dedicated PostgreSQL user must reach when a folder above `var` is closed to it."""
        return self.state_root / self.key

    @property
    def postgres_data(self) -> Path:
        """The database's folder: where it already is, else the place that its user can enter."""
        own, state = self.var / "postgres", self.state_folder / "postgres"
        if own.exists():
            return own
        if state.exists():
            return state
        return own if self._reachable(self.var) else state

    @property
    def socket_folder(self) -> Path:
        """In `var` if the addresses fit into a socket's name and URL, else a short folder of our own."""
        own = self.run_folder / "s"
        fits = is_plain(own) and _longest_socket(own) <= MAX_SOCKET_PATH_BYTES
        if fits and self._reachable(self.run_folder):
            return own
        if self.as_root:
            return self.run_root / f"aivd-{self.key}"
        return self.temp_root / f"aivd-{os.getuid()}-{self.key}"

    @property
    def nodes_folder(self) -> Path:
        """What the nodes need laid out; Triton starts its Python processes by a line for a shell, without quotes."""
        own = self.run_folder / "nodes"
        return own if is_plain(own) else self.socket_folder / "nodes"

    @property
    def postgres_socket_folder(self) -> Path:
        return self.socket_folder / "pg"

    @property
    def redis_socket(self) -> Path:
        return self.socket_folder / "redis" / "redis.sock"

    def _reachable(self, folder: Path) -> bool:
        """Only root has a second user to think of: PostgreSQL refuses to run as root."""
        return not self.as_root or open_to_others(folder)

    def ensure_folders(self) -> None:
        """Create the folders that are missing. Passing through `var` is allowed where another user must."""
        make_folder(self.var, 0o711 if self.as_root else 0o700)
        make_folder(self.run_folder, 0o711 if self.as_root else 0o700)
        make_folder(self.log_folder, 0o700)
        make_folder(self.media_folder, 0o700)
        make_folder(self.socket_folder, 0o711 if self.as_root else 0o700)
        if not self.socket_folder.is_relative_to(self.var):
            refuse_foreign_folder(self.socket_folder)
        make_folder(self.redis_socket.parent, 0o700)

    def secrets(self) -> Secrets:
        """Read this installation's secrets, or make them; the first of several processes at once wins."""
        if not self.secrets_file.exists():
            make_folder(self.var, 0o711 if self.as_root else 0o700)
            _write_once(self.secrets_file, json.dumps(asdict(_new_secrets()), indent=1))
        try:
            values = json.loads(self.secrets_file.read_text())
        except PermissionError as error:
            raise LayoutError(
                f"{self.secrets_file} belongs to another user. Run AIVD as that user, "
                "or set AIVD_VAR to a folder of your own."
            ) from error
        return Secrets(**{field.name: values[field.name] for field in fields(Secrets)})

    def database_settings(self) -> dict[str, str]:
        """Django's DATABASES entry for the embedded PostgreSQL."""
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": DATABASE_NAME,
            "USER": DATABASE_ROLE,
            "PASSWORD": self.secrets().postgres_password,
            "HOST": str(self.postgres_socket_folder),
            "PORT": POSTGRES_PORT,
        }

    def redis_url(self) -> str:
        """The embedded Redis in redis-py's words, which are those of channels_redis too."""
        return f"unix://:{self.secrets().redis_password}@{quote(str(self.redis_socket))}?db=0"


def broker_url(redis_url: str) -> str:
    """The same Redis in Celery's words.

    kombu (`transport/redis.py`) takes a unix socket as `redis+socket://`, its database as `virtual_host`, and
    the password from before the `@` only: one in the query is overwritten with nothing.
    """
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return redis_url
    database = dict(pair.split("=", 1) for pair in parts.query.split("&") if "=" in pair).get("db", "0")
    who = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    return f"redis+socket://{who}{parts.path}?virtual_host={database}"


def layout_from(environ: Mapping[str, str]) -> Layout:
    """The layout that these environment variables ask for: AIVD_VAR, else `var` in the clone or, where a wheel was
    installed, in the working folder. Nothing is ever kept beside installed packages."""
    home = source.HOME if source.IS_CLONE else Path.cwd()
    if not environ.get("AIVD_VAR") and home == Path("/"):
        raise LayoutError("The working folder is / and its var is the system's own. Name a folder in AIVD_VAR.")
    var = Path(os.path.abspath(environ.get("AIVD_VAR") or home / "var")).resolve()
    return Layout(root=source.HOME if source.IS_CLONE else var, var=var, as_root=os.geteuid() == 0)


@cache
def current() -> Layout:
    """The layout of this process."""
    return layout_from(os.environ)


def is_plain(path: Path) -> bool:
    """Whether a shell and a URL take the path as it is: no blanks, quotes, umlauts or the like."""
    return PLAIN_PATH.fullmatch(str(path)) is not None


def open_to_others(folder: Path) -> bool:
    """Whether a user who owns nothing here may pass through `folder`; what is missing will be made so."""
    return all(bool(parent.stat().st_mode & stat.S_IXOTH) for parent in (folder, *folder.parents) if parent.exists())


def make_folder(folder: Path, mode: int) -> None:
    """Create `folder` with exactly `mode`, whatever the umask; one that exists stays as it is."""
    if not folder.parent.exists():
        make_folder(folder.parent, mode)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return
    folder.chmod(mode)


def refuse_foreign_folder(folder: Path) -> None:
    """A folder at a guessable place must be ours: anybody could have put one there to listen for us."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise LayoutError(
            f"{folder} is not a folder that only you can write to (owner {found.st_uid}, "
            f"mode {found.st_mode & 0o7777:o}). Remove it, or set AIVD_VAR to a shorter path."
        )


def _longest_socket(folder: Path) -> int:
    sockets = (folder / "pg" / f".s.PGSQL.{POSTGRES_PORT}", folder / "redis" / "redis.sock")
    return max(len(os.fsencode(path)) for path in sockets)


def _new_secrets() -> Secrets:
    """Letters, digits, `-` and `_` only, so that no URL has to quote them."""
    return Secrets(*(random_secrets.token_urlsafe(size) for size in (48, 24, 24, 24)))


def _write_once(file: Path, text: str) -> None:
    """Put `text` there whole, at 0600, unless another process was first: link(2) refuses a taken name."""
    draft = file.with_name(f".{file.name}.{os.getpid()}.{random_secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    try:
        os.link(draft, file)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
