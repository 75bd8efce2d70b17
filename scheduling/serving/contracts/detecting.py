"""Detecting: what is asked of a detector, what it answers, and where the time went."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol, runtime_checkable

from msgspec import Meta

from scheduling.serving.contracts.limits import (
    DEFAULT_MIN_SCORE,
    MAX_PRODUCTS,
    MAX_STATISTICS,
    BoxXyxy,
    Count,
    ModelDigest,
    ModelName,
    ModelRuntime,
    ModelVersion,
    Rgb,
    SizeWh,
)


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
    batch: Count


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
class Appearance:
    """How a frame looks as a whole (see `appearance.py`), and how far that is from the model's training pictures.

    `distance` and `limit` are None where the model brings nothing to compare with; up to `limit` it is like them.
    """

    statistics: Annotated[Mapping[str, float], Meta(max_length=MAX_STATISTICS)]
    distance: Annotated[float, Meta(ge=0)] | None = None
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class DetectMeta:
    """The JSON in `meta`: who answered, about a frame of which size, and where the time went.

    `unplaced` counts regions that the model found and that lie nowhere in the frame: outside it, or at no numbers.
    They are in no other output, and a frame that has any was not inspected. `products` are what the model was trained
    for; a model that names none was trained for nothing that is known.
    """

    model: ModelName
    version: ModelVersion
    digest: ModelDigest
    runtime: ModelRuntime
    class_names: tuple[str, ...]
    size_wh: SizeWh
    timings: DetectTimings
    unplaced: Count = 0
    products: Annotated[tuple[str, ...], Meta(max_length=MAX_PRODUCTS)] = ()
    appearance: Appearance | None = None
