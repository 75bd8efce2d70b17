"""Run by `test_crashes.py` in a process of its own: here the PostgreSQL that dies is nobody else's."""

import contextlib
import threading

import pytest
from django.db import DatabaseError, connection

from inspections.models import Decision, Detection, Event
from tests.cast import Cast
from tests.inspections.fake_nodes import FakeNode
from tests.inspections.pipeline.test_worker import WAIT_S, all_complete, frames, polled, working
from tests.services import Service
from tests.waiting import eventually

# Whoever waits for a connection while the database is away gives up sooner than in use; no thread has one yet.
connection.settings_dict["OPTIONS"]["pool"]["timeout"] = 2
pytestmark = [
    pytest.mark.stack,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_server"),
]


@pytest.mark.breaks_services
def test_a_database_that_crashes_underneath_loses_nothing(cast: Cast, postgres: Service) -> None:
    let_go = threading.Event()
    node = FakeNode("edge-1", before=lambda: let_go.wait(WAIT_S))
    frames(cast.station, 12)
    with working(node, lease_s=1.0) as worker:

        def drain() -> None:
            with contextlib.suppress(DatabaseError):
                worker.run_until_idle()

        thread = threading.Thread(target=drain)
        thread.start()
        eventually(lambda: node.calls)
        postgres.kill()
        let_go.set()
        try:
            thread.join(WAIT_S)
        finally:
            postgres.start()
            connection.close()
            _use_up_broken_connections()
        with polled(worker):
            eventually(all_complete)
    assert Decision.objects.count() == Detection.objects.count() == 12
    assert list(Event.objects.order_by("seq").values_list("seq", flat=True)) == list(range(1, 49))


def _use_up_broken_connections() -> None:
    for _ in range(40):
        with contextlib.suppress(DatabaseError), connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        connection.close()
