"""/health: one word for anybody, parts for whoever may see the fleet, 503 only when frames cannot be taken in."""

import json
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from aivd_web import health
from inspections.models import Frame, Step
from inspections.pipeline import liveness
from scheduling.services import fleet
from scheduling.services.heartbeat import VIEW_PREFIX
from scheduling.services.redis_client import get as redis_client
from tests.cast import add_dispatch, add_node, frame_row
from tests.cast import decide as cast_decide
from tests.services import take_away

pytestmark = [pytest.mark.stack, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_server")]

VIEW = {"nodes": {}, "policy": "pct-lb"}


@pytest.fixture(autouse=True)
def a_live_worker():
    client = redis_client()  # the real one, also where the test takes Redis away
    client.flushdb()
    client.set(f"{VIEW_PREFIX}test", json.dumps(VIEW), ex=60)
    yield
    client.flushdb()


@pytest.mark.parametrize("person", ["nobody", "norah"])
@pytest.mark.parametrize(("node", "status"), [("ready", "ok"), ("unreachable", "degraded")])
def test_who_has_no_role_gets_one_word(cast, client, person, node, status):
    add_node(health=node)
    if person != "nobody":
        client.force_login(getattr(cast, person))
    assert client.get("/health").json() == {"status": status}


def test_all_is_well(cast, client):
    add_node(health="ready")
    client.force_login(cast.vera)
    answer = client.get("/health")
    assert answer.status_code == 200
    body = answer.json()
    words = {name: word for name, word in body["parts"].items() if name != "nodes"}
    assert (body["status"], words) == (
        "ok",
        {"database": "ok", "redis": "ok", "workers": "ok", "dispatch": "ok"},
    )
    (node,) = body["parts"]["nodes"]
    assert (node["name"], node["kind"], node["status"]) == ("node-edge-1", "edge", "ready")
    assert "no-store" in answer["Cache-Control"]


def test_what_waits_is_counted_on_the_lines_that_one_may_see(cast, client):
    add_node(health="unreachable", health_detail="Connection refused at 10.0.0.7")
    frame_row(cast.station)
    for person, count in ((cast.vera, 1), (cast.charlie, 0), (cast.fay, 0), (cast.ada, 1)):
        client.force_login(person)
        body = client.get("/health").json()
        assert (body["backlog"]["undecided"], body["backlog"]["live_workers"]) == (count, 1)


def test_no_node_is_degraded_not_down(cast, client):
    add_node(health="unreachable")
    answer = client.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")


def test_a_draining_node_does_no_work(cast, client):
    fleet.set_draining(node=add_node(health="ready"), draining=True, by="alice")
    client.force_login(cast.vera)
    body = client.get("/health").json()
    assert (body["status"], body["parts"]["nodes"][0]["status"]) == ("degraded", "draining")


def test_no_worker_is_degraded(cast, client):
    add_node(health="ready")
    redis_client().flushdb()
    client.force_login(cast.vera)
    body = client.get("/health").json()
    assert (body["status"], body["parts"]["workers"]) == ("degraded", "down")


def test_late_frames_that_nobody_holds_are_said(cast, client):
    client.force_login(cast.vera)
    add_node(health="ready")
    frame = frame_row(cast.station, deadline_at=timezone.now() - timedelta(seconds=liveness.OVERDUE_S - 5))
    assert client.get("/health").json()["status"] == "ok"
    Frame.objects.update(deadline_at=timezone.now() - timedelta(seconds=liveness.OVERDUE_S + 5))
    body = client.get("/health").json()
    assert (body["status"], body["parts"]["dispatch"]) == ("degraded", "overdue")
    cast_decide(frame, "hold")
    assert client.get("/health").json()["status"] == "ok"


def test_a_queue_that_stands_still_is_said(cast, client):
    client.force_login(cast.vera)
    add_node(health="ready")
    frame = frame_row(cast.station, deadline_at=timezone.now() + timedelta(hours=1))
    step = Step.objects.create(frame=frame, kind="detect", deadline_at=frame.deadline_at)
    assert client.get("/health").json()["status"] == "ok"
    long_ago = timezone.now() - timedelta(seconds=liveness.STANDSTILL_S + 5)
    Step.objects.update(created_at=long_ago)
    body = client.get("/health").json()
    assert (body["status"], body["parts"]["dispatch"]) == ("degraded", "stuck")
    add_dispatch(step.frame)
    assert client.get("/health").json()["status"] == "ok", "others of the queue move"


def test_a_loop_that_no_worker_turns_is_said(cast, client):
    client.force_login(cast.vera)
    add_node(health="ready")
    fresh = dict.fromkeys(liveness.SLOW_S, 0.1)
    redis_client().set(f"{liveness.PREFIX}one", json.dumps(fresh | {"hold": 60.0}), ex=60)
    body = client.get("/health").json()
    assert (body["status"], body["parts"]["workers"]) == ("degraded", "stuck")
    redis_client().set(f"{liveness.PREFIX}two", json.dumps(fresh), ex=60)
    assert client.get("/health").json()["status"] == "ok", "another worker does it"


def test_a_row_that_cannot_be_read_leaves_health_able_to_speak(cast, client):
    client.force_login(cast.vera)
    add_node(health="ready")
    frame_row(cast.station)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE inspections_frame SET received_at = 'infinity', deadline_at = '0001-01-01 BC'")
    body = client.get("/health").json()
    assert (body["status"], body["parts"]["dispatch"]) == ("degraded", "overdue")


def test_redis_away_is_degraded(cast, client, monkeypatch):
    add_node(health="ready")
    take_away(monkeypatch)
    client.force_login(cast.vera)
    body = client.get("/health").json()
    assert (body["status"], body["parts"]["redis"]) == ("degraded", "down")


def test_a_database_that_does_not_answer_is_503_in_time(cast, client, monkeypatch):
    import threading

    release = threading.Event()
    monkeypatch.setattr(health, "DATABASE_TIMEOUT_S", 0.1)
    monkeypatch.setattr(health, "_database", lambda: release.wait(10))
    answer = client.get("/health")
    release.set()
    assert (answer.status_code, answer.json()["status"]) == (503, "down")
    assert answer["Retry-After"]
