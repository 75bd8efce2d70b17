"""The values that pass between a worker (or the simulator) and a policy.

Knows no database, no network and no clock: every time is a float in seconds on the caller's one clock, every
duration ends in `_ms` or `_s`. State about Nodes lives in `node.py` and `fleet.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Action = Literal["send", "degrade", "wait", "skip"]
"""What may become of a waiting item. `skip`: nobody is asked, because the edge is sure of it."""


@dataclass(frozen=True, slots=True)
class Quality:
    """One rung of the ladder: pictures as JPEG of `jpeg_quality`, expected to weigh `bytes_factor` of the full ones."""

    name: str
    jpeg_quality: int
    bytes_factor: float


FULL_QUALITY = Quality("full", 95, 1.0)


@dataclass(frozen=True, slots=True)
class Item:
    """One request that waits for a Node; `items.py` is where they are made.

    bytes: payload at full quality, of which `fixed_bytes` (a golden template) are the same in every other. units: work
    against a typical request of the model (tiles of a frame, 1 for one crop). deadline_at, arrived_at: seconds on the
    caller's clock. What was accepted is never dropped: after its deadline it takes only spare capacity. excluded:
    Nodes that failed this item already. qualities: rungs below full quality that the caller can make, best first.
    edge_sure: the edge's own answer is proven good enough (see `cloudskip.py`), so the item may be skipped. attempt:
    which attempt this will be, from 1. scope: whose request it is; no policy looks at it.
    """

    id: str
    model: str
    bytes: int
    deadline_at: float
    arrived_at: float
    units: float = 1.0
    excluded: frozenset[str] = frozenset()
    qualities: tuple[Quality, ...] = ()
    edge_sure: bool = False
    attempt: int = 1
    scope: int | None = None
    fixed_bytes: int = 0

    def bytes_at(self, quality: Quality) -> float:
        """What is expected to be sent at that quality."""
        return self.fixed_bytes + (self.bytes - self.fixed_bytes) * quality.bytes_factor


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Where a predicted latency comes from; the first four parts add up to `predicted_ms`.

    margin_ms: by how much the Node was set back in the choice because its predictions tend to be off.
    """

    upload_ms: float
    wait_ms: float
    service_ms: float
    rtt_ms: float
    margin_ms: float

    @property
    def total_ms(self) -> float:
        return self.upload_ms + self.wait_ms + self.service_ms + self.rtt_ms


@dataclass(frozen=True, slots=True)
class Alternative:
    """A Node that was looked at: either what it would have taken, or why it was out of the question."""

    node: str
    predicted_ms: float | None
    why_not: str | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    breakdown: Breakdown | None
    alternatives: tuple[Alternative, ...]
    reason: str


class Placed:
    """A policy's answer for one item.

    node is None for every action but `send` and `degrade`. `predicted_ms` is None when no Node could be
    predicted. `reissue_s`: how long this attempt may take before the sender should cancel it and ask again, while
    another Node can still make the deadline; None to let it run. The explanation (breakdown, alternatives, reason)
    is worked out on first use from a snapshot taken at the decision, because most decisions of a busy queue are
    *wait* and nobody reads them.
    """

    __slots__ = (
        "_explain", "_explanation", "action", "item_id", "node", "predicted_ms", "quality", "reissue_s",
    )  # fmt: skip

    def __init__(
        self,
        item_id: str,
        action: Action,
        *,
        node: str | None = None,
        predicted_ms: float | None = None,
        quality: Quality = FULL_QUALITY,
        reissue_s: float | None = None,
        explain: Callable[[], Explanation] | None = None,
    ) -> None:
        self.item_id = item_id
        self.action: Action = action
        self.node = node
        self.predicted_ms = predicted_ms
        self.quality = quality
        self.reissue_s = reissue_s
        self._explain = explain
        self._explanation: Explanation | None = None

    @property
    def explanation(self) -> Explanation:
        if self._explanation is None:
            self._explanation = self._explain() if self._explain else Explanation(None, (), "")
        return self._explanation

    @property
    def breakdown(self) -> Breakdown | None:
        return self.explanation.breakdown

    @property
    def alternatives(self) -> tuple[Alternative, ...]:
        return self.explanation.alternatives

    @property
    def reason(self) -> str:
        return self.explanation.reason

    @property
    def sends(self) -> bool:
        return self.node is not None

    def to_json(self) -> dict[str, Any]:
        """Everything said about this decision, for the Dispatch row and for comparing a replay."""
        parts = self.breakdown
        return {
            "item": self.item_id,
            "action": self.action,
            "node": self.node,
            "predicted_ms": self.predicted_ms,
            "quality": self.quality.name,
            "reissue_s": self.reissue_s,
            "reason": self.reason,
            "breakdown": None if parts is None else {n: getattr(parts, n) for n in Breakdown.__slots__},
            "alternatives": [
                {"node": a.node, "predicted_ms": a.predicted_ms, "why_not": a.why_not} for a in self.alternatives
            ],
        }

    def __repr__(self) -> str:
        return f"Placed({self.item_id!r}, {self.action!r}, node={self.node!r}, predicted_ms={self.predicted_ms})"
