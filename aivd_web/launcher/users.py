"""Users that services run as where the launcher is root: none needs root's power, or the files of another."""

import pwd
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from aivd_web.launcher.layout import LayoutError, open_to_others
from aivd_web.launcher.processes import Identity


def service_user(name: str) -> Identity:
    """The user of this name, which is created if it is missing; for root only."""
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        _create(name)
        user = pwd.getpwnam(name)
    return Identity(user.pw_uid, user.pw_gid, user.pw_name)


def _create(name: str) -> None:
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if useradd is None:
        raise LayoutError(
            f"This service does not run as root, and there is no useradd to create the user {name!r}. "
            "Create it, or run AIVD as an ordinary user."
        )
    options = ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    command = [useradd, *options, "--shell", "/usr/sbin/nologin", name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode not in (0, 9):  # 9: it exists by now, another launcher was first
        raise LayoutError(f"The user {name!r} could not be created: {done.stderr.strip()}")


def closed_to_others(paths: Iterable[Path]) -> Path | None:
    """The first of these files and folders that a user who owns nothing here cannot read, or None."""
    for path in paths:
        found = path.resolve()
        readable = 0o005 if found.is_dir() else 0o004
        if not found.exists() or not open_to_others(found.parent) or found.stat().st_mode & readable != readable:
            return path
    return None
