"""The values that pass between a worker (or the simulator) and a policy.

Knows no database, no network and no clock: every time is a float in seconds on the caller's one clock, every
duration ends in `_ms` or `_s`. State about Nodes lives in `node.py` and `fleet.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Action = Literal["send", "degrade", "wait", "skip", "defer", "reject"]


@dataclass(frozen=True, slots=True)
class Quality:
    """One rung of the crop-quality ladder.

    `bytes_factor` is the payload's expected size against full quality; `jpeg_quality` and `side_factor`
    (share of the model's input side) say how the caller makes such a payload.
    """

    name: str
    jpeg_quality: int
    side_factor: float
    bytes_factor: float


FULL_QUALITY = Quality("full", 95, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Item:
    """One request that waits for a Node.

    bytes: payload at full quality. units: work against a typical request of the model (crops of a batch,
    say). deadline_at, arrived_at: seconds on the caller's clock. reserve_s: time to keep free after this
    answer for the stage that follows. allowed: names of Nodes that may see the data, None for every Node.
    excluded: Nodes that failed this item already. qualities: rungs below full quality that the caller can
    make, best first. edge_sure: the edge's own answer is proven good enough (see `cloudskip.py`), so the
    item may be skipped. deferrable: an edge-only answer may go out now and this item be filled in later.
    late_ok: the answer is still wanted after the deadline (accepted work is never dropped); a late item
    takes only spare capacity. attempt: which attempt this will be, from 1. scope: whose request it is; no policy
    looks at it.
    """

    id: str
    model: str
    bytes: int
    deadline_at: float
    arrived_at: float
    units: float = 1.0
    allowed: frozenset[str] | None = None
    excluded: frozenset[str] = frozenset()
    qualities: tuple[Quality, ...] = ()
    reserve_s: float = 0.0
    edge_sure: bool = False
    deferrable: bool = False
    late_ok: bool = False
    attempt: int = 1
    scope: int | None = None

    @property
    def due_at(self) -> float:
        """When this stage's answer must be back, in seconds."""
        return self.deadline_at - self.reserve_s


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
        "retry_after_s",
    )  # fmt: skip

    def __init__(
        self,
        item_id: str,
        action: Action,
        *,
        node: str | None = None,
        predicted_ms: float | None = None,
        quality: Quality = FULL_QUALITY,
        retry_after_s: float | None = None,
        reissue_s: float | None = None,
        explain: Callable[[], Explanation] | None = None,
    ) -> None:
        self.item_id = item_id
        self.action: Action = action
        self.node = node
        self.predicted_ms = predicted_ms
        self.quality = quality
        self.retry_after_s = retry_after_s
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
            "retry_after_s": self.retry_after_s,
            "reissue_s": self.reissue_s,
            "reason": self.reason,
            "breakdown": None if parts is None else {n: getattr(parts, n) for n in Breakdown.__slots__},
            "alternatives": [
                {"node": a.node, "predicted_ms": a.predicted_ms, "why_not": a.why_not} for a in self.alternatives
            ],
        }

    def __repr__(self) -> str:
        return f"Placed({self.item_id!r}, {self.action!r}, node={self.node!r}, predicted_ms={self.predicted_ms})"
