"""Fixtures of the whole suite: real services, real nodes, the cast."""

from collections.abc import Iterator

import hypothesis
import pytest
from django.db import connection

from aivd_web.kernel.parts import part
from scheduling.services.redis_client import RedisHints
from tests.cast import cast  # noqa: F401
from tests.nodes import *  # noqa: F403
from tests.services import (  # noqa: F401
    django_db_modify_db_settings,
    postgres,
    redis_server,
    suite_layout,
)
from tests.suite import pytest_runtest_teardown  # noqa: F401
from tests.workers import pytest_xdist_make_scheduler  # noqa: F401

# A busy machine is no failure: neither a slow example nor slowly made ones are.
hypothesis.settings.register_profile("suite", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("suite")


@pytest.fixture(autouse=True)
def _redis_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that took Redis away leaves no second of silence to the next one."""
    monkeypatch.setattr(part(RedisHints), "_away_until", 0.0)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: pytest.FixtureRequest) -> Iterator[None]:
    """Threads of servers and workers may still hold connections; they must not keep the database from going."""
    yield
    with django_db_blocker.unblock(), connection.cursor() as cursor:  # type: ignore[attr-defined]
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
