"""Describing: what is asked of a describer, the events it answers with, and where the time went."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, TypeAlias

from msgspec import Meta

from scheduling.serving.contracts.limits import (
    MAX_REGIONS_PER_REQUEST,
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
    regions: Annotated[tuple[RegionRequest, ...], Meta(min_length=1, max_length=MAX_REGIONS_PER_REQUEST)]
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
    tokens: Count


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
    tokens: Count


@dataclass(frozen=True, slots=True)
class DoneEvent:
    """The last event of a stream: who answered and where the time went."""

    timings: DescribeTimings
    model: ModelName
    version: ModelVersion
    digest: ModelDigest
    runtime: ModelRuntime


DescribeEvent: TypeAlias = TokenEvent | AnswerEvent | DoneEvent
