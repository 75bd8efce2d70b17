"""Nobody waits for ever: what a stopped process holds is taken from it, and reads have connections of their own."""

import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.conf import settings as project
from django.db import DatabaseError, connections, router, transaction
from django.test import Client

from aivd_web.errors import api_error
from aivd_web.kernel.database import is_about_data, is_away, is_busy
from aivd_web.kernel.reads import over_own_pool
from aivd_web.settings.database import PATIENCE, databases
from inspections.events import follow, numbering
from inspections.models import Frame, Station
from inspections.pipeline import liveness, steps
from tests.cast import Cast, add_frame, picture, token_for
from tests.inspections.fake_nodes import FakeNode
from tests.inspections.pipeline.test_worker import polled, working
from tests.services import Service
from tests.waiting import eventually

pytestmark = [
    pytest.mark.stack,
    pytest.mark.django_db(transaction=True, databases=["default", "reads"]),
    pytest.mark.usefixtures("redis_server"),
]


@pytest.fixture
def stopped(postgres: Service) -> Iterator[psycopg.Connection[Any]]:
    """A process that was stopped in the middle of a transaction; PostgreSQL is as patient with it as with a worker."""
    at = connections["default"].get_connection_params()
    words = {name: at[name] for name in ("dbname", "user", "password", "host", "port")}
    with psycopg.connect(**words, options="-c idle_in_transaction_session_timeout=1000") as one:
        yield one
        one.close()


def hold_counter(one: psycopg.Connection[Any], line_id: int) -> None:
    one.execute("INSERT INTO inspections_eventhead (line_id, seq) VALUES (%s, 0) ON CONFLICT DO NOTHING", [line_id])
    one.commit()
    one.execute("SELECT 1 FROM inspections_eventhead WHERE line_id = %s FOR UPDATE", [line_id])


@pytest.mark.parametrize("role", list(PATIENCE))
@pytest.mark.parametrize("own", [{}, {"options": "-c statement_timeout=77", "sslmode": "require"}])
def test_each_role_has_its_patience_and_the_url_has_the_last_word(role: str, own: dict[str, str]) -> None:
    chosen = {"ENGINE": "django.db.backends.postgresql", "NAME": "aivd", "OPTIONS": own}
    made = databases(chosen, role=role, connections=5, readers=3)
    for alias, most in (("default", 5), ("reads", 3)):
        options = made[alias]["OPTIONS"]
        assert f"lock_timeout={PATIENCE[role].lock_ms}" in options["options"]
        assert f"idle_in_transaction_session_timeout={PATIENCE[role].idle_ms}" in options["options"]
        assert options["options"].endswith(own.get("options", options["options"]))
        assert options.get("sslmode") == own.get("sslmode")
        assert options["pool"]["max_size"] == most
    assert chosen["OPTIONS"] is own, "what was chosen is not changed"


def test_whoever_serves_waits_a_bounded_time() -> None:
    for role in ("web", "worker"):
        patience = PATIENCE[role]
        assert 0 < patience.idle_ms <= 10_000
        assert 0 < patience.lock_ms <= 3_000
        assert 0 < patience.statement_ms <= 30_000
    assert PATIENCE["worker"].lock_ms > PATIENCE["worker"].idle_ms, "else a stopped one outlasts those that wait for it"
    assert PATIENCE["worker"].idle_ms <= project.LEASE_S * 1000, "a result is void after its lease"


def test_the_settings_are_those_of_a_connection() -> None:
    for alias in ("default", "reads"):
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT setting FROM pg_settings WHERE name = 'idle_in_transaction_session_timeout'")
            assert int(cursor.fetchone()[0]) == PATIENCE[project.ROLE].idle_ms


def test_a_stopped_transaction_is_ended_and_the_line_goes_on(cast: Cast, stopped: psycopg.Connection[Any]) -> None:
    hold_counter(stopped, cast.line.pk)
    add_frame(cast.station)  # waits until PostgreSQL has ended the other
    with pytest.raises(psycopg.Error) as ended:
        stopped.execute("SELECT 1")
    assert is_away(ended.value)
    assert Frame.objects.count() == 1


def test_a_lock_that_is_not_free_in_time_is_a_503_with_retry_after(
    cast: Cast, client: Client, stopped: psycopg.Connection[Any]
) -> None:
    key = token_for(cast.line, "ingest")
    stopped.execute("SET idle_in_transaction_session_timeout = 0")
    hold_counter(stopped, cast.line.pk)
    answer = client.post(
        f"/api/v1/stations/{cast.station.pk}/frames",
        picture(),
        content_type="image/jpeg",
        headers={"authorization": f"Bearer {key}"},
    )
    assert (answer.status_code, answer.json()["code"], answer["Retry-After"]) == (503, "unavailable", "2")
    assert not Frame.objects.exists()


def test_late_frames_of_other_lines_are_held_while_one_line_is_locked(
    cast: Cast, stopped: psycopg.Connection[Any]
) -> None:
    mine, other = add_frame(cast.station, 1), add_frame(cast.other_station, 2)
    stopped.execute("SET idle_in_transaction_session_timeout = 0")
    hold_counter(stopped, cast.line.pk)
    assert steps.hold_overdue(now=max(mine.deadline_at, other.deadline_at)) == 1
    assert Frame.objects.get(pk=other.pk).decision.code == "late"
    stopped.rollback()
    assert steps.hold_overdue(now=max(mine.deadline_at, other.deadline_at)) == 1


def test_other_lines_are_decided_while_one_line_is_locked(cast: Cast, stopped: psycopg.Connection[Any]) -> None:
    """What was found for the locked line is done again later; nothing is held for it, and nothing is lost."""
    mine = [add_frame(cast.station, seed) for seed in range(3)]
    others = [add_frame(cast.other_station, 100 + seed) for seed in range(6)]
    stopped.execute("SET idle_in_transaction_session_timeout = 0")
    hold_counter(stopped, cast.line.pk)
    with working(FakeNode("edge-1"), lease_s=2) as worker, polled(worker):
        complete = Frame.objects.filter(completed_at__isnull=False)
        eventually(lambda: complete.filter(line=cast.other_line).count() == len(others))
        assert not Frame.objects.filter(line=cast.line, decided_at__isnull=False).exists()
        stopped.rollback()
        eventually(lambda: complete.filter(line=cast.line).count() == len(mine))
    assert set(Frame.objects.values_list("decision__outcome", flat=True)) == {"pass"}


def test_reads_answer_while_every_other_connection_waits(cast: Cast, settings: Any) -> None:
    """The readers' pool is another one: with `default` used up, health and the viewers still get their answers."""
    settings.READERS_ALIAS = "reads"
    pool = connections["default"].pool  # type: ignore[attr-defined]
    stats = pool.get_stats()
    taken = [pool.getconn() for _ in range(stats["pool_max"] - stats["pool_size"] + stats["pool_available"])]
    found: list[Any] = []

    def read() -> None:
        with over_own_pool():
            found.extend([liveness.queue(), follow.head(cast.line.pk), Station.objects.count()])
        connections.close_all()

    thread = threading.Thread(target=read)
    try:
        thread.start()
        thread.join(5)
    finally:
        for one in taken:
            pool.putconn(one)
    assert found
    assert found[1:] == [follow.Head(0, follow.epoch()), 3]


def test_what_was_read_over_one_pool_is_written_over_the_other(cast: Cast, settings: Any) -> None:
    settings.READERS_ALIAS = "reads"
    with over_own_pool():
        station = Station.objects.select_related("line").get(pk=cast.station.pk)
        assert station._state.db == "reads"
        assert router.db_for_write(Frame) == "default"
        with transaction.atomic():
            numbering.record(line_id=station.line_id, type="frame.retried")
    frame = add_frame(station)
    assert frame._state.db == "default"
    assert frame.station.line.name == "A"


def ask(sql: str) -> None:
    with transaction.atomic(), connections["default"].cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 50")
        cursor.execute(sql)
        cursor.fetchall()


@pytest.mark.parametrize(
    ("sql", "away", "busy", "data"),
    [
        ("SELECT pg_sleep(0.2)", True, True, False),
        ("SELECT 'x'::int", False, False, True),
        ("SELECT '10000-01-01'::timestamptz", False, False, True),
        ("SELECT repeat('o', 75)::varchar(60)::int", False, False, True),
        ("SELECT nothing", False, False, False),
    ],
)
def test_an_error_is_the_databases_or_the_datas(sql: str, away: bool, busy: bool, data: bool) -> None:
    with pytest.raises(DatabaseError) as raised:
        ask(sql)
    assert (is_away(raised.value), is_busy(raised.value), is_about_data(raised.value)) == (away, busy, data)
    assert (getattr(api_error(raised.value, {}), "status_code", 500) == 503) == away
