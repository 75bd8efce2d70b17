"""Ask a node: detect, describe, probe, canary. The only importer of tritonclient; knows no Django, no policy.

It uses tritonclient's generated gRPC stubs on a channel of its own: one channel carries any number of streams
at a time, while tritonclient's client object allows one. Every call has a deadline, and there is no default.
Whether to ask another node is for the caller to decide, from `NodeError.retryable` and the time that is left.
"""

import contextlib
import os
import struct
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol, TypeVar

import grpc
from google.protobuf.json_format import MessageToDict
from PIL import Image
from tritonclient.grpc import service_pb2, service_pb2_grpc

from scheduling.client.answers import (
    BAD_FRAME,
    CONTRACT,
    DEADLINE,
    OVERLOADED,
    SERVER,
    UNAVAILABLE,
    DescribeAnswer,
    DetectAnswer,
    ModelProbe,
    NodeError,
    ProbeAnswer,
    RawOutputs,
    StreamCheck,
    error_from_text,
    raw_outputs,
    read_regions,
)
from scheduling.client.bringing import bring
from scheduling.client.stream import ENDS_WITHIN_S, EventStream
from scheduling.client.tls import NodeTls, target_of
from scheduling.serving.bringing import BringStep, decode_state, encode_step
from scheduling.serving.contracts import (
    ALONE,
    BRING_PARAMETER,
    DESCRIBER,
    EDGE_DETECTOR,
    MAX_FRAME_BYTES,
    MODELS,
    STOP_PARAMETER,
    VERSION_PARAMETER,
    ContractBroken,
    DescribeRequest,
    ModelContract,
    RegionRequest,
    differences,
    sent_bytes,
)
from scheduling.serving.nodes import CONTROL_METADATA
from scheduling.serving.wire import decode_event, encode_request, event_fields, request_from_fields

__all__ = [
    "DescribeAnswer",
    "DetectAnswer",
    "NodeClient",
    "NodeClients",
    "NodeError",
    "ProbeAnswer",
]

T = TypeVar("T")
CONTROL_VARIABLE = "AIVD_NODE_CONTROL"

MAX_MESSAGE_BYTES = 2 * MAX_FRAME_BYTES + 2**20
"""A frame and its template, each as long as may be, and what the protocol adds."""

# Without the ping and backoff settings a hung node is found after a minute, and one that came back is used
# after 25 s. The message sizes must be set here too: gRPC's default of 4 MiB is less than a frame.
CHANNEL_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 1_000),
    ("grpc.keepalive_timeout_ms", 2_000),
    ("grpc.http2.ping_timeout_ms", 2_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
)

_CALL_ERRORS = (grpc.RpcError, grpc.FutureCancelledError, grpc.FutureTimeoutError, ValueError)
_CANARY_SIZE = (64, 64)
_STATUS_CODES = {
    grpc.StatusCode.DEADLINE_EXCEEDED: DEADLINE,
    grpc.StatusCode.UNAVAILABLE: UNAVAILABLE,
    grpc.StatusCode.NOT_FOUND: UNAVAILABLE,  # the model is not loaded there
    grpc.StatusCode.CANCELLED: UNAVAILABLE,  # not by us: a node that shuts down answers so
    grpc.StatusCode.RESOURCE_EXHAUSTED: OVERLOADED,
    grpc.StatusCode.INVALID_ARGUMENT: CONTRACT,
    grpc.StatusCode.UNIMPLEMENTED: CONTRACT,
}


class NodeEndpoint(Protocol):
    """What `NodeClients` need to know of a node."""

    @property
    def name(self) -> str: ...
    @property
    def grpc_url(self) -> str: ...


class NodeClient:
    """One node as this process sees it. Safe to use from many threads; make it after any fork."""

    def __init__(self, grpc_url: str, *, name: str, tls: NodeTls | None = None, control: str = "") -> None:
        self.grpc_url, self.name, self._tls = grpc_url, name, tls
        self._control = ((CONTROL_METADATA, control),) if control else ()
        self._closed = self._alone = False
        self._version = ""
        self._swap = threading.Lock()
        self._channel = self._opened()
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    def detect(self, frame: bytes, *, template: bytes = b"", min_score: float, timeout_s: float) -> DetectAnswer:
        """Regions of an encoded frame; raises `NodeError`, at the latest `timeout_s` from now."""
        _require_timeout(timeout_s)
        for what, data in (("frame", frame), ("template", template)):
            if len(data) > MAX_FRAME_BYTES:
                detail = f"The {what} has {len(data)} bytes; at most {MAX_FRAME_BYTES} are sent."
                raise NodeError(BAD_FRAME, detail, node=self.name)
        sent = len(frame) + len(template)
        contents = (bytes_tensor([frame]), bytes_tensor([template]), struct.pack("<f", min_score))
        started = time.perf_counter()
        regions, meta = self.infer(EDGE_DETECTOR, contents, read_regions, timeout_s=timeout_s)
        return DetectAnswer(self.name, tuple(regions), meta, _since_ms(started), sent)

    def infer(
        self,
        contract: ModelContract,
        contents: Sequence[bytes],
        read: Callable[[RawOutputs], T],
        *,
        timeout_s: float,
    ) -> T:
        """The answer of a model that is asked once, as `read` makes it of the raw outputs.

        `contents` are its input tensors, encoded, in the order of the contract. Raises `NodeError`, also where `read`
        raises `ContractBroken`.
        """
        _require_timeout(timeout_s)
        request = _infer_request(contract, [1] if contract.max_batch_size else [], contents)
        if self._alone:
            request.parameters[ALONE].bool_param = True
        response = self._call(self._stub.ModelInfer, request, timeout_s)
        with self._contract():
            return read(raw_outputs(response))

    def alone(self) -> "NodeClient":
        """The same node and channel, asking that each frame be worked on apart from others; nobody need close it."""
        twin = copy(self)
        twin._alone = True
        return twin

    def version(self, digest: str) -> "NodeClient":
        """The same node and channel, asking that this version of the describer answer; nobody need close it."""
        twin = copy(self)
        twin._version = digest
        return twin

    def bring(self, digest: str, files: Mapping[str, Path], *, timeout_s: float) -> int:
        """Have the node serve the version of this digest too; bytes sent, 0 where it had it. Raises `NodeError`.

        Requests that ask for the version are answered by it from then on; the others go on meanwhile.
        """
        _require_timeout(timeout_s)
        ends_at = time.monotonic() + timeout_s

        def say(step: BringStep, piece: bytes) -> bool:
            left_s = ends_at - time.monotonic()
            if left_s <= 0:
                raise NodeError(
                    DEADLINE, f"Version {digest[:12]} was not there within {timeout_s:g} s.", node=self.name
                )
            with self._told([piece], encode_step(step), left_s, left_s, {BRING_PARAMETER: digest}) as stream:
                states = list(stream.texts(lambda: False))
            with self._contract():
                return decode_state(states[-1] if states else b"")

        return bring(say, files)

    def describe(
        self,
        crops: Sequence[bytes],
        request: DescribeRequest | Mapping[str, Any],
        *,
        timeout_s: float,
        idle_timeout_s: float,
        on_event: Callable[[dict[str, Any]], None] = lambda event: None,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> DescribeAnswer:
        """Answers about encoded crops; `on_event` gets each event, on this thread, as it comes.

        Raises `NodeError`: deadline when the whole takes longer than `timeout_s` or nothing comes for
        `idle_timeout_s`, cancelled soon after `is_cancelled()` is true. Raises ValueError for a request that
        this side got wrong. An exception of `on_event` ends the stream and is passed on.
        """
        asked = _checked_request(request, crops)
        check, started, first_event_ms = StreamCheck(asked), time.perf_counter(), 0.0
        with self._stream(crops, asked, timeout_s, idle_timeout_s) as stream:
            for text in stream.texts(is_cancelled):
                first_event_ms = first_event_ms or _since_ms(started)
                with self._contract():
                    event = decode_event(text)
                    check.take(event)
                on_event(event_fields(event))
        with self._contract():
            answers, done = check.finish()
        sent = sum(sent_bytes(len(crop), len(one.template)) for crop, one in zip(crops, asked.regions, strict=True))
        return DescribeAnswer(self.name, answers, done, _since_ms(started), first_event_ms, sent)

    def probe(self, *, timeout_s: float, models: Iterable[str] = tuple(MODELS)) -> ProbeAnswer:
        """Whether the node lives, is ready, and serves which of `models` as the contract says.

        A node in trouble is an answer, not an error. All questions are asked at once, so that the probe takes
        one round trip.
        """
        _require_timeout(timeout_s)
        started = time.perf_counter()
        try:
            server = (
                self._stub.ServerLive.future(service_pb2.ServerLiveRequest(), timeout=timeout_s),
                self._stub.ServerReady.future(service_pb2.ServerReadyRequest(), timeout=timeout_s),
            )
            calls = {name: self._model_calls(name, timeout_s) for name in models}
            live, ready = server[0].result().live, server[1].result().ready
        except _CALL_ERRORS as error:
            detail = self._translated(error).detail
            return ProbeAnswer(self.name, False, False, _since_ms(started), error=detail)
        probes = {name: _model_probe(MODELS[name], *pair) for name, pair in calls.items()}
        detail = "" if ready else "The node is not ready: a model is missing or still loading."
        return ProbeAnswer(self.name, live, ready, _since_ms(started), probes, detail)

    def canary(self, model: str, *, timeout_s: float) -> float:
        """A real, tiny inference; returns its latency in ms, or raises `NodeError`.

        Readiness alone can lie: a node whose Python process died still says that its model is ready. For a model that
        is neither of ours there is no such picture, and readiness is all that can be asked.
        """
        started = time.perf_counter()
        picture = _canary_picture()
        if model == EDGE_DETECTOR.model:
            self.detect(picture, template=picture, min_score=0.99, timeout_s=timeout_s)
        elif model == DESCRIBER.model:
            region = RegionRequest("canary", (0.0, 0.0, *_CANARY_SIZE), "", 1.0)
            asked = DescribeRequest("canary", _CANARY_SIZE, (), (region,), max_tokens=1)
            with self._stream([picture], asked, timeout_s, timeout_s) as stream:
                next(stream.texts(lambda: False), b"")  # the first event proves that the model runs
        return _since_ms(started)

    def reload(self, model: str, *, timeout_s: float) -> None:
        """Unload and load the model, which brings back a Python process that died. Raises `NodeError`."""
        _require_timeout(timeout_s)
        ends_at = time.perf_counter() + timeout_s
        unload = service_pb2.RepositoryModelUnloadRequest(model_name=model)
        self._call(self._stub.RepositoryModelUnload, unload, timeout_s, self._control)
        load = service_pb2.RepositoryModelLoadRequest(model_name=model)
        left_s = max(0.001, ends_at - time.perf_counter())
        self._call(self._stub.RepositoryModelLoad, load, left_s, self._control)

    def reconnect(self) -> None:
        """Begin anew: calls that still run end as unavailable at once, and no backoff delays the next one."""
        with self._swap:
            if self._closed:
                return
            old, self._channel = self._channel, self._opened()
            self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        old.close()

    def close(self) -> None:
        """Calls that still run end as unavailable."""
        with self._swap:
            self._closed = True
        self._channel.close()

    def _opened(self) -> Any:
        target, secure = target_of(self.grpc_url)
        if not secure:
            return grpc.insecure_channel(target, options=CHANNEL_OPTIONS)
        known = self._tls or NodeTls()
        credentials = grpc.ssl_channel_credentials(known.root, known.key, known.certificate)
        return grpc.secure_channel(target, credentials, options=CHANNEL_OPTIONS)

    def _stream(
        self, crops: Sequence[bytes], asked: DescribeRequest, timeout_s: float, idle_timeout_s: float
    ) -> EventStream:
        _require_timeout(timeout_s)
        _require_timeout(idle_timeout_s)
        parameters = {VERSION_PARAMETER: self._version} if self._version else {}
        return self._told(crops, encode_request(asked).encode(), timeout_s, idle_timeout_s, parameters)

    def _told(
        self,
        crops: Sequence[bytes],
        text: bytes,
        timeout_s: float,
        idle_timeout_s: float,
        parameters: Mapping[str, str],
    ) -> EventStream:
        """A request to the describer, whatever it is about."""
        request = _infer_request(DESCRIBER, [], (bytes_tensor(crops), bytes_tensor([text])))
        request.inputs[0].shape[:] = [len(crops)]
        request.id = uuid.uuid4().hex
        for name, value in parameters.items():
            request.parameters[name].string_param = value
        try:
            call = self._stub.ModelStreamInfer(iter((request,)), timeout=timeout_s + ENDS_WITHIN_S)
        except _CALL_ERRORS as error:
            raise self._translated(error) from error
        return EventStream(
            call,
            timeout_s=timeout_s,
            idle_timeout_s=idle_timeout_s,
            node=self.name,
            translated=self._translated,
            stop=lambda: self._stop(request.id),
        )

    def _stop(self, request_id: str) -> None:
        """Ask the node to give up a describe request, on a thread of its own; a node that is away is not missed."""
        request = _infer_request(DESCRIBER, [], (bytes_tensor([b""]), bytes_tensor([b""])))
        request.inputs[0].shape[:] = [1]
        request.parameters[STOP_PARAMETER].string_param = request_id

        def ask() -> None:
            with contextlib.suppress(*_CALL_ERRORS):
                for _ in self._stub.ModelStreamInfer(iter((request,)), timeout=ENDS_WITHIN_S):
                    pass

        threading.Thread(target=ask, name=f"stop-{self.name}", daemon=True).start()

    def _model_calls(self, name: str, timeout_s: float) -> tuple[Any, Any]:
        ready = service_pb2.ModelReadyRequest(name=name)
        config = service_pb2.ModelConfigRequest(name=name)
        return (
            self._stub.ModelReady.future(ready, timeout=timeout_s),
            self._stub.ModelConfig.future(config, timeout=timeout_s),
        )

    def _call(self, method: Any, request: Any, timeout_s: float, metadata: tuple[tuple[str, str], ...] = ()) -> Any:
        try:
            return method(request, timeout=timeout_s, metadata=metadata)
        except _CALL_ERRORS as error:
            raise self._translated(error) from error

    @contextlib.contextmanager
    def _contract(self) -> Iterator[None]:
        try:
            yield
        except ContractBroken as error:
            raise NodeError(CONTRACT, str(error), node=self.name) from error

    def _translated(self, error: BaseException) -> NodeError:
        """A gRPC error as one of ours. A ValueError is what grpc raises for a closed channel."""
        if not isinstance(error, grpc.Call):
            return NodeError(UNAVAILABLE, f"The channel is closed: {error}", node=self.name)
        otherwise = _STATUS_CODES.get(error.code(), SERVER)
        return error_from_text(error.details() or "", otherwise=otherwise, node=self.name)


class NodeClients:
    """A process' clients, one a node. `tls` is for nodes whose address begins with `grpcs://`.

    A channel does not survive a fork: the child begins with none, and must not close its parent's.
    """

    def __init__(self, *, tls: NodeTls | None = None) -> None:
        self._tls = tls
        self._begin()
        begin = weakref.WeakMethod(self._begin)
        os.register_at_fork(after_in_child=lambda: (begin() or _nothing)())

    def of(self, node: NodeEndpoint) -> NodeClient:
        """The client of a node, made at its first use, and made anew when the node's address changes."""
        with self._lock:
            client = self._clients.get(node.name)
            if client is not None and client.grpc_url == node.grpc_url:
                return client
            control = _control_of(node.grpc_url)
            fresh = NodeClient(node.grpc_url, name=node.name, tls=self._tls, control=control)
            self._clients[node.name] = fresh
        if client is not None:
            client.close()
        return fresh

    def close(self) -> None:
        """Close every client; calls that still run end as unavailable."""
        with self._lock:
            clients = list(self._clients.values())
            self._clients.clear()
        for client in clients:
            client.close()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._clients: dict[str, NodeClient] = {}


def _nothing() -> None:
    """What is done after a fork for clients that nobody has any more."""


def _control_of(grpc_url: str) -> str:
    """What opens the control API of the nodes that were started with this process; no other machine is told."""
    host = target_of(grpc_url)[0].rpartition(":")[0].strip("[]")
    return os.environ.get(CONTROL_VARIABLE, "") if host in ("127.0.0.1", "::1", "localhost") else ""


def _require_timeout(timeout_s: float) -> None:
    """gRPC takes None as for ever; here nobody may wait for ever."""
    if not isinstance(timeout_s, int | float) or not 0 < timeout_s < float("inf"):
        raise ValueError(f"A call to a node needs a timeout in seconds, above 0; got {timeout_s!r}.")


def _checked_request(request: DescribeRequest | Mapping[str, Any], crops: Sequence[bytes]) -> DescribeRequest:
    asked = request if isinstance(request, DescribeRequest) else request_from_fields(request)
    if len(crops) != len(asked.regions):
        raise ValueError(f"{len(crops)} crops were given for {len(asked.regions)} regions.")
    return asked


def _infer_request(contract: ModelContract, batch: list[int], contents: Sequence[bytes]) -> Any:
    request = service_pb2.ModelInferRequest(model_name=contract.model)
    for spec, raw in zip(contract.inputs, contents, strict=True):
        request.inputs.add(name=spec.name, datatype=spec.datatype, shape=[*batch, *spec.shape])
        request.raw_input_contents.append(raw)
    return request


def bytes_tensor(entries: Sequence[bytes]) -> bytes:
    """BYTES entries as Triton wants them: each after its length, 4 bytes, little endian."""
    return b"".join(part for entry in entries for part in (struct.pack("<I", len(entry)), entry))


def _model_probe(contract: ModelContract, ready_call: Any, config_call: Any) -> ModelProbe:
    try:
        if not ready_call.result().ready:
            return ModelProbe(ready=False)
        config = MessageToDict(config_call.result().config, preserving_proto_field_name=True)
    except _CALL_ERRORS:
        return ModelProbe(ready=False)
    return ModelProbe(ready=True, differences=differences(contract, config))


@lru_cache(maxsize=1)
def _canary_picture() -> bytes:
    buffer = BytesIO()
    Image.linear_gradient("L").resize(_CANARY_SIZE).convert("RGB").save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _since_ms(started: float) -> float:
    return (time.perf_counter() - started) * 1000
