"""What another policy would have done in a recorded stretch: the same looks at the queue, decided again, side by side.

Compared is each request that was sent: where it went, and where the other policy would have sent it from the very same
state. Both choices are measured by one yardstick, the answer times that were predicted for every Node at that moment.
What this cannot tell: how the state would have gone on had the other policy really chosen, and whether the predicted
times of Nodes that were not chosen would have come true. Pure: knows no database.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import nlargest
from statistics import median
from typing import Any

from scheduling.policy import Item, Placed, Policy, get_policy
from scheduling.policy.fleet import FleetState
from scheduling.policy.percentiles import percentile
from scheduling.replay.records import DecisionRecord, replay

MOST_EXAMPLES = 100
CLOCK_GRAIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Choice:
    """One request and what is foreseen of it. `node` None: not sent at that look; `action` says what instead."""

    action: str
    node: str | None
    predicted_ms: float | None


@dataclass(slots=True)
class PolicyFigures:
    """All choices of one policy in the stretch."""

    actions: Counter[str] = field(default_factory=Counter)
    by_node: Counter[str] = field(default_factory=Counter)
    predicted_ms: list[float] = field(default_factory=list)
    in_time: int = 0

    def add(self, choice: Choice, slack_ms: float) -> None:
        self.actions[choice.action] += 1
        if choice.node is None:
            return
        self.by_node[choice.node] += 1
        if choice.predicted_ms is not None:
            self.predicted_ms.append(choice.predicted_ms)
            self.in_time += choice.predicted_ms <= slack_ms

    def to_json(self) -> dict[str, Any]:
        ordered = sorted(self.predicted_ms)
        return {
            "sent": sum(self.by_node.values()),
            "not_sent": {action: n for action, n in sorted(self.actions.items()) if action not in ("send", "degrade")},
            "in_time_share": round(self.in_time / len(ordered), 4) if ordered else None,
            "p50_predicted_ms": round(percentile(ordered, 0.5), 2) if ordered else None,
            "p95_predicted_ms": round(percentile(ordered, 0.95), 2) if ordered else None,
            "by_node": dict(sorted(self.by_node.items())),
        }


class PolicyComparison:
    """Feed it the records of a stretch, oldest first; the other policy keeps its memory from one to the next.

    Each look is decided again whole; told of are only the requests whose scope `tells_of`.
    """

    def __init__(self, policy: str, *, seed: int = 0, tells_of: Callable[[int | None], bool] = lambda _: True) -> None:
        self.name = policy
        self._tells_of = tells_of
        self.was, self.would = PolicyFigures(), PolicyFigures()
        self._rng = random.Random(seed)
        self._policies: dict[int, Policy] = {}
        self._recorded_by: Counter[str] = Counter()
        self._looks = self._decisions = self._same = 0
        self._changes: list[float] = []
        self._examples: list[dict[str, Any]] = []

    def add(self, past: DecisionRecord) -> None:
        """Raises ValueError, KeyError or TypeError where the record cannot be read by today's policies."""
        again = {one.item_id: one for one in self._decide(past)}
        items = {item.id: item for item in past.items}
        self._looks += any(self._tells_of(item.scope) for item in past.items)
        for said in past.decided:
            if said["node"] is not None and self._tells_of(items[said["item"]].scope):
                self._add(past, items[said["item"]], said, again[said["item"]])

    def result(self) -> dict[str, Any]:
        """Figures of both sides, and the decisions that differ most."""
        return {
            "looks": self._looks,
            "decisions": self._decisions,
            "same_node": self._same,
            "recorded_by": dict(sorted(self._recorded_by.items())),
            "was": self.was.to_json(),
            "would": self.would.to_json(),
            "median_change_ms": round(median(self._changes), 2) if self._changes else None,
            "examples": self._examples,
        }

    def _decide(self, past: DecisionRecord) -> list[Placed]:
        """The recorded policy has its recorded memory and chances, so it must come to what it said then."""
        if past.policy == self.name:
            return replay(past)
        return self._policy(past).place(past.items, FleetState.from_json(past.state), past.now)

    def _policy(self, past: DecisionRecord) -> Policy:
        """Another policy with the memory that one machine's worker would have: each machine's clock has its own."""
        clock = round((past.at - past.now) / CLOCK_GRAIN_S)
        if clock not in self._policies:
            self._policies[clock] = get_policy(self.name, self._rng)
        return self._policies[clock]

    def _add(self, past: DecisionRecord, item: Item, said: dict[str, Any], again: Placed) -> None:
        foreseen = _foreseen(said)
        was = Choice(said["action"], said["node"], foreseen[said["node"]])
        would = Choice(again.action, again.node, foreseen.get(again.node or ""))
        slack_ms = 1000 * (item.deadline_at - past.now)
        self.was.add(was, slack_ms)
        self.would.add(would, slack_ms)
        self._decisions += 1
        self._recorded_by[past.policy] += 1
        if was.node == would.node:
            self._same += 1
            return
        change_ms = (
            None if would.predicted_ms is None or was.predicted_ms is None else would.predicted_ms - was.predicted_ms
        )
        if change_ms is not None:
            self._changes.append(change_ms)
        self._show(past, item, was, would, slack_ms, change_ms)

    def _show(
        self, past: DecisionRecord, item: Item, was: Choice, would: Choice, slack_ms: float, change_ms: float | None
    ) -> None:
        example = {
            "at": past.at,
            "item": item.id,
            "model": item.model,
            "slack_ms": round(slack_ms, 1),
            "was": _rounded(was),
            "would": _rounded(would),
            "change_ms": None if change_ms is None else round(change_ms, 2),
        }
        self._examples = nlargest(MOST_EXAMPLES, [*self._examples, example], key=_weight)


def _foreseen(said: dict[str, Any]) -> dict[str, float | None]:
    """The answer time that was predicted for each Node when the decision was made."""
    foreseen = {other["node"]: other["predicted_ms"] for other in said["alternatives"]}
    parts = said["breakdown"] or {}
    summed = sum(parts.get(name, 0.0) for name in ("upload_ms", "wait_ms", "service_ms", "rtt_ms"))
    foreseen[said["node"]] = said["predicted_ms"] if said["predicted_ms"] is not None else summed or None
    return foreseen


def _rounded(choice: Choice) -> dict[str, Any]:
    predicted = choice.predicted_ms
    return {
        "action": choice.action,
        "node": choice.node,
        "predicted_ms": None if predicted is None else round(predicted, 2),
    }


def _weight(example: dict[str, Any]) -> float:
    """What differs most stands first; a request left waiting comes before any change of Nodes."""
    return float("inf") if example["change_ms"] is None else abs(example["change_ms"])
