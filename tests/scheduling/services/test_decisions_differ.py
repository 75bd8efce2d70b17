"""Real nodes of unequal speed, one behind a slow link: choices differ because of what was measured, and say so."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

import pytest

from scheduling.client.inference import DetectInference
from scheduling.dispatch.ledger import SharedLedger
from scheduling.dispatch.values import Request
from scheduling.models import Dispatch
from scheduling.policy.types import Item
from scheduling.services import fleet, process, redis_client
from scheduling.services.dispatching import FleetDispatcher, book
from scheduling.services.heartbeat import Heartbeat
from tests.nodes import CONSTANT_DETECTOR, RunningNode, node_spec, picture
from tools.linkfault.proxy import FaultProxy, LinkSettings

pytestmark = [pytest.mark.stack, pytest.mark.django_db, pytest.mark.usefixtures("redis_server")]
NUMBERS = count()


@contextmanager
def far_away(node: RunningNode, *, delay_ms: float) -> Iterator[str]:
    """The node's address behind a link that adds `delay_ms` to each round trip."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    host, port = node.grpc_url.split(":")
    proxy = FaultProxy((host, int(port)), LinkSettings(delay_ms=delay_ms))
    try:
        listening = asyncio.run_coroutine_threadsafe(proxy.start(), loop).result(timeout=10)
        yield f"127.0.0.1:{listening}"
    finally:
        asyncio.run_coroutine_threadsafe(proxy.close(), loop).result(timeout=10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=10)
        loop.close()


def inspect_one(runtime: FleetDispatcher) -> str:
    """Place and carry out one request; return the node that did it."""
    frame, now = picture(320, 320), runtime.clock()
    item = Item(f"{next(NUMBERS)}", "edge_detector", len(frame), now + 5, now)
    assignments, _ = runtime.place([Request(item, "a frame", "pct-lb")], limit=1)
    (begun,) = runtime.begin(assignments)
    answered = runtime.carry_out(begun, DetectInference(frame, min_score=0.1, timeout_s=5))
    book(answered.provenance)
    return answered.provenance.node


def runtime_of(**addresses: str) -> FleetDispatcher:
    for name, address in addresses.items():
        fleet.ensure_node(name=name, kind="edge", grpc_url=address, models=("edge_detector",))
    runtime = FleetDispatcher(ledger=SharedLedger(redis_client.get()), client_for=process.current().clients.of)
    Heartbeat(runtime).beat()
    return runtime


@pytest.fixture(autouse=True)
def _own_clients() -> Iterator[None]:
    yield
    process.current().clients.close()


def test_the_faster_of_two_nodes_gets_the_work_and_the_reason_names_both(
    make_node: Callable[..., RunningNode],
) -> None:
    fast = make_node(node_spec("fast", "edge_detector", detector=f"{CONSTANT_DETECTOR}?service_ms=2"))
    slow = make_node(node_spec("slow", "edge_detector", detector=f"{CONSTANT_DETECTOR}?service_ms=150"))
    runtime = runtime_of(fast=fast.grpc_url, slow=slow.grpc_url)

    chosen = Counter(inspect_one(runtime) for _ in range(14))

    assert chosen["fast"] >= 10, chosen
    last = Dispatch.objects.filter(node__name="fast").latest("id")
    assert last.reason.startswith("fast: ")
    assert {alternative["node"] for alternative in last.alternatives} >= {"slow"}
    assert last.predicted_ms is not None
    assert last.predicted_ms < next(a["predicted_ms"] for a in last.alternatives if a["node"] == "slow")


def test_of_two_equal_nodes_the_one_behind_a_slow_link_is_left_alone(
    make_node: Callable[..., RunningNode],
) -> None:
    near = make_node(node_spec("near", "edge_detector"))
    far = make_node(node_spec("far", "edge_detector"))
    with far_away(far, delay_ms=120) as address:
        runtime = runtime_of(near=near.grpc_url, far=address)

        chosen = Counter(inspect_one(runtime) for _ in range(14))

        assert chosen["near"] >= 11, chosen
        view = runtime.view()
        assert view["far"]["rtt_ms"] >= 100 > view["near"]["rtt_ms"]


def test_a_drained_node_gets_nothing_and_the_reason_says_so(make_node: Callable[..., RunningNode]) -> None:
    one = make_node(node_spec("one", "edge_detector"))
    other = make_node(node_spec("other", "edge_detector"))
    runtime = runtime_of(one=one.grpc_url, other=other.grpc_url)
    fleet.set_draining(node=next(row for row in runtime.rows() if row.name == "one"), draining=True, by="Alice")
    runtime.refresh()

    assert Counter(inspect_one(runtime) for _ in range(5)) == {"other": 5}
    assert "one drained" in Dispatch.objects.latest("id").reason.replace(" is ", " ")
