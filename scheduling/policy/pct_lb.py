"""Predicted completion, late binding, admission: the policy this project recommends.

Waiting items are placed virtually in deadline order, each on the Node predicted to answer first; only items
whose Node has credit really leave, the rest are decided again at the next answer or tick. An item that no
Node is predicted to answer in time walks down the ladder: lower quality, skip, and, once even an idle Node
could not make it, runs late in spare capacity: what was accepted is never dropped.

What has left is not forgotten: a decision says until when its answer must be back (`recall_s`) so that another Node
can still make the deadline. A Node that let that moment pass is in doubt until an answer or a quick probe clears it,
and serves only what no other Node can answer in time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from scheduling.policy import words
from scheduling.policy.fleet import FleetState
from scheduling.policy.prediction import Lane, Outlook, Weights
from scheduling.policy.types import FULL_QUALITY, Action, Explanation, Item, Placed, Quality

HORIZON = 48
MOST_ATTEMPTS = 3  # of one item: the last one is not called back
RECALL_AFTER = 1.5  # times the predicted latency: nothing is called back sooner
RECALL_AT = 2.0  # times the predicted latency, and RECALL_LEAST_S more: late enough to be out of the ordinary
RECALL_LEAST_S = 0.03
RECALL_ROOM = 1.25  # times what the next best Node would take now, and RECALL_SPARE_S: it will be busier then
RECALL_SPARE_S = 0.01


@dataclass(frozen=True, slots=True)
class PctLb:
    """`late_binding`, `admission` and `ladder` exist to be switched off in the ablation."""

    name: str = "pct-lb"
    weights: Weights = field(default_factory=Weights)
    horizon: int = HORIZON
    late_binding: bool = True
    admission: bool = True
    patience: bool = True
    canaries: bool = True
    recalls: bool = True
    uplink_ahead_s: float = 0.03

    def place(self, waiting: Sequence[Item], state: FleetState, now: float) -> list[Placed]:
        # What is late anyway comes last: it must not take the place of what can still make it.
        order = sorted(waiting, key=lambda item: (item.deadline_at < now, item.deadline_at, item.arrived_at, item.id))
        outlook = Outlook(state, now, self.weights, order)
        placed = [self._place(item, outlook) for item in order[: self.horizon]]
        placed += [self._hold(item, outlook, "waits behind earlier deadlines") for item in order[self.horizon :]]
        return placed

    def _place(self, item: Item, outlook: Outlook) -> Placed:
        slack = item.deadline_at - outlook.now
        lane, took = outlook.best(item, item.bytes)
        if took > slack:
            lane, took = self._or_doubted(item, item.bytes, lane, took, outlook)
        if lane is not None and (took <= slack or not self.admission):
            return self._bind(item, lane, took, FULL_QUALITY, outlook)
        for quality in item.qualities:
            lane, took = outlook.best(item, item.bytes * quality.bytes_factor)
            if lane is not None and took <= slack:
                return self._bind(item, lane, took, quality, outlook)
        return self.no_fit(item, lane, took, slack, outlook)

    def _or_doubted(
        self, item: Item, size: float, lane: Lane | None, took: float, outlook: Outlook
    ) -> tuple[Lane | None, float]:
        """A Node in doubt serves only what no other Node can answer in time."""
        other, other_took = outlook.best(item, size, doubted=True)
        return (other, other_took) if other_took < took else (lane, took)

    def no_fit(self, item: Item, lane: Lane | None, took: float, slack: float, outlook: Outlook) -> Placed:
        """The rest of the ladder, for an item that no Node is predicted to answer in `slack` seconds."""
        if item.edge_sure:
            return self._unsent("skip", item, outlook, "skipped: the edge is sure of it and no Node answers in time")
        canary = outlook.worth_a_try(item, item.bytes, slack) if self.canaries else None
        if canary is not None:
            return self._try(item, canary, outlook)
        smallest = min((q.bytes_factor for q in item.qualities), default=1.0) * item.bytes
        hopeless = not self.patience or outlook.floor_s(item, smallest) > slack
        if not hopeless:
            return self._hold(item, outlook, f"waits: no Node is predicted within {1000 * slack:.0f} ms")
        return self._late(item, lane, took, outlook)

    def _bind(self, item: Item, lane: Lane, took: float, quality: Quality, outlook: Outlook) -> Placed:
        size = item.bytes * quality.bytes_factor
        explain = partial(_explain, outlook, item, size, len(outlook.takes), lane.name, quality)
        leaves = not self.late_binding or (lane.credit > 0 and lane.uplink - outlook.now <= self.uplink_ahead_s)
        recall_s = self._recall_s(item, size, lane, took, outlook) if leaves and self.recalls else None
        outlook.take(item, size, lane)
        if not leaves:
            waits = partial(explain, lead="waits for ")
            return Placed(item.id, "wait", predicted_ms=1000 * took, explain=waits)
        lane.credit, lane.busy = lane.credit - 1, lane.busy + 1
        action: Action = "send" if quality is FULL_QUALITY else "degrade"
        return Placed(
            item.id,
            action,
            node=lane.name,
            predicted_ms=1000 * took,
            quality=quality,
            recall_s=recall_s,
            explain=explain,
        )

    def _recall_s(self, item: Item, size: float, lane: Lane, took: float, outlook: Outlook) -> float | None:
        """When to give this attempt up so that the next best Node can still answer in time, or None to let it run.

        A radio link that stalls holds everything behind it, so it does not pay to wait until the last moment. A Node of
        which nothing is known yet must be let to answer: called back after a guess, it would never be known.
        """
        if item.attempt >= MOST_ATTEMPTS or not lane.node.service.knows(item.model):
            return None
        other, other_took = outlook.best(item, size, but=lane)
        if other is None:
            return None
        left_s = item.deadline_at - outlook.now - RECALL_ROOM * other_took - RECALL_SPARE_S
        return min(left_s, RECALL_AT * took + RECALL_LEAST_S) if left_s > RECALL_AFTER * took else None

    def _try(self, item: Item, lane: Lane, outlook: Outlook) -> Placed:
        """Send an item that fits nowhere to a Node that may have recovered: it costs little, and tells."""
        took = lane.answer_s(item.bytes, outlook.unit_s(item.model, lane) * item.units)
        explain = partial(
            _explain, outlook, item, item.bytes, len(outlook.takes), lane.name, FULL_QUALITY, "tries again "
        )
        outlook.take(item, item.bytes, lane)
        lane.credit, lane.untried = lane.credit - 1, False
        return Placed(item.id, "send", node=lane.name, predicted_ms=1000 * took, explain=explain)

    def _late(self, item: Item, lane: Lane | None, took: float, outlook: Outlook) -> Placed:
        """Run late work in spare capacity only: half the slots, and half the uplink, stay free for live items.

        Where nothing live waits, the next one may travel to a Node of a single slot while that works.
        """
        if lane is None:
            return self._hold(item, outlook, "late: waits until a Node is back")
        upload_s = item.bytes * lane.inverse_rate
        most = max(1, lane.slot_count // 2)
        if lane.slot_count == 1 and outlook.only_late(item.model):
            most = 2
        spare = lane.busy < most and lane.credit > 0
        if not spare or outlook.now < lane.last_sent_at + 2 * upload_s:
            return self._hold(item, outlook, "late: waits for spare capacity")
        steps = len(outlook.takes)
        explain = partial(_explain, outlook, item, item.bytes, steps, lane.name, FULL_QUALITY, lead="late: ")
        outlook.take(item, item.bytes, lane)
        lane.credit, lane.busy, lane.last_sent_at = lane.credit - 1, lane.busy + 1, outlook.now
        return Placed(item.id, "send", node=lane.name, predicted_ms=1000 * took, explain=explain)

    def _hold(self, item: Item, outlook: Outlook, why: str) -> Placed:
        return self._unsent("wait", item, outlook, why)

    def _unsent(self, action: Action, item: Item, outlook: Outlook, why: str) -> Placed:
        return Placed(item.id, action, explain=partial(_explain_unsent, outlook, item, len(outlook.takes), why))


def _explain(
    outlook: Outlook, item: Item, size: float, steps: int, name: str, quality: Quality, lead: str = ""
) -> Explanation:
    lane = outlook.as_of(steps, item.model)[name]
    parts = lane.breakdown(size, outlook.unit_s(item.model, lane) * item.units)
    others = outlook.alternatives(item, size, steps, name)
    return Explanation(parts, others, words.chosen(name, parts, others, quality, lead))


def _explain_unsent(outlook: Outlook, item: Item, steps: int, why: str) -> Explanation:
    others = outlook.alternatives(item, item.bytes, steps, None)
    return Explanation(None, others, words.unsent(why, others))
