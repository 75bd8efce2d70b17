"""What the dispatcher is given and what it gives back. Plain values, and the one error."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from scheduling.client.answers import NodeAnswer
from scheduling.policy.types import Item, Placed, Quality
from scheduling.replay.records import DecisionSnapshot

A = TypeVar("A", bound=NodeAnswer)


@dataclass(frozen=True)
class Request:
    """What is to be placed. `item.id` names it; `policy` is how its line chooses; `subject` is what it is about."""

    item: Item
    subject: str
    policy: str


@dataclass(frozen=True)
class Assignment:
    """A request that has a Node and its credit there.

    `seen` is what the policy saw, where this decision is among those that are kept; `dispatch_id` names the Dispatch
    that the journal began for it.
    """

    request: Request
    placed: Placed
    node: str
    request_id: str
    attempt: int = 1
    seen: DecisionSnapshot | None = None
    dispatch_id: int = 0
    lowered: Quality | None = None
    """The quality that an earlier attempt has made its pictures in: encoded once, every Node gets the same."""

    @property
    def quality(self) -> Quality:
        return self.lowered or self.placed.quality

    @property
    def bytes(self) -> float:
        """What is sent, in the quality that the policy chose."""
        return self.request.item.bytes_at(self.placed.quality)

    @property
    def full_bytes(self) -> float:
        """What would be sent in full quality."""
        item = self.request.item
        changed = item.bytes - item.fixed_bytes
        return item.fixed_bytes + changed / (self.lowered.bytes_factor if self.lowered else 1.0)


@dataclass(frozen=True)
class Provenance:
    """Where an answer is from: its Dispatch, the model and the Node, and how long it took."""

    dispatch_id: int
    served_model_id: int
    node: str
    measured_ms: float
    queue_ms: float
    service_ms: float
    sent_bytes: int = 0


@dataclass(frozen=True)
class Answer(Generic[A]):
    """What a Node answered, and where that is from. Book the Dispatch with the result, in one transaction."""

    content: A
    provenance: Provenance


class RequestFailed(Exception):
    """No Node did it. `blames_request` says that trying again elsewhere changes nothing or has been tried enough.

    `final` says that it must not be tried again at all: it would only delay others. `rest_s` says when trying again is
    worth it, where that is known.
    """

    def __init__(
        self, code: str, detail: str, *, blames_request: bool, final: bool = False, rest_s: float | None = None
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.blames_request = blames_request
        self.final = final
        self.rest_s = rest_s
