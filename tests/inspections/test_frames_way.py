"""The lists of docs/ARCHITECTURE.md, "From a POST to a description, file by file", are what really runs: one frame is
followed through the whole application, real nodes included, on the request's threads and on the worker's.
"""

import asyncio
import inspect
import json
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import is_dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from django.db import connections

from aivd_web.kernel.parts import parts
from inspections.models import Description, Frame
from inspections.pipeline.worker import Worker, dispatch_waiting
from scheduling.dispatch.ledger import SharedLedger
from scheduling.services import fleet, process, redis_client
from scheduling.services.dispatching import FleetDispatcher
from tests.cast import Cast, picture, token_for
from tests.nodes import RunningNode

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("aivd_web", "finetune", "inspections", "scheduling")
OURS = tuple(f"{room}/" for room in ROOMS)
FIELDS = ("_fields", "__struct_fields__")  # of a named tuple, and of a struct of msgspec
PAGE = (ROOT / "docs" / "ARCHITECTURE.md").read_text()
pytestmark = [
    pytest.mark.stack,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_server"),
]


class Trace:
    """What ran on every thread that was started since: the project's files with a function that was called, and the
    values that were handed over where inspections called scheduling or was called by it.
    """

    def __init__(self) -> None:
        self.files: set[str] = set()
        self.values: set[str] = set()
        self._known: dict[str, str] = {}

    def begin_anew(self) -> None:
        self.files, self.values = set(), set()

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        # Code without CO_OPTIMIZED is the body of a module or class, which runs when it is imported.
        if event not in ("call", "return") or not frame.f_code.co_flags & inspect.CO_OPTIMIZED:
            return
        file = self._file_of(frame)
        if not file:
            return
        self.files.add(file)
        if {self._caller_of(frame).partition("/")[0], file.partition("/")[0]} == {"inspections", "scheduling"}:
            self.values |= names_of_values(list(frame.f_locals.values()) if event == "call" else argument)

    def _file_of(self, frame: FrameType) -> str:
        # What dataclasses write has no file of its own; its globals are those of the class's module.
        path = str(frame.f_globals.get("__file__", ""))
        if path not in self._known:
            inside = Path(path).is_relative_to(ROOT)
            file = str(Path(path).relative_to(ROOT)) if inside else ""
            self._known[path] = file if file.startswith(OURS) else ""
        return self._known[path]

    def _caller_of(self, frame: FrameType) -> str:
        """The file of ours that called, through whatever libraries; empty where a thread begins."""
        caller = frame.f_back
        while caller is not None:
            if file := self._file_of(caller):
                return file
            caller = caller.f_back
        return ""


def names_of_values(thing: Any) -> set[str]:
    """The dataclasses, named tuples and structs of ours in `thing`, and in the collections in it."""
    kind = type(thing)
    if kind.__module__.startswith(ROOMS) and (is_dataclass(kind) or any(hasattr(kind, fields) for fields in FIELDS)):
        return {kind.__name__}
    if isinstance(thing, Mapping):
        return names_of_values(list(thing.values()))
    if kind in (list, tuple, set, frozenset):
        return {name for each in thing for name in names_of_values(each)}
    return set()


@contextmanager
def tracing() -> Iterator[Trace]:
    trace = Trace()
    threading.setprofile(trace)
    sys.setprofile(trace)
    try:
        yield trace
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


async def post(station_id: int, token: str, body: bytes) -> dict[str, Any]:
    from aivd_web.asgi import application

    path = f"/api/v1/stations/{station_id}/frames"
    headers = {"host": "testserver", "content-type": "image/jpeg", "content-length": str(len(body))}
    headers["authorization"] = f"Bearer {token}"
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "http_version": "1.1",
        "scheme": "http",
        "server": ("testserver", 80),
        "client": ("127.0.0.1", 1),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    incoming = asyncio.Queue[dict[str, Any]]()
    incoming.put_nowait({"type": "http.request", "body": body})
    answered: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        answered.append(message)

    await application(scope, incoming.get, send)
    assert answered[0]["status"] == 201, answered
    told: dict[str, Any] = json.loads(b"".join(message.get("body", b"") for message in answered[1:]))
    return told


def sent(station_id: int, token: str, body: bytes) -> dict[str, Any]:
    return asyncio.run(post(station_id, token, body))


def on_its_own_thread(act: Callable[[], Any]) -> Any:
    def work() -> Any:
        try:
            return act()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


@pytest.fixture
def worker(cast: Cast, constant_node: RunningNode, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    """A worker of an edge and a cloud node, as this process' own."""
    for kind, model in (("edge", "edge_detector"), ("cloud", "describer")):
        fleet.ensure_node(name=f"node-{kind}", kind=kind, grpc_url=constant_node.grpc_url, models=(model,))
    dispatcher = FleetDispatcher(ledger=SharedLedger(redis_client.get()), client_for=process.current().clients.of)
    dispatcher.refresh()
    worker = Worker(fleet=dispatcher, lease_s=30, name="w")
    monkeypatch.setitem(parts().made, Worker, worker)
    yield worker
    worker.stop()
    process.current().clients.close()
    connections.close_all()


@pytest.fixture
def traced(cast: Cast, worker: Worker) -> Trace:
    """One frame's way, the second one's: what is made once a process is made by then."""
    token = token_for(cast.line, "ingest", station=cast.station)
    with tracing() as trace:
        for seed in (1, 2):
            trace.begin_anew()
            told = on_its_own_thread(partial(sent, cast.station.pk, token, picture(seed)))
            on_its_own_thread(dispatch_waiting)
    frame = Frame.objects.get(pk=told["frames"][0]["id"])
    assert frame.completed_at
    assert Description.objects.filter(detection__frame=frame).exists()
    return trace


# -- the page ---------------------------------------------------------------------------------------


def bullets(heading: str) -> list[str]:
    section = re.search(rf"^### {heading}\n(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL)
    assert section, heading
    return re.findall(r"^- (.*?)(?=^- |\Z)", section[1], re.MULTILINE | re.DOTALL)


def files_in(bullet: str) -> list[str]:
    """`folder/` goes before every file that follows it."""
    found, folder = list[str](), ""
    for name in re.findall(r"`([^`]+)`", bullet):
        if name.endswith("/"):
            folder = name
        else:
            found.append(folder + name)
    return found


def files_of(heading: str) -> list[str]:
    return [file for bullet in bullets(heading) for file in files_in(bullet)]


def values_of(heading: str) -> list[str]:
    return [name for bullet in bullets(heading) for name in re.findall(r"`([^`]+)`", bullet)]


def test_a_frames_way_is_the_files_that_the_page_lists_and_no_others(traced: Trace) -> None:
    listed, left_out = files_of("Files"), files_of("Left out of the count")
    said = {*listed, *left_out}
    assert traced.files == said, f"ran: {sorted(traced.files - said)}, did not: {sorted(said - traced.files)}"
    assert len(said) == len(listed) + len(left_out)
    assert len(listed) <= 30
    assert f"{len(said)} files, {len(listed)} of which" in PAGE


def test_what_is_handed_over_is_the_values_that_the_page_lists_and_no_others(traced: Trace) -> None:
    listed, left_out = values_of("Values"), values_of("Values left out of the count")
    said = {*listed, *left_out}
    assert traced.values == said, f"seen: {sorted(traced.values - said)}, not: {sorted(said - traced.values)}"
    assert len(said) == len(listed) + len(left_out)
    assert len(listed) <= 9
