"""The stage of `docs/how-to/add-a-stage.md` is added with what that page lists, and a frame goes through it."""

import json
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import pytest
from rest_framework.test import APIClient

from inspections.models import Frame, Step
from inspections.pipeline.stages import STAGES
from inspections.pipeline.worker import Worker
from scheduling.client.answers import RawOutputs
from scheduling.client.triton import bytes_tensor
from scheduling.models import Dispatch, ServedModel
from scheduling.services import fleet
from scheduling.serving.contracts import MODELS, ModelContract, tensors
from tests.cast import Cast, add_frame
from tests.inspections.fake_nodes import FakeNode, runtime_of

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "how-to" / "add-a-stage.md").read_text()
MODULE = "inspections.pipeline.stages.serial_number"
META = {"model": "reader", "version": "1", "digest": "ab", "runtime": "python", "service_ms": 3.0, "queue_ms": 0.5}
T = TypeVar("T")
pytestmark = [
    pytest.mark.stack,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_server"),
]


class ReadingNode(FakeNode):
    """Also reads serial numbers."""

    text = "SN-0042"

    def infer(
        self, contract: ModelContract, contents: Sequence[bytes], read: Callable[[RawOutputs], T], *, timeout_s: float
    ) -> T:
        assert contract.model == "serial_reader"
        assert len(contents) == len(contract.inputs) == 1
        assert timeout_s > 0
        outputs = {"text": self.text.encode(), "meta": json.dumps(META).encode()}
        return read({name: ("BYTES", (1,), bytes_tensor([value])) for name, value in outputs.items()})


def block(file: str) -> str:
    """The code that the page gives for a file."""
    found = re.search(rf"`{re.escape(file)}`.*?```python\n(.*?)\n +```", PAGE, re.DOTALL)
    assert found, file
    return textwrap.dedent(found[1])


def files_of_the_page() -> list[str]:
    return re.findall(r"^\d+\. `([^`]+)`", PAGE, re.MULTILINE)


@pytest.fixture
def _added(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What the page says, done: the contract with its line, the stage's file, its line in the registry."""
    exec(compile(block("scheduling/serving/contracts/tensors.py"), "tensors.py", "exec"), vars(tensors))
    contract: ModelContract = vars(tensors)["SERIAL_READER"]
    monkeypatch.setitem(MODELS, contract.model, contract)
    module = ModuleType(MODULE)
    monkeypatch.setitem(sys.modules, MODULE, module)
    source = block("inspections/pipeline/stages/serial_number.py")
    exec(compile(source, "serial_number.py", "exec"), vars(module))
    stage: Any = vars(module)["SerialNumberStage"]()
    monkeypatch.setitem(STAGES.by_kind, stage.kind, stage)
    yield
    del vars(tensors)["SERIAL_READER"]


def test_it_takes_four_files_at_most() -> None:
    files = files_of_the_page()
    assert len(files) == 4
    for file in files:
        assert (ROOT / file).parent.is_dir() or "test_" in file
    for file in files[0], files[2]:
        assert (ROOT / file).exists()


def inspected(station: Any, node: FakeNode) -> Frame:
    runtime = runtime_of(node)
    fleet.ensure_node(
        name=node.name, kind="edge", grpc_url="127.0.0.1:1", models=("edge_detector", "serial_reader"), capacity=4
    )
    runtime.refresh()
    frame = add_frame(station)
    worker = Worker(fleet=runtime, lease_s=30, threads=4, name="w")
    try:
        assert worker.run_until_idle() == 2
    finally:
        worker.stop()
    frame.refresh_from_db()
    return frame


@pytest.mark.usefixtures("_added")
def test_a_frame_goes_through_the_added_stage_and_shows_what_was_read(cast: Cast) -> None:
    frame = inspected(cast.station, ReadingNode("edge-1"))
    assert frame.completed_at
    assert list(Step.objects.filter(frame=frame).order_by("id").values_list("kind", "state")) == [
        ("detect", "done"),
        ("serial_number", "done"),
    ]
    client = APIClient()
    client.force_login(cast.vera)
    seen = client.get(f"/api/v1/frames/{frame.pk}").json()
    (step,) = [step for step in seen["steps"] if step["kind"] == "serial_number"]
    assert (step["title"], step["result"]) == ("Read serial number", {"Serial number": "SN-0042"})
    assert seen["dispatches"]["serial_number"]["node"] == "edge-1"
    booked = Dispatch.objects.get(model="serial_reader")
    assert (booked.outcome, booked.service_ms) == ("ok", 3.0)
    assert (booked.served_model.kind, booked.served_model.name) == (ServedModel.Kind.OTHER, "reader")


@pytest.mark.usefixtures("_added")
def test_what_a_model_wrote_can_be_kept_and_is_cut(cast: Cast) -> None:
    node = ReadingNode("edge-1")
    node.text = "\x00" + "9" * 5000
    frame = inspected(cast.station, node)
    assert Step.objects.get(frame=frame, kind="serial_number").result == {"text": "\ufffd" + "9" * 99}


def test_without_it_a_row_of_the_stage_is_still_shown(cast: Cast) -> None:
    """Rows may be newer than the code: after a step back to an older version."""
    frame = add_frame(cast.station)
    Step.objects.create(frame=frame, kind="serial_number", state="done", deadline_at=frame.deadline_at, result={"a": 1})
    client = APIClient()
    client.force_login(cast.vera)
    steps = client.get(f"/api/v1/frames/{frame.pk}").json()["steps"]
    assert [(step["kind"], step["title"], step["result"]) for step in steps] == [
        ("detect", "Detect", {}),
        ("serial_number", "serial_number", {}),
    ]
