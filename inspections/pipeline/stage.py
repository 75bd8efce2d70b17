"""What a stage of a Frame's way is: all that the worker, the pages and the API need to know of it, in one record.

Each stage has a file of its own in `stages/` and one line in the registry there; `docs/how-to/add-a-stage.md` adds one.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar
from uuid import UUID

from aivd_web.kernel.database import Moment
from inspections.models import Detection, Frame, Step
from scheduling.client.answers import NodeAnswer
from scheduling.client.inference import Inference
from scheduling.dispatch.values import Answer
from scheduling.policy.items import Load
from scheduling.policy.types import Quality
from scheduling.serving.contracts import ModelContract

from . import steps

A = TypeVar("A", bound=NodeAnswer)


class WaitingStep(NamedTuple):
    """What is read of a Step that waits. Most that are looked at are not begun now, so it is little."""

    pk: int
    kind: str
    age_s: float
    left_s: float
    frame_id: UUID
    frame_bytes: int
    width: int
    height: int
    station_id: int
    policy: str
    template_sha256: str
    bit_depth: str
    regions: int
    ladder: bool
    skip: bool


class Stage(ABC, Generic[A]):
    """One stage. `A` is the kind of answer that its model gives."""

    kind: ClassVar[str]
    """Its name in rows, in the API and in the words of the project: `detect`."""

    title: ClassVar[str]
    """Its name as people read it."""

    contract: ClassVar[ModelContract]
    """The model that does it, as a Node must serve it."""

    look_ahead: ClassVar[int] = 16
    """How many of its Steps one look takes in: a backlog of one stage must not hide the Steps of another."""

    due_within: ClassVar[timedelta] = timedelta(minutes=10)
    """Its Step's deadline, from when it was begun. The first stage has the Frame's own."""

    gives_way: ClassVar[bool] = False
    """Whether its Steps take spare capacity alone, however long they have waited."""

    has_ladder: ClassVar[bool] = False
    """Whether `build_in` makes pictures of a lower quality, where a Station allows it and a link is too slow."""

    may_be_skipped: ClassVar[bool] = False
    """Whether its Steps may end without a Node being asked, so that they are looked at while all Nodes are full too."""

    def load(self, waiting: WaitingStep) -> Load:
        """What its request weighs."""
        return Load(waiting.frame_bytes)

    def wanted(self, frame: Frame, believed: Sequence[Detection]) -> bool:
        """Whether a Frame goes through it after the first stage, which found what is `believed`."""
        return False

    def begun(self, frame: Frame, believed: Sequence[Detection], now: Moment) -> Step:
        """The Step by which a Frame goes through it, not stored yet."""
        return Step(frame=frame, kind=self.kind, deadline_at=now + self.due_within)

    @abstractmethod
    def build(self, frame: Frame) -> Inference[A]:
        """What a Node is asked about the Frame. Raises BadMedia, or Unavailable while the decoder is busy."""

    def build_in(self, frame: Frame, quality: Quality) -> Inference[A]:
        """As `build`, with pictures of that quality; a stage without a ladder is only asked for full quality."""
        return self.build(frame)

    @abstractmethod
    def commit(self, *, claim: "steps.Claim", frame: Frame, answer: Answer[A], stages: "Stages", now: Moment) -> None:
        """Keep the answer, end the Step and book the Dispatch, in one transaction. Raises LateHolder."""

    def shown(self, result: dict[str, Any] | None) -> dict[str, str]:
        """What people read of the Step's own result, by its name; nothing where the Frame's regions show it."""
        return {}


class Stages:
    """The stages of this project, in the order of a Frame's way. The first one begins with the Frame."""

    def __init__(self, *stages: Stage[Any]) -> None:
        self.by_kind = {stage.kind: stage for stage in stages}

    def __iter__(self) -> Iterator[Stage[Any]]:
        return iter(self.by_kind.values())

    def __getitem__(self, kind: str) -> Stage[Any]:
        return self.by_kind[kind]

    def get(self, kind: str) -> Stage[Any] | None:
        """None for a kind that this version does not know: rows may be older or newer than the code."""
        return self.by_kind.get(kind)

    @property
    def first(self) -> Stage[Any]:
        return next(iter(self))

    def after_first(self, frame: Frame, believed: Sequence[Detection]) -> list[Stage[Any]]:
        """The stages that a Frame goes through next."""
        return [stage for stage in self if stage is not self.first and stage.wanted(frame, believed)]

    def kind_of_model(self, model: str) -> str | None:
        """The stage that a Triton model does."""
        return next((stage.kind for stage in self if stage.contract.model == model), None)
