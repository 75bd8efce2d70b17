"""Run by `test_crashes.py` alone: a test that breaks what others share, and one that would suffer from it."""

from tests.services import Service


def test_that_ends_a_shared_service(redis_server: Service) -> None:
    redis_server.stop()


def test_after_it(redis_server: Service) -> None:
    raise AssertionError("the run should have stopped before")
