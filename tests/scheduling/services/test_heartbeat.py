"""The heartbeat: what it finds out about real nodes, and that one in trouble does not hide the others."""

import os
import signal
from collections.abc import Callable, Iterator

import pytest

from scheduling.client.triton import CONTROL_VARIABLE
from scheduling.dispatch.ledger import SharedLedger
from scheduling.models import Node
from scheduling.services import fleet, process, redis_client
from scheduling.services.dispatching import FleetDispatcher
from scheduling.services.heartbeat import Heartbeat
from tests.nodes import RunningNode, node_spec
from tests.waiting import eventually

pytestmark = [pytest.mark.stack, pytest.mark.django_db, pytest.mark.usefixtures("redis_server")]


@pytest.fixture(autouse=True)
def _own_clients() -> Iterator[None]:
    redis_client.get().flushdb()
    yield
    process.current().clients.close()


def heartbeat_of(*nodes: RunningNode) -> Heartbeat:
    for node in nodes:
        fleet.ensure_node(name=node.name, kind="edge", grpc_url=node.grpc_url, models=("edge_detector",))
    return Heartbeat(FleetDispatcher(ledger=SharedLedger(redis_client.get()), client_for=process.current().clients.of))


def beat_until(heart: Heartbeat, found: Callable[[], bool]) -> int:
    """Beat until `found`; return how many beats it took."""
    beats = 0

    def found_or_beaten() -> bool:
        nonlocal beats
        if found():
            return True
        heart.beat()
        beats += 1
        return False

    eventually(found_or_beaten, lambda: list(Node.objects.values("name", "health", "health_detail")))
    return beats


def health(name: str) -> str:
    return Node.objects.get(name=name).health


def test_a_stopped_node_is_found_and_does_not_delay_the_beat_of_the_others(
    make_node: Callable[..., RunningNode],
) -> None:
    well, hung = make_node(node_spec("well", "edge_detector")), make_node(node_spec("hung", "edge_detector"))
    heart = heartbeat_of(well, hung)
    beat_until(heart, lambda: health("well") == health("hung") == "ready")

    hung.freeze()
    try:
        beat_until(heart, lambda: heart.fleet.view()["hung"]["breaker"] == "open")
        assert (health("well"), health("hung")) == ("ready", "unreachable")
    finally:
        hung.thaw()
    beat_until(heart, lambda: health("hung") == "ready" and heart.fleet.view()["hung"]["breaker"] == "closed")


def test_a_model_whose_process_died_is_loaded_again(
    make_node: Callable[..., RunningNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    node = make_node(node_spec("orphan", "edge_detector"))
    monkeypatch.setenv(CONTROL_VARIABLE, node.spec.control)
    heart = heartbeat_of(node)
    beat_until(heart, lambda: health("orphan") == "ready")

    os.kill(node.model_process("edge_detector"), signal.SIGKILL)

    beat_until(heart, lambda: health("orphan") == "unreachable")
    beat_until(heart, lambda: health("orphan") == "ready")
    assert node.client.canary("edge_detector", timeout_s=5) > 0


def test_a_drained_node_is_still_watched(constant_node: RunningNode) -> None:
    heart = heartbeat_of(constant_node)
    beat_until(heart, lambda: health("constant") == "ready")
    fleet.set_draining(node=Node.objects.get(name="constant"), draining=True, by="Alice")

    heart.beat()

    assert heart.fleet.state.nodes["constant"].drained
    assert health("constant") == "ready"
