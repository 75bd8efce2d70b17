"""Real nodes that answer wrongly, late, twice or not as agreed: it is dropped and counted, and the work goes on."""

import time
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2_grpc

from scheduling.client.answers import NodeError
from scheduling.client.inference import DetectInference
from scheduling.dispatch.ledger import SharedLedger
from scheduling.dispatch.values import Assignment, Request
from scheduling.models import Dispatch, Node
from scheduling.policy.types import Item
from scheduling.services import fleet, process, redis_client
from scheduling.services.dispatching import FleetDispatcher, book
from scheduling.services.heartbeat import Heartbeat
from scheduling.serving.contracts import DescribeRequest
from tests.nodes import CONSTANT_DETECTOR, RunningNode, node_spec, picture
from tests.scheduling.client.test_triton import WrongNode

pytestmark = [pytest.mark.stack, pytest.mark.django_db, pytest.mark.usefixtures("redis_server")]
BAD_SCORE_WIDTH = 19  # at which the test model answers NaN
MakeNode = Callable[..., RunningNode]


@pytest.fixture(autouse=True)
def _own_clients() -> Iterator[None]:
    redis_client.get().flushdb()
    yield
    process.current().clients.close()


@pytest.fixture
def wrong_address() -> Iterator[str]:
    server = grpc.server(futures.ThreadPoolExecutor(4))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(WrongNode(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


def runtime_of(addresses: dict[str, str], **options: Any) -> FleetDispatcher:
    for name, address in addresses.items():
        fleet.ensure_node(name=name, kind="edge", grpc_url=address, models=("edge_detector",), capacity=2)
    runtime = FleetDispatcher(
        ledger=SharedLedger(redis_client.get(), **options), client_for=process.current().clients.of, **options
    )
    Heartbeat(runtime).beat()
    return runtime


def placed(runtime: FleetDispatcher, name: str = "1") -> Assignment:
    now = runtime.clock()
    item = Item(name, "edge_detector", 5_000, now + 5, now)
    (assignment,), _ = runtime.place([Request(item, "a frame", "pct-lb")], limit=1)
    return runtime.begin([assignment])[0]


def detect(frame: bytes, timeout_s: float = 5) -> DetectInference:
    return DetectInference(frame, min_score=0.1, timeout_s=timeout_s)


def outcomes() -> list[tuple[str, str, str]]:
    return list(Dispatch.objects.order_by("id").values_list("node__name", "outcome", "error_code"))


def test_a_node_of_another_contract_gets_no_work_and_the_difference_is_shown(
    constant_node: RunningNode, wrong_address: str
) -> None:
    runtime = runtime_of({"right": constant_node.grpc_url, "wrong": wrong_address})
    runtime.refresh()
    row = Node.objects.get(name="wrong")
    assert row.health == "wrong_contract"
    assert "edge_detector: input frame is missing" in row.health_detail
    assert "output boxes is missing" in row.health_detail

    answered = runtime.carry_out(placed(runtime), detect(picture()))

    assert answered.provenance.node == "right"
    (other,) = Dispatch.objects.get().alternatives
    assert (other["node"], other["predicted_ms"]) == ("wrong", None)
    assert "input frame is missing" in other["why_not"]


def test_scores_that_are_no_numbers_are_counted_and_the_next_frame_is_served(constant_node: RunningNode) -> None:
    """The region exists and nobody can say where or how sure: whoever decides hears of it."""
    runtime = runtime_of({"one": constant_node.grpc_url})
    odd = runtime.carry_out(placed(runtime), detect(picture(BAD_SCORE_WIDTH)))
    book(odd.provenance)
    assert odd.content.meta.unplaced == 1

    even = runtime.carry_out(placed(runtime, "2"), detect(picture()))
    book(even.provenance)
    assert even.content.meta.unplaced == 0
    assert {outcome for _, outcome, _ in outcomes()} == {"ok"}


def test_a_request_about_nothing_is_refused_and_harms_nobody(constant_node: RunningNode) -> None:
    asked = DescribeRequest("v1", (64, 48), ("open",), ())
    with pytest.raises(NodeError) as refused:
        constant_node.client.describe([], asked, timeout_s=5, idle_timeout_s=5)
    assert (refused.value.code, refused.value.retryable) == ("bad_frame", False)
    assert constant_node.client.canary("describer", timeout_s=5) > 0


def test_an_answer_that_comes_after_the_failover_changes_nothing(make_node: MakeNode) -> None:
    """The slow node's answer is still on its way when the other has answered: one result, both booked."""
    slow = make_node(node_spec("slow", "edge_detector", detector=f"{CONSTANT_DETECTOR}?service_ms=400"))
    runtime = runtime_of({"slow": slow.grpc_url})
    assignment = placed(runtime)
    quick = make_node(node_spec("quick", "edge_detector"))
    runtime = joined(runtime, "quick", quick.grpc_url)

    answered = runtime.carry_out(assignment, detect(picture(), 0.25))
    book(answered.provenance)
    slow.client.canary("edge_detector", timeout_s=5)  # the late answer is out by now: it was first in the queue

    assert answered.provenance.node == "quick"
    assert [each[:2] for each in outcomes()] == [("slow", "failed"), ("quick", "ok")]
    assert not any(state.ledger for state in runtime.state.nodes.values())
    assert redis_client.get().zcard("aivd:ledger:held:slow") == 0


def joined(runtime: FleetDispatcher, name: str, address: str) -> FleetDispatcher:
    """Another node comes to a fleet that is at work."""
    fleet.ensure_node(name=name, kind="edge", grpc_url=address, models=("edge_detector",))
    Heartbeat(runtime).beat()
    return runtime


def test_an_answer_told_twice_is_counted_once(constant_node: RunningNode) -> None:
    runtime = runtime_of({"one": constant_node.grpc_url})
    assignment = placed(runtime)
    answered = runtime.carry_out(assignment, detect(picture()))
    before = runtime.state.nodes["one"].seconds("edge_detector")

    runtime._answered(assignment, answered.content, 1.0)

    state = runtime.state.nodes["one"]
    assert state.counts["unexpected_answers"] == 1
    assert state.seconds("edge_detector") == before
    assert Dispatch.objects.count() == 1


def test_workers_whose_clocks_differ_by_an_hour_share_the_nodes(constant_node: RunningNode) -> None:
    """One worker's clock is an hour ahead and runs 1 % faster: both are served, and both see the same ledger."""
    started = time.monotonic()

    def fast() -> float:
        return started + 3_600 + 1.01 * (time.monotonic() - started)

    right = runtime_of({"one": constant_node.grpc_url})
    skewed = runtime_of({"one": constant_node.grpc_url}, clock=fast)
    for number in range(4):
        for runtime in (right, skewed):
            assignment = placed(runtime, str(number))
            other = skewed if runtime is right else right
            other.place([], limit=0)  # hears the news
            there = other.state.nodes["one"].ledger[assignment.request_id]
            assert abs(other.clock() - there.at) < 1.0
            answered = runtime.carry_out(assignment, detect(picture()))
            book(answered.provenance)
            assert answered.provenance.measured_ms < 2_000
    assert right.state.nodes["one"].seconds("edge_detector") < 1.0
    assert skewed.state.nodes["one"].seconds("edge_detector") < 1.0
    assert {outcome for _, outcome, _ in outcomes()} == {"ok"}
