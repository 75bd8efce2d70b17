"""Nodes for a Worker's tests at the seam of NodeClient: they answer at once, late, badly or when they are let go."""

import time
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any

from scheduling.client.answers import DescribeAnswer, DetectAnswer, ModelProbe, NodeError, ProbeAnswer
from scheduling.dispatch.ledger import LocalLedger
from scheduling.services import fleet
from scheduling.services.dispatching import FleetDispatcher
from scheduling.serving.contracts import (
    AnswerEvent,
    Appearance,
    DescribeTimings,
    DetectedRegion,
    DetectMeta,
    DetectTimings,
    DoneEvent,
)

LIKE_TRAINING = Appearance({"contrast": 0.5}, distance=0.1, limit=1.0)
WHO = ("constant", "1", "c" * 64, "python")


class FakeNode:
    """`before` runs inside each call, on the worker's thread: it may wait, or raise what a node would."""

    def __init__(self, name: str, *, score: float = 0.2, before: Callable[[], object] = lambda: None) -> None:
        self.name = name
        self.score = score
        self.before = before
        self.calls = 0
        self.lives = True
        self.digest = WHO[2]

    def detect(self, frame: bytes, *, template: bytes = b"", min_score: float, timeout_s: float) -> DetectAnswer:
        started = time.perf_counter()
        self.calls += 1
        self.before()
        region = DetectedRegion((5.0, 5.0, 20.0, 20.0), self.score, 0, "open")
        took_ms = (time.perf_counter() - started) * 1000
        timings = DetectTimings(0.0, 0.0, 0.0, took_ms, 0.0, took_ms, 1)
        meta = DetectMeta(*WHO, ("open",), (64, 48), timings, products=("bare-pcb",), appearance=LIKE_TRAINING)
        return DetectAnswer(self.name, (region,), meta, took_ms, len(frame))

    def alone(self) -> "FakeNode":
        return self

    def version(self, digest: str) -> "FakeNode":
        """The same node, whose answers are that version's."""
        twin = copy(self)
        twin.digest = digest
        return twin

    def probe(self, *, timeout_s: float, models: Sequence[str]) -> ProbeAnswer:
        usable = {model: ModelProbe(ready=True) for model in models if self.lives}
        return ProbeAnswer(self.name, self.lives, self.lives, 1.0, usable)

    def describe(
        self,
        crops: Sequence[bytes],
        request: Any,
        *,
        timeout_s: float,
        idle_timeout_s: float,
        on_event: Callable[[Mapping[str, Any]], None],
    ) -> DescribeAnswer:
        self.calls += 1
        self.before()
        answers = []
        for region in request.regions:
            for word in ("A ", "gap."):
                on_event({"type": "token", "region_id": region.region_id, "text": word})
            answers.append(AnswerEvent(region.region_id, {"appearance": "A gap."}, "{}", True, (), 2))
        done = DoneEvent(DescribeTimings(0.0, 1.0, 2.0, 2 * len(answers)), *WHO[:2], self.digest, WHO[3])
        return DescribeAnswer(self.name, tuple(answers), done, 2.0, 1.0, sum(map(len, crops)))


def unavailable(node: str = "edge-1") -> NodeError:
    return NodeError("unavailable", "connection refused", node=node)


def raises(error: Exception) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


def runtime_of(*nodes: FakeNode, cloud: Sequence[FakeNode] = ()) -> FleetDispatcher:
    """A FleetDispatcher over these nodes, whose rows it makes."""
    for kind, model, group in (("edge", "edge_detector", nodes), ("cloud", "describer", cloud)):
        for node in group:
            fleet.ensure_node(name=node.name, kind=kind, grpc_url="127.0.0.1:1", models=(model,), capacity=4)
    by_name = {node.name: node for node in (*nodes, *cloud)}
    runtime = FleetDispatcher(ledger=LocalLedger(), client_for=lambda row: by_name[row.name])  # type: ignore[arg-type,return-value]
    runtime.refresh()
    return runtime
