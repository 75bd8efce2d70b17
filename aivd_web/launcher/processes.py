"""Processes of this machine: know one again by its start time, start one that dies with us, end one for good.

Linux only (procfs, prctl). It knows nothing of what the processes do.
"""

import ctypes
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class ProcessMark:
    """A process that cannot be mistaken for a later one with the same pid."""

    pid: int
    started_ticks: int
    boot_id: str

    def alive(self) -> bool:
        return mark_of(self.pid) == self

    def as_json(self) -> dict[str, int | str]:
        return {"pid": self.pid, "started_ticks": self.started_ticks, "boot_id": self.boot_id}

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> "ProcessMark":
        return cls(int(str(value["pid"])), int(str(value["started_ticks"])), str(value["boot_id"]))


@dataclass(frozen=True, slots=True)
class Identity:
    """The user that a child runs as."""

    uid: int
    gid: int
    name: str

    def popen_arguments(self) -> dict[str, Any]:
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def mark_of(pid: int) -> ProcessMark | None:
    """The mark of a running process; None if there is none, or only its unread exit status (a zombie)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in brackets and may hold anything: count from its end (proc(5)).
    after_name = stat.rpartition(")")[2].split()
    if after_name[0] in "ZX":
        return None
    return ProcessMark(pid, int(after_name[19]), _boot_id())


def command_of(pid: int) -> str:
    """The command line of a process for people to read; empty if it is gone or not ours to see."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def die_with_parent(death_signal: int) -> Callable[[], None]:
    """What a child runs between fork and exec so that the kernel signals it when its parent ends in any way.

    It must be used after the change of user, which clears the request (prctl(2)); subprocess does so. The
    parent may be gone before the request is made, which is why it is looked for again afterwards.
    """
    parent = os.getpid()

    def ask_kernel() -> None:
        _libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)

    return ask_kernel


def signal_group(mark: ProcessMark, number: int) -> None:
    """Signal the process group that `mark` leads; nothing happens if it has gone."""
    try:
        os.killpg(mark.pid, number)
    except ProcessLookupError:
        return


def end_group(mark: ProcessMark, *, stop_signal: int, within_s: float) -> bool:
    """End a process that is not our child, politely first; True if it has gone."""
    if not mark.alive():
        return True
    os.kill(mark.pid, stop_signal)
    if wait_until(lambda: not mark.alive(), within_s=within_s):
        return True
    signal_group(mark, signal.SIGKILL)
    return wait_until(lambda: not mark.alive(), within_s=5)


def wait_until(condition: Callable[[], bool], *, within_s: float, every_s: float = 0.05) -> bool:
    """Wait for a condition that nothing announces."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(every_s)
    return True


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
