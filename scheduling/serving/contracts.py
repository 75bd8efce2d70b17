"""What a node and its clients agree on: values, protocols, tensors and the JSON inside them.

Read by the node's model code, by the client and by whoever implements a detector or a describer. It knows no
Triton library, no model runtime and no Django, so both ends of the wire can import it. All boxes are
`(x0, y0, x1, y1)` in pixels of the frame that was sent, x right, y down; all times are milliseconds.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

CONTRACT_VERSION = "1"
"""Goes up when a tensor or a JSON field changes its meaning; node and client must agree on it."""

# --- What one picture may cost, the same at the door and on the node

MAX_FRAME_BYTES = 64 * 2**20
"""Longest encoded picture, frame or template; a longer one is a bad frame."""

MAX_FRAME_PIXELS = 100 * 2**20
"""Largest picture (width times height) that is decoded; a larger one is a bad frame. Cameras go to 102 million."""

MAX_JPEG_SCANS = 100
"""Most scans of a progressive JPEG. A camera writes ten or so, and each is a pass over the whole picture."""

MAX_SCANNED_PIXELS = 1_200_000_000
"""Scans times pixels of a JPEG: what decoding may cost all together, some 3 s on one core."""

TILE_PX = 640
"""Side, in pixels of the frame, of what the shipped detector looks at at once; a larger frame is cut into tiles."""

TILE_OVERLAP_PX = 128
"""How far two neighbouring tiles overlap: a region up to so long lies in one of them as a whole."""

TILE_FROM_RATIO = 1.25
"""A frame up to so many times as long as a tile is looked at as one."""

TILE_BUDGET_S = 0.25
"""How much longer a request may take for each tile more: several times what a tile takes on one loaded core."""

LARGE_FRAME_TILES = 8
"""A frame of more tiles is worked on beside the others: it holds them up for a few tiles at a time."""

STEP_BUDGET_S = 3.0
"""How long a node works on a batch, or on a few tiles of a large frame, before it says that a picture is too costly.
Ten times what it takes on one loaded core, and less than a request's deadline."""

MAX_BATCH = 8
MAX_REGIONS_PER_REQUEST = 64
MAX_TEXT_CHARS = 1000
DEFAULT_MIN_SCORE = 0.05

IDENTITY_LIMITS = {"model": 100, "version": 40, "digest": 64, "runtime": 60}
"""Longest texts, in characters, with which a model may say who it is."""

MAX_CLASS_NAME_CHARS = 60
"""Longest name of a defect class, in characters, as a line's vocabulary stores it."""

MAX_CLASSES = 1000
"""Most classes of one model."""

Rgb: TypeAlias = npt.NDArray[np.uint8]
"""A decoded picture: (height, width, 3), uint8, RGB."""

BoxXyxy: TypeAlias = tuple[float, float, float, float]
SizeWh: TypeAlias = tuple[int, int]


def tile_count(size_wh: SizeWh, *, tile_px: int = TILE_PX) -> int:
    """In how many tiles a frame is looked at: 1 where it is not much larger than a tile."""
    width, height = size_wh
    if max(width, height) <= TILE_FROM_RATIO * tile_px:
        return 1
    return tiles_along(width, tile_px) * tiles_along(height, tile_px)


def tiles_along(length_px: int, tile_px: int) -> int:
    """How many overlapping tiles cover a side of the frame."""
    stride = tile_px - overlap_px(tile_px)
    return max(1, -(-(length_px - tile_px) // stride) + 1)


def overlap_px(tile_px: int) -> int:
    """The overlap of tiles that are not of the usual size, in proportion."""
    return TILE_OVERLAP_PX * tile_px // TILE_PX


def detect_budget_s(base_s: float, size_wh: SizeWh) -> float:
    """How long detecting in a frame may take where a frame of one tile may take `base_s`."""
    return base_s + TILE_BUDGET_S * (tile_count(size_wh) - 1)


def name_fault(name: object, limit: int) -> str:
    """Why a name cannot be stored and shown, as the end of a sentence; "" where it can."""
    if not isinstance(name, str):
        return "is no text"
    if not name.strip():
        return "is empty"
    if len(name) > limit:
        return f"has {len(name)} characters; at most {limit} are taken"
    if name != name.strip() or not name.isprintable():
        return "holds blanks at an end, or characters that cannot be shown"
    return ""


def class_names_fault(names: Sequence[object]) -> str:
    """Why these cannot be a model's classes, as a sentence; "" where they can."""
    if not 1 <= len(names) <= MAX_CLASSES:
        return f"{len(names)} classes are declared; expected 1 to {MAX_CLASSES}"
    for name in names:
        if fault := name_fault(name, MAX_CLASS_NAME_CHARS):
            return f"the class name {str(name)[:80]!r} {fault}"
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    return f"the class name {twice[0]!r} is declared twice" if twice else ""


# --- Errors that travel in-band as the text of a Triton error, `<code>: <sentence>`


BAD_FRAME = "bad_frame"
"""The picture or the request's content cannot be used; sending it again changes nothing."""

OVERLOADED = "overloaded"
"""The node's own queue is full; another node may take it."""

CANCELLED = "cancelled"
"""Whoever asked went away before the work began or ended."""

TOO_COSTLY = "too_costly"
"""This picture alone takes longer than a node may give it. After two nodes said so it is the picture's."""

HELD_UP = "held_up"
"""One of the pictures that were worked on together takes too long, and the node cannot say which: ask again alone."""

NODE_ERROR_CODES = (BAD_FRAME, OVERLOADED, CANCELLED, TOO_COSTLY, HELD_UP)

ALONE = "alone"
"""Parameter of a detect request, true where the picture is to be worked on apart from others."""

STOP_PARAMETER = "stop"
"""A request to the describer with this parameter names another one, by its id, that is to be given up."""


class BadFrame(ValueError):
    """A picture or request that no retry makes usable; the text is a sentence for a person."""


class ContractBroken(ValueError):
    """Something from the other end does not have the agreed shape, type or range."""


# --- Detecting


@dataclass(frozen=True, slots=True)
class DetectedRegion:
    """One region a detector proposes; `score` in 0..1, `class_index` into the detector's `class_names`."""

    box_xyxy: BoxXyxy
    score: float
    class_index: int
    class_name: str


@dataclass(frozen=True, slots=True)
class DetectTimings:
    """Where a request's time went on the node.

    `queue_ms` runs from the request's arrival in the model to its batch's start. `service_ms` is the time the
    whole batch took from its start to its answers; `batch` is how many frames shared it.
    """

    queue_ms: float
    decode_ms: float
    preprocess_ms: float
    infer_ms: float
    postprocess_ms: float
    service_ms: float
    batch: int


@dataclass(frozen=True, slots=True)
class StageTimings:
    """How a detector's last batch split its time; optional, see `TimedDetector`."""

    preprocess_ms: float
    infer_ms: float
    postprocess_ms: float


class Detector(Protocol):
    """Finds regions in frames. Called from one thread at a time."""

    name: str
    version: str
    digest: str  # sha256 (hex) of the weights file, or of the parameters where there are no weights
    runtime: str  # what runs it, for people: "openvino 2026.4 cpu, 2 threads"
    class_names: tuple[str, ...]

    def detect(
        self,
        images: Sequence[Rgb],
        *,
        min_score: float = DEFAULT_MIN_SCORE,
        templates: Sequence[Rgb | None] | None = None,
    ) -> list[list[DetectedRegion]]:
        """Regions of each image with `score >= min_score`, best first, in that image's pixels.

        `templates`, when given, is as long as `images`: the golden picture of each, or None. A detector that
        needs a template and gets none raises `BadFrame`.
        """
        ...


@runtime_checkable
class TimedDetector(Protocol):
    """A detector that also tells how its latest `detect` split its time."""

    last_timings: StageTimings


@dataclass(frozen=True, slots=True)
class DetectMeta:
    """The JSON in `meta`: who answered, about a frame of which size, and where the time went.

    `unplaced` counts regions that the model found and that lie nowhere in the frame: outside it, or at no numbers.
    They are in no other output, and a frame that has any was not inspected.
    """

    model: str
    version: str
    digest: str
    runtime: str
    class_names: tuple[str, ...]
    size_wh: SizeWh
    timings: DetectTimings
    unplaced: int = 0


# --- Describing


@dataclass(frozen=True, slots=True)
class RegionRequest:
    """One region to describe: its id at the asker, its box in pixels of the whole frame, the edge's class."""

    region_id: str
    box_xyxy: BoxXyxy
    detector_class: str
    score: float


@dataclass(frozen=True, slots=True)
class DescribeRequest:
    """The JSON in `request`; `regions[i]` belongs to `crops[i]`."""

    prompt_version: str
    frame_size_wh: SizeWh
    class_names: tuple[str, ...]
    regions: tuple[RegionRequest, ...]
    max_tokens: int = 256


@dataclass(frozen=True, slots=True)
class TokenEvent:
    """The next piece of text about a region, as the model writes it. Untrusted."""

    region_id: str
    text: str


@dataclass(frozen=True, slots=True)
class AnswerEvent:
    """A region's whole answer. `valid` says whether `answer` fits the schema; if not, `errors` says why."""

    region_id: str
    answer: dict[str, Any]
    raw_text: str
    valid: bool
    errors: tuple[str, ...]
    tokens: int


class Describer(Protocol):
    """Names and describes regions from their context crops. Called from one thread at a time."""

    name: str
    version: str
    digest: str
    runtime: str

    def describe(
        self,
        crops: Sequence[Rgb],
        regions: Sequence[RegionRequest],
        *,
        class_names: Sequence[str],
        frame_size_wh: SizeWh,
        is_cancelled: Callable[[], bool],
    ) -> Iterator[TokenEvent | AnswerEvent]:
        """Yield tokens as they come and exactly one `AnswerEvent` a region, in any order between regions.

        Stops early, without answers, soon after `is_cancelled()` turns true: it is asked before each token.
        """
        ...


@dataclass(frozen=True, slots=True)
class DescribeTimings:
    """`queue_ms` from arrival to start; the other two from the start; `tokens` of all regions together."""

    queue_ms: float
    first_token_ms: float
    service_ms: float
    tokens: int


@dataclass(frozen=True, slots=True)
class DoneEvent:
    """The last event of a stream: who answered and where the time went."""

    timings: DescribeTimings
    model: str
    version: str
    digest: str
    runtime: str


DescribeEvent: TypeAlias = TokenEvent | AnswerEvent | DoneEvent


# --- Tensors


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor as Triton's metadata names it, without the batch dimension; -1 is any length."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ModelContract:
    """What a served model must look like from outside. `max_batch_size` 0 means no batch dimension."""

    model: str
    max_batch_size: int
    decoupled: bool
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


EDGE_DETECTOR = ModelContract(
    model="edge_detector",
    max_batch_size=MAX_BATCH,
    decoupled=False,
    inputs=(
        TensorSpec("frame", "BYTES", (1,)),  # an encoded JPEG or PNG
        TensorSpec("template", "BYTES", (1,)),  # the golden picture, encoded; b"" is none
        TensorSpec("min_score", "FP32", (1,)),
    ),
    outputs=(
        TensorSpec("boxes", "FP32", (-1, 4)),
        TensorSpec("scores", "FP32", (-1,)),
        TensorSpec("classes", "INT32", (-1,)),
        TensorSpec("meta", "BYTES", (1,)),  # DetectMeta
    ),
)
"""One frame a request; the node batches requests. `boxes`, `scores` and `classes` have one row a region."""

DESCRIBER = ModelContract(
    model="describer",
    max_batch_size=0,
    decoupled=True,
    inputs=(
        TensorSpec("crops", "BYTES", (-1,)),  # encoded context crops
        TensorSpec("request", "BYTES", (1,)),  # DescribeRequest
    ),
    outputs=(TensorSpec("event", "BYTES", (1,)),),  # one DescribeEvent a response
)

MODELS: dict[str, ModelContract] = {contract.model: contract for contract in (EDGE_DETECTOR, DESCRIBER)}


def differences(contract: ModelContract, config: Mapping[str, Any]) -> tuple[str, ...]:
    """How a node's model configuration departs from the contract, one sentence each; empty when it fits.

    `config` is Triton's model configuration as JSON: `max_batch_size`, `input` and `output` with `name`,
    `data_type` ("TYPE_FP32") and `dims`, and `model_transaction_policy.decoupled`.
    """
    found = []
    batch = int(config.get("max_batch_size", 0))
    if (batch > 0) != (contract.max_batch_size > 0):
        found.append(f"max_batch_size is {batch}, expected {contract.max_batch_size}")
    decoupled = bool(config.get("model_transaction_policy", {}).get("decoupled", False))
    if decoupled != contract.decoupled:
        found.append(f"decoupled is {decoupled}, expected {contract.decoupled}")
    for kind, expected in (("input", contract.inputs), ("output", contract.outputs)):
        found += _tensor_differences(kind, expected, config.get(kind, ()))
    return tuple(found)


def _tensor_differences(
    kind: str, expected: Sequence[TensorSpec], actual: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    specs = {str(tensor.get("name")): _spec_from_config(tensor) for tensor in actual}
    for spec in expected:
        found = specs.pop(spec.name, None)
        if found is None:
            yield f"{kind} {spec.name} is missing"
        elif found != spec:
            yield f"{kind} {spec.name} is {_words(found)}, expected {_words(spec)}"
    if kind == "input":  # an output nobody reads is harmless, an input nobody fills is not
        yield from (f"input {name} is not in the contract" for name in specs)


def _spec_from_config(tensor: Mapping[str, Any]) -> TensorSpec:
    datatype = str(tensor.get("data_type", "")).removeprefix("TYPE_").replace("STRING", "BYTES")
    return TensorSpec(str(tensor.get("name")), datatype, tuple(int(n) for n in tensor.get("dims", ())))


def _words(spec: TensorSpec) -> str:
    return f"{spec.datatype} {list(spec.shape)}"
