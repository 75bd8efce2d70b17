"""One frame from its POST to its description, traced: the files and values that `docs/ARCHITECTURE.md` lists are those.

Both sides are watched: the thread of the request, and all threads of the worker. The nodes are real. The frame is the
second one of the process, so that what is made once (clients, connections, the policy object) is not in the way.
"""

import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import is_dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from rest_framework.test import APIClient

from inspections import tasks
from inspections.models import Description, Frame
from inspections.pipeline import process
from scheduling.services import fleet
from scheduling.services import process as fleet_process
from tests.cast import Cast, picture, token_for
from tests.nodes import RunningNode

ROOT = Path(__file__).resolve().parents[1]
OURS = ("aivd_web", "finetune", "inspections", "scheduling")
PAGE = (ROOT / "docs" / "ARCHITECTURE.md").read_text()
MOST_FILES, MOST_VALUES = 30, 9
pytestmark = [
    pytest.mark.stack,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_server"),
]


class Trace:
    """Which of our files ran a function of theirs, and of which of our types values were made."""

    def __init__(self) -> None:
        self.files: set[str] = set()
        self.values: set[str] = set()

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if event != "call":
            return
        name = frame.f_code.co_filename
        if name == "<string>" and frame.f_code.co_name == "__init__":  # as dataclasses write it
            made = type(frame.f_locals.get("self"))
            if made.__module__.startswith(OURS) and is_dataclass(made):
                self.values.add(made.__name__)
        elif name.startswith(str(ROOT)) and name.removeprefix(f"{ROOT}/").startswith(OURS):
            self.files.add(name.removeprefix(f"{ROOT}/"))


@contextmanager
def traced() -> Iterator[Trace]:
    trace = Trace()
    threading.setprofile(trace)
    sys.setprofile(trace)
    try:
        yield trace
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # None takes it back


def listed(heading: str) -> set[str]:
    """What stands in backticks in the list below a heading of the page."""
    found = re.search(rf"^### {re.escape(heading)}\n(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, heading
    return {name for line in re.findall(r"^- .*(?:\n  .*)*", found[1], re.MULTILINE) for name in names(line)}


def names(line: str) -> list[str]:
    """`folder/` before a colon is put in front of the names after it."""
    folder, colon, rest = line.partition("`: ")
    prefix = folder.rpartition("`")[2] if colon else ""
    return [prefix + name for name in re.findall(r"`([^`]+)`", rest if colon else line)]


@pytest.fixture
def _own_process(constant_node: RunningNode) -> Iterator[None]:
    """The worker of this process, as a Celery process has it, over one node that serves both models."""
    models = ("edge_detector", "describer")
    fleet.ensure_node(name="both", kind="cloud", grpc_url=constant_node.grpc_url, models=models, capacity=4)
    fleet_process.current().__dict__.pop("dispatcher", None)
    process.current.cache_clear()
    yield
    process.current().stop()
    fleet_process.current().clients.close()
    fleet_process.current().__dict__.pop("dispatcher", None)
    process.current.cache_clear()


def inspect(cast: Cast, token: str, seed: int) -> None:
    answer = APIClient().post(
        f"/api/v1/stations/{cast.station.pk}/frames",
        data=picture(seed),
        content_type="image/jpeg",
        headers={"Authorization": f"Bearer {token}"},
    )
    assert answer.status_code == 201, answer.content
    tasks.dispatch_waiting()


@pytest.mark.usefixtures("_own_process")
def test_a_frame_passes_the_files_and_values_that_the_page_lists(cast: Cast) -> None:
    token = token_for(cast.line, "ingest")
    inspect(cast, token, 1)
    with traced() as trace:
        process.current()._pool._threads.clear()  # type: ignore[attr-defined]  # threads that began before are not watched
        inspect(cast, token, 2)
    assert not Frame.objects.filter(completed_at=None).exists()
    assert Description.objects.count() > 1

    on_the_way = listed("Files")
    beside = listed("Left out of the count")
    left_out = {name for name in trace.files if any(name == one or name.startswith(f"{one}/") for one in beside)}
    assert trace.files - left_out == on_the_way
    assert len(on_the_way) <= MOST_FILES
    values = listed("Values")
    assert len(values) <= MOST_VALUES
    assert trace.values - values == listed("Values of one room")
