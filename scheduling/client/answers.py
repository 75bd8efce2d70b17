"""What comes back from a node, checked: answers, probe results, and the one error type. Knows no gRPC.

A node's answer is believed only after its shapes, types and ranges were compared with the contract; what a
model wrote as text stays untrusted all the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from scheduling.serving.contracts import (
    EDGE_DETECTOR,
    NODE_ERROR_CODES,
    AnswerEvent,
    ContractBroken,
    DescribeEvent,
    DescribeRequest,
    DetectedRegion,
    DetectMeta,
    DoneEvent,
    ModelDigest,
    ModelName,
    ModelRuntime,
    ModelVersion,
    SizeWh,
    TokenEvent,
)
from scheduling.serving.wire import decode, decode_meta

UNAVAILABLE, DEADLINE, BAD_FRAME = "unavailable", "deadline", "bad_frame"
CONTRACT, CANCELLED, OVERLOADED, SERVER = "contract", "cancelled", "overloaded", "server"

RawOutputs: TypeAlias = Mapping[str, tuple[str, tuple[int, ...], bytes]]
"""Tensors as they came: name to datatype, shape and bytes."""

MAX_REGIONS_PER_FRAME = 10_000
_DTYPES = {"FP32": np.dtype("<f4"), "INT32": np.dtype("<i4")}


class NodeError(Exception):
    """A request to a node that brought no usable answer.

    `code` is unavailable, deadline, bad_frame, contract, cancelled, overloaded or server. `retryable` says
    whether another node may be asked: inference has no side effects, so everything but a bad frame and a
    request that the asker gave up may be tried again, within the time that is left. `needs_reload` says that the
    model's process on the node has died, which only `NodeClient.reload` or a new start of the node mends.
    """

    def __init__(self, code: str, detail: str, *, node: str, needs_reload: bool = False) -> None:
        super().__init__(f"{node}: {code}: {detail}")
        self.code, self.detail, self.node = code, detail, node
        self.retryable = code not in (BAD_FRAME, CANCELLED)
        self.needs_reload = needs_reload


def error_from_text(text: str, *, otherwise: str, node: str) -> NodeError:
    """What a node's own words mean: our models begin theirs with a code, Triton does not."""
    code, _, sentence = text.partition(": ")
    if code in NODE_ERROR_CODES:
        return NodeError(UNAVAILABLE if code == CANCELLED else code, sentence, node=node)
    died = "Stub process" in text and "is not healthy" in text
    if died or "unknown model" in text:
        return NodeError(UNAVAILABLE, text, node=node, needs_reload=died)
    return NodeError(otherwise, text, node=node)


@dataclass(frozen=True, slots=True)
class WorkReport:
    """Which model did it and how long it took, as the node says, in the same words for every kind of answer."""

    model: str
    version: str
    digest: str
    runtime: str
    service_ms: float
    queue_ms: float
    batch: int = 1
    class_names: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
    sent_bytes: int = 0
    own: bool = True
    """Whether it is the node's own model, and not a version that it was brought."""


@dataclass(frozen=True, slots=True)
class StageMeta:
    """The least that the JSON in `meta` says, whatever the model is for: which model answered, how long it took."""

    model: ModelName
    version: ModelVersion
    digest: ModelDigest
    runtime: ModelRuntime
    service_ms: float
    queue_ms: float


class NodeAnswer(Protocol):
    """Any answer of a node: it says who made it."""

    @property
    def report(self) -> WorkReport: ...


@dataclass(frozen=True, slots=True)
class DetectAnswer:
    """Regions best first, in pixels of the sent frame. `latency_ms` is the whole call as the asker saw it."""

    node: str
    regions: tuple[DetectedRegion, ...]
    meta: DetectMeta
    latency_ms: float
    sent_bytes: int

    @property
    def report(self) -> WorkReport:
        meta, timings = self.meta, self.meta.timings
        who = (meta.model, meta.version, meta.digest, meta.runtime)
        took = (timings.service_ms, timings.queue_ms, timings.batch)
        return WorkReport(*who, *took, meta.class_names, meta.products, self.sent_bytes)


@dataclass(frozen=True, slots=True)
class DescribeAnswer:
    """One answer for each region that was asked about, in the order of the request."""

    node: str
    answers: tuple[AnswerEvent, ...]
    done: DoneEvent
    latency_ms: float
    first_event_ms: float
    sent_bytes: int
    own: bool = True

    @property
    def report(self) -> WorkReport:
        done = self.done
        who = (done.model, done.version, done.digest, done.runtime)
        took = (done.timings.service_ms, done.timings.queue_ms)
        return WorkReport(*who, *took, sent_bytes=self.sent_bytes, own=self.own)


@dataclass(frozen=True, slots=True)
class ModelProbe:
    """`differences` are sentences on how the served model departs from the contract."""

    ready: bool
    differences: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        return self.ready and not self.differences


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """How a node looks from here; `error` says why it is not live or not ready, in words."""

    node: str
    live: bool
    ready: bool
    latency_ms: float
    models: Mapping[str, ModelProbe] = field(default_factory=dict)
    error: str = ""

    def usable(self, model: str) -> bool:
        return self.live and model in self.models and self.models[model].usable


def raw_outputs(response: Any) -> RawOutputs:
    """The tensors of a `ModelInferResponse`; raises `ContractBroken`."""
    if len(response.outputs) != len(response.raw_output_contents):
        raise ContractBroken("the answer's tensors and their bytes differ in number")
    return {
        tensor.name: (tensor.datatype, tuple(tensor.shape), raw)
        for tensor, raw in zip(response.outputs, response.raw_output_contents, strict=True)
    }


def read_regions(
    outputs: RawOutputs,
) -> tuple[list[DetectedRegion], DetectMeta]:
    """The regions and meta in a detector's raw outputs `{name: (datatype, shape, bytes)}`; or `ContractBroken`.

    A region that lies nowhere (outside the frame, inside out, or at what is no number) is not among them, and is
    counted in `meta.unplaced`: that there is one is known, where it is is not.
    """
    tensors = {spec.name: _tensor(spec.name, spec.datatype, outputs) for spec in EDGE_DETECTOR.outputs[:3]}
    boxes, scores, classes = tensors["boxes"], tensors["scores"], tensors["classes"]
    meta = decode_meta(single_bytes("meta", outputs))
    _check_lengths(boxes, scores, classes)
    placed = _placed(boxes[0], scores[0], meta.size_wh)
    boxes, scores, classes = boxes[0][placed], scores[0][placed], classes[0][placed]
    _check_ranges(scores, classes, meta)
    rows = zip(_clipped(boxes, meta.size_wh).tolist(), scores.tolist(), classes.tolist(), strict=True)
    regions = [DetectedRegion(tuple(box), score, i, meta.class_names[i]) for box, score, i in rows]
    return regions, replace(meta, unplaced=meta.unplaced + int((~placed).sum()))


def _check_lengths(boxes: npt.NDArray[Any], scores: npt.NDArray[Any], classes: npt.NDArray[Any]) -> None:
    count = scores.shape[1] if scores.ndim == 2 else -1
    if boxes.shape != (1, count, 4) or scores.shape != (1, count) or classes.shape != (1, count):
        raise ContractBroken(
            f"boxes {list(boxes.shape)}, scores {list(scores.shape)} and classes {list(classes.shape)} "
            "do not hold one frame's regions"
        )
    if count > MAX_REGIONS_PER_FRAME:
        raise ContractBroken(f"{count} regions in one frame, at most {MAX_REGIONS_PER_FRAME} are taken")


def _placed(boxes: npt.NDArray[Any], scores: npt.NDArray[Any], size_wh: SizeWh) -> npt.NDArray[np.bool_]:
    """Which of the boxes (n, 4) have finite numbers and an area inside the frame."""
    finite = np.isfinite(boxes).all(axis=1) & np.isfinite(scores)
    inside = _clipped(np.where(finite[:, None], boxes, 0.0), size_wh)
    placed: npt.NDArray[np.bool_] = finite & (inside[:, :2] < inside[:, 2:]).all(axis=1)
    return placed


def _clipped(boxes: npt.NDArray[Any], size_wh: SizeWh) -> npt.NDArray[Any]:
    return np.clip(boxes, 0.0, np.array([*size_wh, *size_wh], np.float32))


def _check_ranges(scores: npt.NDArray[Any], classes: npt.NDArray[Any], meta: DetectMeta) -> None:
    if ((scores < 0) | (scores > 1)).any():
        raise ContractBroken("a score is outside 0..1")
    if ((classes < 0) | (classes >= len(meta.class_names))).any():
        raise ContractBroken(f"a class index is outside the model's {len(meta.class_names)} classes")


def _tensor(name: str, datatype: str, outputs: RawOutputs) -> npt.NDArray[Any]:
    actual, shape, raw = _output(name, outputs)
    if actual != datatype:
        raise ContractBroken(f"output {name} is {actual}, expected {datatype}")
    dtype = _DTYPES[datatype]
    if min(shape, default=0) < 0 or int(np.prod(shape)) * dtype.itemsize != len(raw):
        raise ContractBroken(f"output {name} has {len(raw)} bytes for shape {list(shape)}")
    return np.frombuffer(raw, dtype).reshape(shape)


def single_bytes(name: str, outputs: RawOutputs) -> bytes:
    """The one entry of a BYTES output; raises `ContractBroken`."""
    datatype, _, raw = _output(name, outputs)
    if datatype != "BYTES" or len(raw) < 4 or int.from_bytes(raw[:4], "little") != len(raw) - 4:
        raise ContractBroken(f"output {name} is not one BYTES entry")
    return raw[4:]


def read_event_text(outputs: RawOutputs) -> bytes:
    """The JSON text in a describer's response; raises `ContractBroken`."""
    return single_bytes("event", outputs)


def read_report(outputs: RawOutputs) -> WorkReport:
    """What a node says of its work in an output `meta`, a JSON object; raises `ContractBroken`."""
    said = decode(single_bytes("meta", outputs), StageMeta, "meta")
    return WorkReport(said.model, said.version, said.digest, said.runtime, said.service_ms, said.queue_ms)


def _output(name: str, outputs: RawOutputs) -> tuple[str, tuple[int, ...], bytes]:
    if name not in outputs:
        raise ContractBroken(f"output {name} is missing")
    return outputs[name]


class StreamCheck:
    """Holds a describer's stream to its promise: known regions, one answer each, `done` once and last."""

    def __init__(self, request: DescribeRequest) -> None:
        self._order = tuple(region.region_id for region in request.regions)
        self._answers: dict[str, AnswerEvent] = {}
        self.done: DoneEvent | None = None

    def take(self, event: DescribeEvent) -> None:
        """Raises `ContractBroken` for an event that must not come now."""
        if self.done is not None:
            raise ContractBroken("an event came after done")
        if isinstance(event, DoneEvent):
            self.done = event
        elif event.region_id not in self._order:
            raise ContractBroken(f"an event speaks of region {event.region_id!r}, which was not asked about")
        elif isinstance(event, TokenEvent):
            if event.region_id in self._answers:
                raise ContractBroken(f"a token came after the answer about region {event.region_id!r}")
        elif event.region_id in self._answers:
            raise ContractBroken(f"region {event.region_id!r} was answered twice")
        else:
            self._answers[event.region_id] = event

    def finish(self) -> tuple[tuple[AnswerEvent, ...], DoneEvent]:
        """The answers in the request's order, once the stream has ended; raises `ContractBroken`."""
        missing = [region_id for region_id in self._order if region_id not in self._answers]
        if missing or self.done is None:
            raise ContractBroken(f"the stream ended without {f'answers for {missing}' if missing else 'done'}")
        return tuple(self._answers[region_id] for region_id in self._order), self.done
