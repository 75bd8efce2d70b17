"""The client of a node, against real Triton servers from the wheel."""

import asyncio
import json
import os
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent import futures
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from benchmarks.ports import free_ports
from scheduling.client.answers import (
    DetectAnswer,
    NodeError,
    RawOutputs,
    StreamCheck,
    WorkReport,
    read_regions,
    read_report,
)
from scheduling.client.triton import CHANNEL_OPTIONS, NodeClient, NodeClients, bytes_tensor
from scheduling.serving.contracts import (
    MAX_FRAME_BYTES,
    AnswerEvent,
    ContractBroken,
    DescribeRequest,
    DescribeTimings,
    DetectMeta,
    DetectTimings,
    DoneEvent,
    RegionRequest,
    TokenEvent,
)
from scheduling.serving.nodes import NodeSpec
from scheduling.serving.wire import encode_meta
from tests.node_fakes import FAILS, REFUSED, WORDS, WRONG
from tests.nodes import TEST_MODELS, RunningNode, node_spec, picture
from tests.waiting import eventually
from tools.linkfault.proxy import FaultProxy, LinkSettings

MakeNode = Callable[[NodeSpec], RunningNode]
FAR_S = 60.0
SOON_S = FAR_S / 2
"""Long before the deadline, even where the machine has much else to do."""

BACK_S = 15.0
"""gRPC left to itself waits up to two minutes before it connects again."""


def ask(*defect_classes: str, max_tokens: int = 256) -> DescribeRequest:
    regions = tuple(RegionRequest(f"r{i}", (0.0, 0.0, 8.0, 8.0), name, 0.5) for i, name in enumerate(defect_classes))
    return DescribeRequest("1", (640, 480), ("open", "short"), regions, max_tokens)


def failure(call: Callable[[], object]) -> tuple[NodeError, float]:
    """The error of a call that must fail, and the seconds it took."""
    started = time.monotonic()
    with pytest.raises(NodeError) as caught:
        call()
    return caught.value, time.monotonic() - started


# --- detect


@pytest.mark.stack
def test_regions_come_back_in_pixels_of_the_sent_frame(constant_node: RunningNode) -> None:
    answer = constant_node.client.detect(picture(640, 480), min_score=0.3, timeout_s=FAR_S)
    assert [(region.box_xyxy, region.class_name) for region in answer.regions] == [
        ((0.0, 0.0, 8.0, 8.0), "open"),
        ((160.0, 120.0, 168.0, 128.0), "short"),
    ]
    assert (answer.node, answer.meta.model, answer.meta.size_wh) == ("constant", "constant-detector", (640, 480))
    assert answer.latency_ms > answer.meta.timings.service_ms > 0
    assert answer.sent_bytes == len(picture(640, 480))


@pytest.mark.stack
def test_a_frame_without_regions_is_an_answer(constant_node: RunningNode) -> None:
    assert constant_node.client.detect(picture(), min_score=0.95, timeout_s=FAR_S).regions == ()


@pytest.mark.stack
@pytest.mark.parametrize(
    "frame",
    [b"", b"rubbish", picture()[:300], picture(REFUSED)],
    ids=["empty", "rubbish", "cut", "refused by the model"],
)
def test_a_bad_frame_is_not_worth_another_node(constant_node: RunningNode, frame: bytes) -> None:
    error, _ = failure(lambda: constant_node.client.detect(frame, min_score=0.1, timeout_s=FAR_S))
    assert (error.code, error.retryable, error.node) == ("bad_frame", False, "constant")
    assert error.detail.endswith(".")


@pytest.mark.stack
def test_a_frame_that_is_too_large_is_not_even_sent(constant_node: RunningNode) -> None:
    error, took_s = failure(
        lambda: constant_node.client.detect(bytes(MAX_FRAME_BYTES + 1), template=b"x", min_score=0.1, timeout_s=FAR_S)
    )
    assert error.code == "bad_frame"
    assert took_s < SOON_S


@pytest.mark.stack
def test_a_model_that_fails_is_worth_another_node(constant_node: RunningNode) -> None:
    error, _ = failure(lambda: constant_node.client.detect(picture(FAILS), min_score=0.1, timeout_s=FAR_S))
    assert (error.code, error.retryable) == ("server", True)
    assert f"{FAILS} pixels" in error.detail


@pytest.mark.stack
def test_many_threads_share_one_client_and_the_node_batches_their_frames(make_node: MakeNode) -> None:
    spec = node_spec("batching", "edge_detector", detector="python:tests.node_fakes:ConstantDetector?service_ms=5")
    client = make_node(spec).client
    with futures.ThreadPoolExecutor(16) as pool:
        widths = [40 + i for i in range(64)]
        calls = [pool.submit(client.detect, picture(width), min_score=0.1, timeout_s=FAR_S) for width in widths]
        answers = [call.result() for call in calls]
    assert [answer.meta.size_wh[0] for answer in answers] == widths
    assert max(answer.meta.timings.batch for answer in answers) > 1
    assert max(answer.meta.timings.queue_ms for answer in answers) > 0


@pytest.mark.stack
def test_a_full_node_says_so_and_drops_what_nobody_waits_for(make_node: MakeNode, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    detector = f"python:tests.node_fakes:ConstantDetector?{urlencode({'gate': gate})}"
    environment = {**TEST_MODELS, "AIVD_MAX_WAITING": "2", "AIVD_STEP_BUDGET_S": "600"}
    client = make_node(node_spec("full", "edge_detector", detector=detector, environment=environment)).client
    gate.touch()

    def detect(timeout_s: float) -> DetectAnswer:
        return client.detect(picture(), min_score=0.1, timeout_s=timeout_s)

    with futures.ThreadPoolExecutor(16) as pool:
        calls = [pool.submit(detect, 2.0) for _ in range(12)]
        codes = [error.code for call in calls if isinstance(error := call.exception(), NodeError)]
        assert codes.count("overloaded") >= 4
        assert set(codes) == {"overloaded", "deadline"}
        # The queue is full of frames whose askers have gone. They make room now and are never worked on.
        waiting: list[futures.Future[DetectAnswer]] = []

        def taken() -> bool:
            waiting.append(pool.submit(detect, FAR_S))
            return not futures.wait(waiting[-1:], timeout=0.5).done

        eventually(taken)
        gate.unlink()
        assert waiting[-1].result().meta.timings.batch == 1


@pytest.mark.stack
@pytest.mark.parametrize("width", WRONG)
def test_a_region_that_lies_nowhere_is_told_of(constant_node: RunningNode, width: int) -> None:
    answer = constant_node.client.detect(picture(width), min_score=0.1, timeout_s=FAR_S)
    assert (len(answer.regions), answer.meta.unplaced) == (2, 1)


@pytest.mark.stack
@pytest.mark.parametrize("timeout_s", [None, 0, -1.0, float("inf"), float("nan"), "3"])
def test_no_call_goes_out_without_a_deadline(constant_node: RunningNode, timeout_s: Any) -> None:
    client = constant_node.client
    calls: list[Callable[[], object]] = [
        lambda: client.detect(picture(), min_score=0.1, timeout_s=timeout_s),
        lambda: client.describe([picture()], ask("open"), timeout_s=timeout_s, idle_timeout_s=1),
        lambda: client.describe([picture()], ask("open"), timeout_s=1, idle_timeout_s=timeout_s),
        lambda: client.probe(timeout_s=timeout_s),
        lambda: client.canary("edge_detector", timeout_s=timeout_s),
        lambda: client.reload("edge_detector", timeout_s=timeout_s),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="needs a timeout"):
            call()


# --- describe


@pytest.mark.stack
def test_tokens_stream_out_before_the_answer(constant_node: RunningNode) -> None:
    events: list[dict[str, Any]] = []
    answer = constant_node.client.describe(
        [picture(), picture(80)], ask("open", "short"), timeout_s=FAR_S, idle_timeout_s=FAR_S, on_event=events.append
    )
    assert [event["text"] for event in events if event["type"] == "token"] == [*WORDS, *WORDS]
    assert [event["type"] for event in events[-2:]] == ["answer", "done"]
    assert [one.answer["defect_class"] for one in answer.answers] == ["open", "short"]
    assert [one.answer["crop_wh"] for one in answer.answers] == [[64, 48], [80, 48]]
    assert (answer.done.model, answer.done.timings.tokens) == ("constant-describer", 18)
    assert 0 < answer.first_event_ms < answer.latency_ms


@pytest.mark.stack
def test_a_request_may_be_a_plain_object(constant_node: RunningNode) -> None:
    fields = {
        "prompt_version": "1",
        "frame_size_wh": [640, 480],
        "class_names": [],
        "regions": [{"region_id": "7", "box_xyxy": [1, 2, 3, 4], "detector_class": "silent", "score": 1}],
    }
    answer = constant_node.client.describe([picture()], fields, timeout_s=FAR_S, idle_timeout_s=FAR_S)
    assert [(one.region_id, one.valid) for one in answer.answers] == [("7", False)]


@pytest.mark.stack
def test_streams_run_side_by_side_over_one_client(constant_node: RunningNode) -> None:
    def describe(name: str) -> str:
        answer = constant_node.client.describe([picture()], ask(name), timeout_s=FAR_S, idle_timeout_s=FAR_S)
        return str(answer.answers[0].answer["defect_class"])

    names = [f"class-{i}" for i in range(12)]
    with futures.ThreadPoolExecutor(12) as pool:
        assert list(pool.map(describe, names)) == names


@pytest.mark.stack
def test_a_crop_that_cannot_be_read_is_a_bad_frame(constant_node: RunningNode) -> None:
    error, _ = failure(
        lambda: constant_node.client.describe([b"x"], ask("open"), timeout_s=FAR_S, idle_timeout_s=FAR_S)
    )
    assert (error.code, error.retryable) == ("bad_frame", False)


@pytest.mark.stack
def test_a_describer_that_fails_midway_is_worth_another_node(constant_node: RunningNode) -> None:
    error, _ = failure(
        lambda: constant_node.client.describe(
            [picture(), picture()], ask("open", "broken"), timeout_s=FAR_S, idle_timeout_s=FAR_S
        )
    )
    assert (error.code, error.retryable) == ("server", True)


def test_crops_and_regions_must_be_as_many() -> None:
    client = NodeClient("127.0.0.1:1", name="nobody")
    with pytest.raises(ValueError, match="0 crops were given for 1 regions"):
        client.describe([], ask("open"), timeout_s=1, idle_timeout_s=1)
    client.close()


@pytest.fixture
def held_node(make_node: MakeNode, tmp_path: Any) -> RunningNode:
    """A describer that stops after its fifth token while the file `pause` exists."""
    pause = tmp_path / "pause"
    pause.touch()
    environment = {**TEST_MODELS, "AIVD_PAUSE_FILE": str(pause), "AIVD_PAUSE_AFTER": "5"}
    return make_node(node_spec("held", "describer", environment=environment))


@pytest.mark.stack
def test_silence_in_a_stream_is_cut_off(held_node: RunningNode) -> None:
    tokens: list[dict[str, Any]] = []
    error, took_s = failure(
        lambda: held_node.client.describe(
            [picture()], ask("open"), timeout_s=FAR_S, idle_timeout_s=0.4, on_event=tokens.append
        )
    )
    assert (error.code, len(tokens)) == ("deadline", 5)
    assert "No event came for 0.4 s" in error.detail
    assert took_s < SOON_S


@pytest.mark.stack
def test_the_whole_stream_has_a_deadline_too(held_node: RunningNode) -> None:
    error, took_s = failure(
        lambda: held_node.client.describe([picture()], ask("open"), timeout_s=0.6, idle_timeout_s=FAR_S)
    )
    assert error.code == "deadline"
    assert 0.5 < took_s < SOON_S


@pytest.mark.stack
def test_the_fifth_token_can_be_held_and_let_go(held_node: RunningNode) -> None:
    pause = held_node.spec.environment["AIVD_PAUSE_FILE"]
    seen: list[int] = []

    def on_event(event: dict[str, Any]) -> None:
        if event["type"] == "token":
            seen.append(len(seen) + 1)
        if len(seen) == 5 and os.path.exists(pause):
            os.unlink(pause)

    answer = held_node.client.describe(
        [picture()], ask("open"), timeout_s=FAR_S, idle_timeout_s=FAR_S, on_event=on_event
    )
    assert len(seen) == len(WORDS)
    assert answer.answers[0].valid


@pytest.mark.stack
@pytest.mark.parametrize("way", ["refused", "given up", "late", "canary"])
def test_a_node_survives_streams_that_do_not_run_to_their_end(make_node: MakeNode, way: str) -> None:
    """Triton 2.51 dies of one in some hundred streams that are cancelled, or refused with a gRPC status."""
    node, rng = make_node(node_spec(f"patient-{way.replace(' ', '-')}")), random.Random(7)
    nothing = DescribeRequest("v1", (64, 48), ("open",), ())

    def give_it_up(_: int) -> str:
        ends_at = time.monotonic() + rng.random() * 0.03
        options: dict[str, Any] = {"timeout_s": 10, "idle_timeout_s": 10}
        try:
            match way:
                case "refused":
                    node.client.describe([], nothing, **options)
                case "given up":
                    node.client.describe(
                        [picture()], ask("open"), is_cancelled=lambda: time.monotonic() > ends_at, **options
                    )
                case "late":
                    node.client.describe(
                        [picture()], ask("open"), timeout_s=rng.random() * 0.03 + 0.001, idle_timeout_s=10
                    )
                case "canary":
                    node.client.canary("describer", timeout_s=10)
        except NodeError as error:
            return error.code
        return "ok"

    with futures.ThreadPoolExecutor(4) as pool:
        codes = set(pool.map(give_it_up, range(600)))
    assert codes <= {"bad_frame", "cancelled", "deadline", "ok"}
    assert node.running_pid() is not None


@pytest.mark.stack
def test_a_cancelled_stream_frees_the_node_for_the_next(held_node: RunningNode) -> None:
    """The pause looks for its asker: once that is gone the next request gets its turn, and five tokens."""
    for _ in range(2):
        tokens: list[dict[str, Any]] = []
        error, _ = failure(
            lambda tokens=tokens: held_node.client.describe(  # type: ignore[misc]
                [picture()],
                ask("open"),
                timeout_s=FAR_S,
                idle_timeout_s=FAR_S,
                on_event=tokens.append,
                is_cancelled=lambda: len(tokens) == 5,
            )
        )
        assert (error.code, error.retryable) == ("cancelled", False)
        assert len(tokens) == 5


@pytest.mark.stack
def test_an_error_of_the_listener_ends_the_stream_and_is_passed_on(held_node: RunningNode) -> None:
    def on_event(event: dict[str, Any]) -> None:
        raise KeyError("the listener's own")

    with pytest.raises(KeyError, match="the listener's own"):
        held_node.client.describe([picture()], ask("open"), timeout_s=FAR_S, idle_timeout_s=FAR_S, on_event=on_event)
    readers = {thread for thread in threading.enumerate() if thread.name == f"stream-{held_node.name}"}
    eventually(lambda: not any(reader.is_alive() for reader in readers))


# --- probe and canary


@pytest.mark.stack
def test_a_probe_tells_what_a_node_serves(constant_node: RunningNode) -> None:
    answer = constant_node.client.probe(timeout_s=2)
    assert (answer.live, answer.ready, answer.error) == (True, True, "")
    assert answer.usable("edge_detector")
    assert answer.usable("describer")


@pytest.mark.stack
def test_a_model_that_a_node_does_not_serve_is_not_usable_there(make_node: MakeNode) -> None:
    client = make_node(node_spec("edge-only", "edge_detector")).client
    answer = client.probe(timeout_s=2)
    assert (answer.usable("edge_detector"), answer.usable("describer")) == (True, False)
    error, _ = failure(lambda: client.describe([picture()], ask("open"), timeout_s=FAR_S, idle_timeout_s=FAR_S))
    assert (error.code, error.retryable) == ("unavailable", True)


@pytest.mark.stack
@pytest.mark.parametrize("model", ["edge_detector", "describer"])
def test_a_canary_really_runs_the_model(constant_node: RunningNode, model: str) -> None:
    assert 0 < constant_node.client.canary(model, timeout_s=FAR_S) < FAR_S * 1000


@pytest.mark.stack
def test_a_canary_is_not_fooled_by_readiness(held_node: RunningNode) -> None:
    """While another request is held the model is ready, and yet a canary gets no turn."""
    with futures.ThreadPoolExecutor(1) as pool:
        began = threading.Event()
        held = pool.submit(
            held_node.client.describe,
            [picture()],
            ask("open"),
            timeout_s=FAR_S,
            idle_timeout_s=FAR_S,
            on_event=lambda event: began.set(),
        )
        assert began.wait(FAR_S)
        error, took_s = failure(lambda: held_node.client.canary("describer", timeout_s=0.4))
        assert held_node.client.probe(timeout_s=2).usable("describer")
        os.unlink(held_node.spec.environment["AIVD_PAUSE_FILE"])
        assert held.result().answers[0].valid
    assert error.code == "deadline"
    assert took_s < SOON_S


class WrongNode(service_pb2_grpc.GRPCInferenceServiceServicer):
    """A server that speaks Triton's protocol and serves a detector of another contract."""

    def ServerLive(self, request: Any, context: Any) -> Any:
        return service_pb2.ServerLiveResponse(live=True)

    def ServerReady(self, request: Any, context: Any) -> Any:
        return service_pb2.ServerReadyResponse(ready=True)

    def ModelReady(self, request: Any, context: Any) -> Any:
        return service_pb2.ModelReadyResponse(ready=True)

    def ModelConfig(self, request: Any, context: Any) -> Any:
        response = service_pb2.ModelConfigResponse()
        response.config.name = request.name
        response.config.input.add(name="image", data_type=10, dims=[3, 640, 640])
        return response

    def ModelInfer(self, request: Any, context: Any) -> Any:
        response = service_pb2.ModelInferResponse(model_name=request.model_name)
        response.outputs.add(name="boxes", datatype="FP32", shape=[1, 2, 4])
        response.raw_output_contents.append(b"\0" * 12)
        return response


@pytest.fixture
def wrong_client() -> Iterator[NodeClient]:
    server = grpc.server(futures.ThreadPoolExecutor(4))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(WrongNode(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    client = NodeClient(f"127.0.0.1:{port}", name="wrong")
    yield client
    client.close()
    server.stop(None).wait()


def test_a_node_of_another_contract_is_told_apart_with_the_difference(wrong_client: NodeClient) -> None:
    answer = wrong_client.probe(timeout_s=2)
    assert answer.ready
    assert not answer.usable("edge_detector")
    assert answer.models["edge_detector"].differences == (
        "max_batch_size is 0, expected 8",
        "input frame is missing",
        "input template is missing",
        "input min_score is missing",
        "input image is not in the contract",
        "output boxes is missing",
        "output scores is missing",
        "output classes is missing",
        "output meta is missing",
    )


def test_its_answer_is_refused_too(wrong_client: NodeClient) -> None:
    error, _ = failure(lambda: wrong_client.detect(picture(), min_score=0.1, timeout_s=2))
    assert (error.code, error.retryable) == ("contract", True)
    assert error.detail == "output boxes has 12 bytes for shape [1, 2, 4]"


# --- nodes in trouble


@pytest.mark.stack
def test_a_killed_node_is_unavailable_at_once_and_back_soon_after_it_returns(make_node: MakeNode) -> None:
    node = make_node(node_spec("killed"))
    node.client.detect(picture(), min_score=0.1, timeout_s=FAR_S)
    node.kill()
    error, took_s = failure(lambda: node.client.detect(picture(), min_score=0.1, timeout_s=FAR_S))
    assert (error.code, error.retryable) == ("unavailable", True)
    assert took_s < SOON_S
    assert not node.client.probe(timeout_s=1).live
    eventually(lambda: not node.client.probe(timeout_s=1).live)
    again = make_node(node.spec)
    eventually(lambda: node.client.probe(timeout_s=1).usable("edge_detector"), within_s=BACK_S)
    assert node.client.detect(picture(), min_score=0.1, timeout_s=FAR_S).regions
    again.close()


@pytest.mark.stack
def test_a_node_killed_in_the_middle_of_a_stream_ends_it(held_node: RunningNode) -> None:
    error, took_s = failure(
        lambda: held_node.client.describe(
            [picture()],
            ask("open"),
            timeout_s=FAR_S,
            idle_timeout_s=FAR_S,
            on_event=lambda event: held_node.kill() if held_node.process.poll() is None else None,
        )
    )
    assert error.code == "unavailable"
    assert took_s < SOON_S


@pytest.mark.stack
def test_connecting_anew_ends_what_waits_there_and_serves_the_next_call(make_node: MakeNode) -> None:
    node = make_node(node_spec("given-up"))
    node.client.detect(picture(), min_score=0.1, timeout_s=FAR_S)
    node.freeze()
    with futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(failure, lambda: node.client.detect(picture(), min_score=0.1, timeout_s=FAR_S))
        eventually(waiting.running)
        assert not node.client.probe(timeout_s=0.5).live
        node.client.reconnect()
        error, took_s = waiting.result(timeout=SOON_S)
        assert (error.code, error.retryable) == ("unavailable", True)
        assert took_s < SOON_S
    node.thaw()
    eventually(lambda: node.client.probe(timeout_s=0.5).usable("edge_detector"), within_s=BACK_S)
    assert node.client.detect(picture(), min_score=0.1, timeout_s=FAR_S).regions
    node.client.close()
    node.client.reconnect()  # a client that was closed stays closed
    assert failure(lambda: node.client.detect(picture(), min_score=0.1, timeout_s=FAR_S))[0].code == "unavailable"


@pytest.mark.stack
def test_a_stopped_node_is_found_and_is_back_soon_after_it_goes_on(make_node: MakeNode) -> None:
    node = make_node(node_spec("stopped"))
    node.client.detect(picture(), min_score=0.1, timeout_s=FAR_S)
    node.freeze()
    try:
        error, took_s = failure(lambda: node.client.detect(picture(), min_score=0.1, timeout_s=0.5))
        assert (error.code, error.retryable) == ("deadline", True)
        assert 0.4 < took_s < SOON_S
        eventually(lambda: not node.client.probe(timeout_s=0.5).live)
        # Without a short deadline the pings find it: the call ends as unavailable long before its deadline.
        error, took_s = failure(lambda: node.client.detect(picture(), min_score=0.1, timeout_s=FAR_S))
        assert error.code == "unavailable"
        assert took_s < SOON_S
    finally:
        node.thaw()
    eventually(lambda: node.client.probe(timeout_s=0.5).usable("edge_detector"), within_s=BACK_S)
    assert node.client.detect(picture(), min_score=0.1, timeout_s=FAR_S).regions


def test_a_node_that_was_never_there_is_unavailable_quickly() -> None:
    client = NodeClient(f"127.0.0.1:{free_ports(1)}", name="nobody")
    error, took_s = failure(lambda: client.detect(picture(), min_score=0.1, timeout_s=FAR_S))
    assert error.code == "unavailable"
    assert took_s < SOON_S
    probe = client.probe(timeout_s=1)
    assert not probe.live
    assert "refused" in probe.error
    client.close()
    closed, _ = failure(lambda: client.detect(picture(), min_score=0.1, timeout_s=FAR_S))
    assert (closed.code, closed.retryable) == ("unavailable", True)


@dataclass
class ProxiedNode:
    proxy: FaultProxy
    client: NodeClient


@pytest.fixture
async def proxied(constant_node: RunningNode) -> AsyncIterator[ProxiedNode]:
    """The constant node, seen through a fault proxy."""
    proxy = FaultProxy(("127.0.0.1", constant_node.spec.grpc_port))
    client = NodeClient(f"127.0.0.1:{await proxy.start()}", name="far")
    yield ProxiedNode(proxy, client)
    client.close()
    await proxy.close()


@pytest.mark.stack
async def test_the_delay_of_a_link_is_seen_in_the_latency(proxied: ProxiedNode) -> None:
    async def best_ms() -> float:
        calls = [
            await asyncio.to_thread(proxied.client.detect, picture(), min_score=0.1, timeout_s=FAR_S) for _ in range(5)
        ]
        return min(call.latency_ms - call.meta.timings.service_ms for call in calls)

    near_ms = await best_ms()
    proxied.proxy.configure(LinkSettings(delay_ms=80))
    far_ms = await best_ms()
    assert far_ms >= 75
    assert near_ms < far_ms < near_ms + 1000
    assert (await asyncio.to_thread(proxied.client.probe, timeout_s=2)).latency_ms >= 75


@pytest.mark.stack
async def test_a_silent_link_costs_no_more_than_the_deadline_and_works_again_after(proxied: ProxiedNode) -> None:
    def detect(timeout_s: float) -> Any:
        return proxied.client.detect(picture(), min_score=0.1, timeout_s=timeout_s)

    await asyncio.to_thread(detect, FAR_S)
    proxied.proxy.set_blackhole(True)
    error, took_s = await asyncio.to_thread(failure, lambda: detect(0.5))
    assert error.code == "deadline"
    assert took_s < SOON_S
    proxied.proxy.set_blackhole(False)
    await asyncio.to_thread(
        lambda: eventually(lambda: proxied.client.probe(timeout_s=0.5).usable("edge_detector"), within_s=BACK_S)
    )


@pytest.mark.stack
async def test_a_reset_link_is_unavailable_and_connects_again(proxied: ProxiedNode) -> None:
    def detect() -> Any:
        return proxied.client.detect(picture(), min_score=0.1, timeout_s=FAR_S)

    await asyncio.to_thread(detect)
    proxied.proxy.refusing = True
    proxied.proxy.reset()
    error, took_s = await asyncio.to_thread(failure, detect)
    assert error.code == "unavailable"
    assert took_s < SOON_S
    proxied.proxy.refusing = False
    await asyncio.to_thread(lambda: eventually(lambda: proxied.client.probe(timeout_s=1).live, within_s=BACK_S))
    assert (await asyncio.to_thread(detect)).regions


# --- one client a process and node


@dataclass
class Address:
    name: str
    grpc_url: str


@pytest.fixture
def clients() -> Iterator[NodeClients]:
    made = NodeClients()
    yield made
    made.close()


def test_threads_get_the_same_client_of_a_node(clients: NodeClients) -> None:
    with futures.ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: clients.of(Address("n", "127.0.0.1:1")), range(64)))
    assert len({id(client) for client in found}) == 1
    assert clients.of(Address("m", "127.0.0.1:1")) is not found[0]


def test_a_node_that_moved_gets_a_new_client(clients: NodeClients) -> None:
    first = clients.of(Address("n", "127.0.0.1:1"))
    assert clients.of(Address("n", "127.0.0.1:2")) is not first
    error, _ = failure(lambda: first.detect(picture(), min_score=0.1, timeout_s=1))
    assert error.code == "unavailable"


def test_a_forked_process_begins_without_clients(clients: NodeClients) -> None:
    first = clients.of(Address("n", "127.0.0.1:1"))
    clients._begin()  # what the fork hook runs in the child
    assert clients.of(Address("n", "127.0.0.1:1")) is not first
    first.close()


def test_the_channel_finds_a_hung_node_and_takes_large_frames() -> None:
    options = dict(CHANNEL_OPTIONS)
    assert options["grpc.http2.ping_timeout_ms"] == 2_000
    assert options["grpc.max_reconnect_backoff_ms"] == 1_000
    assert options["grpc.max_send_message_length"] == options["grpc.max_receive_message_length"] > 2 * MAX_FRAME_BYTES


# --- checking answers


def outputs(**changes: Any) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """The raw outputs of a detector with one region in a frame of 64x48, changed."""
    meta = DetectMeta("m", "1", "d", "r", ("open",), (64, 48), DetectTimings(0, 0, 0, 0, 0, 0, 1))
    arrays = {
        "boxes": np.array([[[1, 2, 3, 4]]], np.float32),
        "scores": np.array([[0.5]], np.float32),
        "classes": np.array([[0]], np.int32),
        **changes,
    }
    text = changes.pop("meta", encode_meta(meta)).encode()
    datatypes = {"boxes": "FP32", "scores": "FP32", "classes": "INT32"}
    raw = {name: (datatypes[name], arrays[name].shape, arrays[name].tobytes()) for name in datatypes}
    return raw | {"meta": ("BYTES", (1, 1), len(text).to_bytes(4, "little") + text)}


def test_a_right_answer_is_read() -> None:
    (region,), meta = read_regions(outputs())
    assert (region.box_xyxy, region.score, region.class_name) == ((1.0, 2.0, 3.0, 4.0), 0.5, "open")
    assert meta.size_wh == (64, 48)


@pytest.mark.parametrize(
    "changes",
    [
        {"scores": np.array([[np.nan]], np.float32)},
        {"boxes": np.array([[[1, 2, np.inf, 4]]], np.float32)},
        {"boxes": np.array([[[np.nan, 2, 3, 4]]], np.float32)},
        {"boxes": np.array([[[3, 2, 1, 4]]], np.float32)},
        {"boxes": np.array([[[3, 2, 3, 4]]], np.float32)},
        {"boxes": np.array([[[65, 2, 70, 4]]], np.float32)},
        {"boxes": np.array([[[-9, 2, 0, 4]]], np.float32)},
        {"boxes": np.array([[[3, 48, 9, 50]]], np.float32)},
    ],
)
def test_a_region_that_lies_nowhere_in_the_frame_is_counted(changes: dict[str, Any]) -> None:
    regions, meta = read_regions(outputs(**changes))
    assert (regions, meta.unplaced) == ([], 1)


@pytest.mark.parametrize("box", [(1, 2, 66, 4), (-2, 2, 3, 4), (-1e30, -5, 1e30, 900)])
def test_a_region_that_goes_beyond_the_frame_ends_there(box: tuple[float, ...]) -> None:
    (region,), meta = read_regions(outputs(boxes=np.array([[box]], np.float32)))
    assert meta.unplaced == 0
    assert region.box_xyxy == (max(box[0], 0), max(box[1], 0), min(box[2], 64), min(box[3], 48))


@pytest.mark.parametrize("names", [("d" * 75,), ("open", "open"), ("",), (" open",), ("op\nen",), ()])
def test_a_node_whose_classes_no_line_can_store_is_refused(names: tuple[str, ...]) -> None:
    meta = DetectMeta("m", "1", "d", "r", names, (64, 48), DetectTimings(0, 0, 0, 0, 0, 0, 1))
    with pytest.raises(ContractBroken, match="class"):
        read_regions(outputs(meta=encode_meta(meta)))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scores": np.array([[1.01]], np.float32)}, "outside 0..1"),
        ({"scores": np.array([[-0.1]], np.float32)}, "outside 0..1"),
        ({"classes": np.array([[1]], np.int32)}, "outside the model's 1 classes"),
        ({"classes": np.array([[-1]], np.int32)}, "outside the model's 1 classes"),
        ({"scores": np.array([[0.5, 0.4]], np.float32)}, "do not hold one frame's regions"),
        ({"boxes": np.zeros((1, 10_001, 4), np.float32), "scores": np.zeros((1, 10_001), np.float32),
          "classes": np.zeros((1, 10_001), np.int32)}, "at most 10000"),
        ({"meta": "{}"}, "meta: Object missing required field `model`"),
    ],
)  # fmt: skip
def test_an_answer_out_of_bounds_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ContractBroken, match=said):
        read_regions(outputs(**changes))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("boxes", None, "output boxes is missing"),
        ("scores", ("FP64", (1, 1), bytes(8)), "output scores is FP64, expected FP32"),
        ("scores", ("FP32", (1, 3), bytes(4)), "4 bytes for shape"),
        ("scores", ("FP32", (1, -1), bytes(4)), "4 bytes for shape"),
        ("meta", ("BYTES", (1, 1), b"\xff\xff\xff\xff{}"), "not one BYTES entry"),
        ("meta", ("BYTES", (1, 1), b""), "not one BYTES entry"),
    ],
)
def test_a_tensor_that_does_not_fit_its_bytes_is_refused(name: str, value: Any, said: str) -> None:
    changed = outputs() | {name: value}
    if value is None:
        del changed[name]
    with pytest.raises(ContractBroken, match=said):
        read_regions(changed)


STAGE_META = {"model": "m", "version": "1", "digest": "d", "runtime": "r", "service_ms": 3, "queue_ms": 0.5}


def stage_outputs(**changes: Any) -> RawOutputs:
    return {"meta": ("BYTES", (1,), bytes_tensor([json.dumps(STAGE_META | changes).encode()]))}


def test_any_stage_reports_who_answered_and_how_long_it_took() -> None:
    report = read_report(stage_outputs(sent_bytes=7, class_names=["open"]))  # which are not its to say
    assert report == WorkReport("m", "1", "d", "r", service_ms=3.0, queue_ms=0.5)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": None}, "meta.model: Expected `str`, got `null`"),
        ({"version": "v" * 41}, "meta.version: Expected `str` of length <= 40"),
        ({"service_ms": "3"}, "meta.service_ms: Expected `float`, got `str`"),
        ({"queue_ms": float("nan")}, "JSON is malformed"),
    ],
)
def test_a_report_that_says_something_else_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ContractBroken, match=said):
        read_report(stage_outputs(**changes))


DONE = DoneEvent(DescribeTimings(1, 2, 3, 4), "m", "1", "d", "r")
TOKEN = TokenEvent("r0", "a")
ANSWER = AnswerEvent("r0", {}, "a", True, (), 1)


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([], "without answers for"),
        ([TOKEN, DONE], "without answers for"),
        ([TOKEN, ANSWER], "without done"),
        ([ANSWER, DONE, TOKEN], "came after done"),
        ([ANSWER, DONE, DONE], "came after done"),
        ([ANSWER, ANSWER], "answered twice"),
        ([ANSWER, TOKEN], "after the answer"),
        ([replace(TOKEN, region_id="x")], "'x', which was not asked about"),
    ],
)
def test_a_stream_that_breaks_its_promise_is_refused(events: list[Any], said: str) -> None:
    check = StreamCheck(ask("open"))

    def run() -> None:
        for event in events:
            check.take(event)
        check.finish()

    with pytest.raises(ContractBroken, match=said):
        run()


def test_answers_are_handed_over_in_the_order_of_the_request() -> None:
    check = StreamCheck(ask("open", "short"))
    for event in (replace(ANSWER, region_id="r1"), TOKEN, ANSWER, DONE):
        check.take(event)
    answers, done = check.finish()
    assert [one.region_id for one in answers] == ["r0", "r1"]
    assert json.dumps(done.timings.tokens) == "4"
