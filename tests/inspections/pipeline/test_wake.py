"""Wake-ups: few of them, none that matters, and none that hurts when Redis is away."""

from typing import Any

import pytest
import redis

from inspections.pipeline import wake
from scheduling.services import redis_client
from tests.services import take_away


class Sent:
    """Takes the place of Celery's send; remembers what was sent."""

    def __init__(self) -> None:
        self.tasks: list[tuple[str, dict[str, Any]]] = []

    def send_task(self, name: str, **options: Any) -> None:
        self.tasks.append((name, options))


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    celery = Sent()
    monkeypatch.setattr(wake, "current_app", celery)
    return celery


@pytest.fixture
def flag(redis_server: object) -> redis.Redis:
    client = redis_client.get()
    client.delete(wake.FLAG)
    return client


@pytest.mark.stack
def test_a_hundred_frames_send_one_wake_up(flag: redis.Redis, sent: Sent) -> None:
    for _ in range(100):
        wake.workers()
    assert [name for name, _ in sent.tasks] == ["inspections.dispatch_waiting"]
    assert sent.tasks[0][1]["queue"] == "dispatch"


@pytest.mark.stack
def test_after_a_look_at_the_table_the_next_frame_wakes_again(flag: redis.Redis, sent: Sent) -> None:
    wake.workers()
    wake.WakeUps().taken()
    wake.workers()
    assert len(sent.tasks) == 2


@pytest.mark.stack
def test_a_flag_that_nobody_took_expires(flag: redis.Redis, sent: Sent) -> None:
    wake.workers()
    assert 0 < flag.pttl(wake.FLAG) <= wake.FLAG_MS


@pytest.mark.parametrize("call", [wake.workers, wake.WakeUps().taken])
def test_without_redis_nothing_raises(monkeypatch: pytest.MonkeyPatch, sent: Sent, call: Any) -> None:
    take_away(monkeypatch)
    call()
    assert not sent.tasks


def test_a_redis_that_is_away_is_tried_once_more_at_once_and_then_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    tried, connect = list[int](), redis.UnixDomainSocketConnection._connect

    def count(connection: Any) -> Any:
        tried.append(1)
        return connect(connection)

    monkeypatch.setattr(redis.UnixDomainSocketConnection, "_connect", count)
    monkeypatch.setattr(redis.retry, "sleep", lambda _: pytest.fail("nobody waits for Redis"))
    take_away(monkeypatch)
    assert not redis_client.attempt(lambda client: bool(client.ping()), otherwise=False)
    assert len(tried) == 2


@pytest.mark.stack
def test_a_broker_that_refuses_does_not_fail_the_request(flag: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refuses:
        def send_task(self, name: str, **options: Any) -> None:
            raise ConnectionError("no broker")

    monkeypatch.setattr(wake, "current_app", Refuses())
    wake.workers()


def test_a_worker_that_looks_anyway_is_not_woken_until_it_says_so(flag: redis.Redis, sent: Sent) -> None:
    wake_ups = wake.WakeUps()
    wake_ups.suppress()
    wake.workers()
    assert not sent.tasks

    wake_ups.taken()
    wake.workers()
    assert len(sent.tasks) == 1
