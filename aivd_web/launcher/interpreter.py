"""A Python that another user can run, where our own lies in a folder that is closed to others, such as root's home.

A copy of the standard library and the program, made once for each version; the packages stay those of our environment.
Knows nothing of what is run with it.
"""

import shutil
import sys
import sysconfig
from pathlib import Path

from aivd_web.launcher.layout import make_folder
from aivd_web.launcher.users import closed_to_others

NAME = f"python{sys.version_info.major}.{sys.version_info.minor}"
LEFT_OUT = ("site-packages", "test", "idlelib", "ensurepip", "turtledemo", "tkinter", "__pycache__")


def python_for_others(state_folder: Path) -> Path:
    """The folder whose `bin/python3` and `lib` another user can use: our environment's own, or a copy under `state`."""
    own = Path(sys.prefix)
    if closed_to_others([own / "bin" / "python3", Path(sysconfig.get_path("stdlib"))]) is None:
        return own
    home = state_folder / "-".join(["python", *map(str, sys.version_info[:3])])
    if not home.exists():
        _copy(home)
    packages = home / "lib" / NAME / "site-packages"
    packages.unlink(missing_ok=True)
    packages.symlink_to(Path(sysconfig.get_path("purelib")).resolve(), target_is_directory=True)
    return home


def _copy(home: Path) -> None:
    """Beside its place first, then one rename: half a Python is never run."""
    make_folder(home.parent, 0o711)
    draft = home.with_name(f"{home.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    (draft / "bin").mkdir(parents=True)
    shutil.copy2(Path(sys.executable).resolve(), draft / "bin" / NAME)
    (draft / "bin" / "python3").symlink_to(NAME)
    shutil.copytree(
        sysconfig.get_path("stdlib"), draft / "lib" / NAME, ignore=shutil.ignore_patterns(*LEFT_OUT), symlinks=True
    )
    libraries = Path(sysconfig.get_config_var("LIBDIR") or "/nowhere")
    for library in libraries.glob("libpython3*.so*"):
        shutil.copy2(library, draft / "lib" / library.name)
    for path in (draft, *draft.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    draft.rename(home)
