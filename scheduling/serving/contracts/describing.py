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
    """One region to describe: its id at the asker, its box in pixels of the whole frame, what the detector said there.

    `template`, where the station has a golden template, is the same cut of it as the crop, encoded.
    """

    region_id: str
    box_xyxy: BoxXyxy
    detector_class: str
    score: float
    template: bytes = b""


@dataclass(frozen=True, slots=True)
class DescribeRequest:
    """The JSON in `request`; `regions[i]` belongs to `crops[i]`."""

    prompt_version: str
    frame_size_wh: SizeWh
    class_names: tuple[str, ...]
    regions: Annotated[tuple[RegionRequest, ...], Meta(min_length=1, max_length=MAX_REGIONS_PER_REQUEST)]
    max_tokens: int = 256


def sent_bytes(crop_bytes: int, template_bytes: int = 0) -> int:
    """What a region's pictures weigh on the wire: the crop as it is, the template's cut as base64 in the request."""
    return crop_bytes + 4 * -(-template_bytes // 3)


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
        templates: Sequence[Rgb | None] | None = None,
    ) -> Iterator[TokenEvent | AnswerEvent]:
        """Yield tokens as they come and exactly one `AnswerEvent` a region, in any order between regions.

        `templates[i]`, where there is one, is the same cut of the golden template as `crops[i]`. A describer whose
        `describe` takes no templates is not given any.
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
