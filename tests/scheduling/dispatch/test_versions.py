"""Versions at the dispatcher: a Node that lacks one is brought it once, and nobody else waits for that."""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from scheduling.client.answers import NodeError, WorkReport
from scheduling.dispatch.dispatcher import Dispatcher
from scheduling.dispatch.ledger import LocalLedger
from scheduling.dispatch.values import Assignment, Request, RequestFailed
from scheduling.dispatch.versions import REST_S, UNDER_WAY_S, ArtifactMissing, ArtifactStore
from scheduling.policy.node import NodeState
from scheduling.policy.types import Item
from tests.adapters import write_adapter

DIGEST, OTHER = "a" * 64, "b" * 64
WAIT_S = 60.0


class Node:
    """Has its own model, and the versions that it was brought; `takes` may raise what a node would, or wait."""

    def __init__(self, name: str, takes: Callable[[], object] = lambda: None) -> None:
        self.name, self.takes = name, takes
        self.has: set[str] = {""}
        self.brought = 0

    def bring(self, digest: str, files: Mapping[str, Path], *, timeout_s: float) -> int:
        self.brought += 1
        self.takes()
        self.has.add(digest)
        return 1


@dataclass(frozen=True)
class Said:
    node: str
    digest: str

    @property
    def report(self) -> WorkReport:
        return WorkReport("small", "1", self.digest, "python", 5.0, 0.0)


@dataclass(frozen=True)
class Question:
    version: str = ""
    timeout_s: float = 30.0

    def ask(self, node: Any, *, timeout_s: float) -> Said:
        if self.version not in node.has:
            raise NodeError("version_missing", "It is not on this node.", node=node.name)
        return Said(node.name, self.version)


class Kept:
    def __init__(self, missing: str = "") -> None:
        self.missing = missing

    def files(self, digest: str) -> Mapping[str, Path]:
        if self.missing:
            raise ArtifactMissing(self.missing)
        return {}


def fleet_of(*nodes: Node, artifacts: Any = None, clock: Callable[[], float] | None = None) -> Dispatcher:
    by_name: dict[str, Any] = {node.name: node for node in nodes}
    times: dict[str, Any] = {"clock": clock} if clock else {}
    fleet = Dispatcher(ledger=LocalLedger(), client_of=by_name.__getitem__, artifacts=artifacts or Kept(), **times)
    for node in nodes:
        fleet.state.nodes[node.name] = NodeState(name=node.name, kind="cloud")
        fleet.state.nodes[node.name].capacity = 4
    return fleet


def placed(fleet: Dispatcher, name: str = "1") -> Assignment:
    now = fleet.clock()
    item = Item(name, "describer", 5_000, now + 30, now)
    (assignment,), _ = fleet.place([Request(item, "a frame", "pct-lb")], limit=1)
    return fleet.begin([assignment])[0]


def ask(fleet: Dispatcher, version: str = DIGEST, name: str = "1") -> Said:
    return fleet.carry_out(placed(fleet, name), Question(version)).content


def failure(fleet: Dispatcher, version: str = DIGEST) -> RequestFailed:
    with pytest.raises(RequestFailed) as failed:
        ask(fleet, version)
    assert not any(state.ledger for state in fleet.state.nodes.values())
    return failed.value


def refuses() -> None:
    raise NodeError("version_refused", "It takes no adapters.", node="cloud-1")


def test_a_node_that_lacks_it_is_brought_it_and_answers() -> None:
    node = Node("cloud-1")
    fleet = fleet_of(node)
    assert ask(fleet) == Said("cloud-1", DIGEST)
    assert ask(fleet) == Said("cloud-1", DIGEST)
    assert ask(fleet, "") == Said("cloud-1", "")
    assert node.brought == 1
    state = fleet.state.nodes["cloud-1"]
    assert (state.breaker.state, state.doubted) == ("closed", False)


def test_weights_that_are_nowhere_are_waited_for_and_no_node_suffers() -> None:
    fleet = fleet_of(Node("cloud-1"), artifacts=Kept("The weights of version aaaaaaaaaaaa are not in the store."))
    failed = failure(fleet)
    assert (failed.code, failed.blames_request, failed.final, failed.rest_s) == (
        "version_missing",
        False,
        False,
        REST_S,
    )
    assert "not in the store" in failed.detail
    assert not fleet.state.nodes["cloud-1"].doubted
    assert ask(fleet, "") == Said("cloud-1", "")


def test_what_one_node_refuses_another_one_answers_and_it_is_not_sent_there_again_and_again() -> None:
    passed_s = [0.0]
    picky, other = Node("cloud-1", refuses), Node("cloud-2")
    alone = fleet_of(picky, clock=lambda: time.monotonic() + passed_s[0])
    for _ in range(3):
        failed = failure(alone)
        assert (failed.code, failed.blames_request, failed.rest_s) == ("version_refused", False, REST_S)
    assert picky.brought == 1
    passed_s[0] += 60
    failure(alone)
    assert picky.brought == 2, "what was mended is found after a while"

    both = fleet_of(Node("cloud-1", refuses), other)
    assert {ask(both, name=str(n)).node for n in range(4)} == {"cloud-2"}


def test_while_it_is_on_its_way_others_of_it_rest_and_other_versions_go_on() -> None:
    arrived, begun = threading.Event(), threading.Event()

    def slowly() -> None:
        begun.set()
        assert arrived.wait(WAIT_S)

    node = Node("cloud-1", slowly)
    node.has.add(OTHER)
    fleet = fleet_of(node)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask, fleet)
        assert begun.wait(WAIT_S)
        with pytest.raises(RequestFailed) as resting:
            ask(fleet, name="2")
        assert (resting.value.rest_s, resting.value.blames_request) == (UNDER_WAY_S, False)
        assert ask(fleet, OTHER, name="3") == Said("cloud-1", OTHER)
        assert ask(fleet, "", name="4") == Said("cloud-1", "")
        arrived.set()
        assert first.result(WAIT_S) == Said("cloud-1", DIGEST)
    assert node.brought == 1


def test_a_way_that_breaks_is_the_nodes_trouble_and_not_the_requests() -> None:
    def breaks() -> None:
        raise NodeError("unavailable", "connection refused", node="cloud-1")

    failed = failure(fleet_of(Node("cloud-1", breaks)))
    assert (failed.code, failed.blames_request, failed.rest_s) == ("unavailable", False, None)


@pytest.mark.parametrize("harm", ["gone", "zeroed", "changed"])
def test_a_store_gives_nothing_out_that_is_not_whole(harm: str, tmp_path: Path) -> None:
    made = write_adapter(tmp_path / "made")
    (tmp_path / "made").rename(tmp_path / made)
    store = ArtifactStore(tmp_path)
    assert set(store.files(made)) == {"adapter_model.safetensors", "adapter_config.json", "lineage.json"}

    weights = tmp_path / made / "adapter_model.safetensors"
    if harm == "gone":
        weights.unlink()
    elif harm == "zeroed":
        weights.write_bytes(bytes(weights.stat().st_size))
    else:
        weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\x80\x3f")
    with pytest.raises(ArtifactMissing, match=made[:12]):
        store.files(made)
    with pytest.raises(ArtifactMissing, match="not in the store"):
        store.files(OTHER)
