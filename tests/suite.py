"""What the whole run shares, and the check after each test that it is still as it was.

A test that breaks a service breaks one of its own. Where one did not, or a service died by itself, the test that
was running is named, and the run ends there: every later failure would only be an echo of it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
from PIL import Image

LIBRARY_FUNCTIONS = ((Image, "open"), (torch, "save"), (torch, "load"), (cv2, "imread"), (cv2, "imwrite"))
_as_imported: list[Any] = [getattr(owner, name) for owner, name in LIBRARY_FUNCTIONS]


@dataclass(frozen=True)
class SharedPart:
    """A process that tests share. `pid` is None once it has ended."""

    name: str
    pid: Callable[[], int | None]
    log: Path
    first_pid: int | None


_shared: list[SharedPart] = []


@contextmanager
def shared(name: str, *, pid: Callable[[], int | None], log: Path) -> Iterator[None]:
    """For as long as this lasts, no test may end or replace the process."""
    part = SharedPart(name, pid, log, pid())
    _shared.append(part)
    try:
        yield
    finally:
        _shared.remove(part)


def troubles() -> list[str]:
    """What is not as it was, one sentence each."""
    found = []
    for part in _shared:
        if part.pid() != part.first_pid:
            state = "died" if part.pid() is None else "was replaced"
            found.append(f"the run's own {part.name} {state}; the end of its log:\n{_tail(part.log)}")
    for (owner, name), function in zip(LIBRARY_FUNCTIONS, _as_imported, strict=True):
        if getattr(owner, name) is not function:
            found.append(f"{owner.__name__}.{name} was replaced for the whole process")
            setattr(owner, name, function)
    return found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """After the test's fixtures have put back what they changed."""
    yield
    may_break = item.get_closest_marker("breaks_services") is not None
    found = [] if may_break else troubles()
    if any("the run's own" in one for one in found):
        item.session.shouldstop = f"after {item.nodeid}: {found[0]}"
    if found:
        pytest.fail("; ".join(found), pytrace=False)


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-1500:] if log.exists() else "(no log)"
