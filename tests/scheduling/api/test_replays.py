"""Replays over REST: started, watched, cancelled, and ended when nobody works on them."""

from dataclasses import replace
from datetime import timedelta

import pytest
from celery import current_app
from django.utils import timezone
from rest_framework.test import APIClient

from scheduling.models import RecordedDecision, ReplayRun
from scheduling.services import decisions, replays
from tests.scheduling.replay.test_comparison import item, stretch

pytestmark = [pytest.mark.stack, pytest.mark.django_db]


@pytest.fixture
def sent(monkeypatch):
    """The tasks that were sent, instead of a broker."""
    ids = []
    monkeypatch.setattr(current_app, "send_task", lambda task, args, **_: ids.append(args[0]))
    return ids


@pytest.fixture
def recorded(cast):
    """Four looks of the last minute and one of yesterday, at requests of line A."""
    decisions.store(stretch(*([replace(item(n), scope=cast.station.pk)] for n in range(5))))
    RecordedDecision.objects.update(at=timezone.now() - timedelta(seconds=30))
    first = RecordedDecision.objects.last()
    RecordedDecision.objects.filter(pk=first.pk).update(at=timezone.now() - timedelta(days=1))


def as_person(user):
    client = APIClient()
    client.force_login(user)
    return client


def start(client, policy="round-robin", minutes=5):
    return client.post("/api/v1/replays", {"policy": policy, "minutes": minutes}, format="json")


def test_alice_replays_the_last_minutes_and_reads_both_sides(cast, recorded, sent, django_capture_on_commit_callbacks):
    client = as_person(cast.alice)
    with django_capture_on_commit_callbacks(execute=True):
        begun = start(client)
    assert (begun.status_code, begun.json()["state"], begun.json()["total"]) == (201, "queued", 4)
    run_id = begun.json()["id"]
    assert sent == [run_id]

    assert replays.run(run_id) == "succeeded"
    assert replays.run(run_id) == "claimed by another, or ended"

    told = client.get(f"/api/v1/replays/{run_id}").json()
    assert (told["state"], told["active"], told["done"]) == ("succeeded", False, 4)
    assert (told["result"]["decisions"], told["result"]["unreadable"], told["result"]["left_out"]) == (4, 0, 0)
    assert told["result"]["would"]["by_node"] == {"fast": 2, "slow": 2}
    listed = client.get("/api/v1/replays").json()
    assert [run["id"] for run in listed["runs"]] == [run_id]
    assert "peak-ewma" in [each["name"] for each in listed["available"]]


def test_a_run_is_its_owners_alone(cast, recorded, sent):
    run_id = start(as_person(cast.alice)).json()["id"]
    for other in (cast.ada, cast.charlie):
        assert as_person(other).get(f"/api/v1/replays/{run_id}").status_code == 404
        assert as_person(other).get("/api/v1/replays").json()["runs"] == []


def test_charlie_of_another_line_reads_nothing_of_alices_requests(cast, recorded, sent):
    client = as_person(cast.charlie)
    run_id = start(client).json()["id"]
    replays.run(run_id)
    result = client.get(f"/api/v1/replays/{run_id}").json()["result"]
    assert (result["looks"], result["decisions"], result["examples"]) == (0, 0, [])
    assert (result["was"]["sent"], result["would"]["by_node"]) == (0, {})


def test_a_result_goes_out_of_sight_with_the_role(cast, recorded, sent):
    client = as_person(cast.alice)
    run_id = start(client).json()["id"]
    replays.run(run_id)
    ReplayRun.objects.create(
        policy="random",
        since=timezone.now() - timedelta(minutes=1),
        until=timezone.now(),
        by="alice",
        state="succeeded",
    )  # of before scopes were kept
    assert [run["id"] for run in client.get("/api/v1/replays").json()["runs"]] == [run_id]
    cast.alice.memberships.update(line=cast.other_line)
    assert client.get(f"/api/v1/replays/{run_id}").status_code == 404
    assert client.get("/api/v1/replays").json()["runs"] == []


@pytest.mark.parametrize(
    ("policy", "minutes", "status", "code"),
    [
        ("clairvoyant", 5, 422, "unprocessable"),
        ("random", 0.1, 422, "unprocessable"),  # nothing was recorded in these six seconds
        ("random", -1, 400, "invalid"),
        ("random", 1e9, 400, "invalid"),
    ],
)
def test_what_cannot_be_replayed_is_refused_in_words(cast, recorded, policy, minutes, status, code):
    answer = start(as_person(cast.alice), policy, minutes)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not ReplayRun.objects.exists()


def test_one_run_at_a_time_each(cast, recorded, sent):
    client = as_person(cast.alice)
    first = start(client).json()["id"]
    assert start(client).json()["code"] == "conflict"
    assert start(as_person(cast.ada)).status_code == 201
    cancelled = client.post(f"/api/v1/replays/{first}/cancel").json()
    assert (cancelled["state"], cancelled["active"]) == ("cancelled", False)
    assert replays.run(first) == "claimed by another, or ended"
    assert start(client).status_code == 201


def test_a_run_that_is_cancelled_under_way_stops_and_keeps_no_result(cast, recorded):
    now = timezone.now()
    run = ReplayRun.objects.create(policy="random", since=now - timedelta(minutes=5), until=now, total=4, by="alice")
    seconds = iter(range(0, 1000))

    def clock() -> float:
        tick = next(seconds)
        if tick == 4:
            replays.cancel(run=run)
        return float(tick)

    assert replays.run(run.pk, clock=clock) == "cancelled"
    run.refresh_from_db()
    assert (run.state, run.result) == ("cancelled", None)
    assert 0 < run.done < 4


def test_the_time_limit_leaves_out_the_rest_and_says_so(cast, recorded):
    now = timezone.now()
    run = ReplayRun.objects.create(policy="random", since=now - timedelta(minutes=5), until=now, total=4, by="alice")
    hours = iter(range(0, 360_000, 100))
    assert replays.run(run.pk, clock=lambda: float(next(hours))) == "succeeded"
    run.refresh_from_db()
    assert run.result["left_out"] == 4 - run.done > 0


def test_records_that_cannot_be_read_are_counted(cast, recorded):
    RecordedDecision.objects.filter(pk=RecordedDecision.objects.first().pk).update(body="{}")
    now = timezone.now()
    run = ReplayRun.objects.create(policy="random", since=now - timedelta(minutes=5), until=now, total=4, by="alice")
    replays.run(run.pk)
    run.refresh_from_db()
    assert (run.result["unreadable"], run.result["decisions"]) == (1, 3)


def test_a_run_that_nobody_works_on_has_failed_and_the_next_one_may_begin(cast, recorded, sent):
    client = as_person(cast.alice)
    run_id = start(client).json()["id"]
    ReplayRun.objects.update(created_at=timezone.now() - timedelta(seconds=replays.SILENT_S + 1))
    told = client.get(f"/api/v1/replays/{run_id}").json()
    assert told["state"] == "failed"
    assert "Start it again" in told["error"]
    assert start(client).status_code == 201
