"""One picture that costs a node more than it may is held for what it is; no other line waits for it."""

import threading
import time
from collections.abc import Callable, Iterator
from io import BytesIO

import pytest
from django.db import connections
from PIL import Image

from inspections.intake import ingest
from inspections.models import Frame, Station
from inspections.pipeline.worker import Worker, own_connection
from scheduling.dispatch.ledger import LocalLedger
from scheduling.models import Dispatch
from scheduling.services import fleet, process
from scheduling.services.dispatching import FleetDispatcher
from scheduling.services.heartbeat import Heartbeat
from scheduling.serving.nodes import NodeSpec
from tests.cast import Cast
from tests.node_fakes import SLOW
from tests.nodes import TEST_MODELS, RunningNode, node_spec

pytestmark = [
    pytest.mark.stack,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_server"),
]
SLOW_S = 4
DETECTOR = f"python:tests.node_fakes:ConstantDetector?service_ms=5&slow_s={SLOW_S}"


@pytest.fixture
def worker(make_node: Callable[[NodeSpec], RunningNode]) -> Iterator[Worker]:
    """A worker of two real nodes that give a picture a second, where some pictures take four."""
    environment = {**TEST_MODELS, "AIVD_STEP_BUDGET_S": "1"}
    for name in ("edge-1", "edge-2"):
        node = make_node(node_spec(name, "edge_detector", detector=DETECTOR, environment=environment))
        fleet.ensure_node(name=name, kind="edge", grpc_url=node.spec.grpc_url, models=("edge_detector",), capacity=1)
    runtime = FleetDispatcher(ledger=LocalLedger(), client_for=process.current().clients.of)
    runtime.refresh()
    worker = Worker(fleet=runtime, lease_s=30, threads=8, name="w")
    yield worker
    worker.stop()
    process.current().clients.close()
    connections.close_all()


def send(station: Station, width: int, seed: int) -> Frame:
    buffer = BytesIO()
    Image.new("RGB", (width, 48), (seed % 256, 90, 40)).save(buffer, "PNG")
    return ingest.add_frame(station=station, data=buffer.getvalue(), sender="test").frame


def test_a_picture_that_is_slow_on_every_node_is_held_and_the_other_line_goes_on(cast: Cast, worker: Worker) -> None:
    slow = send(cast.station, SLOW, 1)
    others, ended = list[Frame](), threading.Event()

    def other_line() -> None:
        with own_connection():
            for seed in range(60):
                others.append(send(cast.other_station, 64, seed))
                ended.wait(0.05)

    sender = threading.Thread(target=other_line)
    sender.start()
    until = time.monotonic() + 40
    while time.monotonic() < until:
        worker.run_until_idle()
        if not sender.is_alive() and not Frame.objects.filter(decision__isnull=True).exists():
            break
    sender.join(10)

    slow.refresh_from_db()
    assert (slow.decision.outcome, slow.decision.code) == ("hold", "failed")
    assert "longer than" in slow.decision.reason
    assert slow.steps.get().state == "failed"
    assert Dispatch.objects.filter(subject=str(slow.pk)).count() <= 3
    decided = Frame.objects.filter(pk__in=[frame.pk for frame in others]).select_related("decision")
    assert {frame.decision.code for frame in decided} == {"defect"}
    assert len(decided) == 60

    # Nothing is left of it: a beat brings both nodes, which refused others while they were held up, back into rotation.
    heart, until = Heartbeat(worker.fleet), time.monotonic() + 20
    while any(map(worker.fleet.given_up, ("edge-1", "edge-2"))) and time.monotonic() < until:
        heart.beat()
    assert not any(map(worker.fleet.given_up, ("edge-1", "edge-2")))
    assert not any(state.ledger for state in worker.fleet.state.nodes.values())
