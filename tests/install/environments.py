"""A wheel of this source, and environments into which one of its extras was installed, without a network.

Such an environment holds the wheel, and of the packages of the running environment only those that the extra's
requirements lead to: what is missing from the extra is missing there.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", ".node", "var", "node_modules", "tests", "docs", "build", "__pycache__", ".*_cache", ".hypothesis"
)
OWN = "aivd"


def build_wheel(folder: Path) -> Path:
    """From a copy of the source: a build leaves folders behind."""
    copy = folder / "source"
    shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
    pip = [sys.executable, "-m", "pip", "wheel", "--no-index", "--no-deps", "--no-build-isolation", "--quiet"]
    _run([*pip, f"--wheel-dir={folder}", str(copy)])
    return next(folder.glob("aivd-*.whl"))


@dataclass(frozen=True)
class Installed:
    """An environment of its own. `python` and the commands beside it know nothing of the clone."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def command(self, name: str) -> str:
        return str(self.folder / "bin" / name)

    def run(self, *command: str, cwd: Path, **environ: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*command], cwd=cwd, env=clean(**environ), capture_output=True, text=True, timeout=300, check=False
        )


def clean(**environ: str) -> dict[str, str]:
    """Nothing of this run's own settings."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return kept | environ


def install(wheel: Path, extra: str, folder: Path) -> Installed:
    _run([sys.executable, "-m", "venv", "--without-pip", str(folder)])
    made = Installed(folder)
    pip = [sys.executable, "-m", "pip", "--python", str(made.python), "install", "--no-index", "--no-deps", "--quiet"]
    _run([*pip, str(wheel)])
    packages = next((folder / "lib").glob("python*")) / "site-packages"
    own = Distribution.at(next(packages.glob(f"{OWN}-*.dist-info")))
    for found in closure(own, extra):
        _link(found, packages)
    return made


def closure(own: Distribution, extra: str) -> list[Distribution]:
    """The distributions that `own[extra]` needs, and what those need, as pip would follow them."""
    found: dict[str, Distribution] = {}
    waiting, seen = [Requirement(f"{OWN}[{extra}]")], set()
    while waiting:
        asked = waiting.pop()
        name = re.sub(r"[-_.]+", "-", asked.name).lower()
        if (name, extras := frozenset(asked.extras)) in seen:
            continue
        seen.add((name, extras))
        here = found.setdefault(name, own if name == OWN else distribution(name))
        waiting += [needed for needed in map(Requirement, here.requires or []) if _applies(needed, extras)]
    del found[OWN]
    return list(found.values())


def _applies(needed: Requirement, extras: frozenset[str]) -> bool:
    return needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras or {""})


def _link(found: Distribution, packages: Path) -> None:
    """File by file, for distributions share folders. Hard links where the file system allows: OpenCV looks for its
    parts where a symbolic link leads. Programs beside site-packages are left out.
    """
    for file in found.files or []:
        if ".." in file.parts or "__pycache__" in file.parts:
            continue
        link = packages / file
        link.parent.mkdir(parents=True, exist_ok=True)
        target = Path(str(found.locate_file(file))).resolve()
        if link.exists() or not target.is_file():
            continue
        try:
            link.hardlink_to(target)
        except OSError:  # on another file system, or not ours to link
            shutil.copy2(target, link)


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
