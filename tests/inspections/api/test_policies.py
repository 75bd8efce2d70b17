"""How nodes are chosen for a line: who may look, who may change it, what is kept of a change, and when it holds."""

import pytest
from django.urls import reverse

from inspections.models import Event, Line, PolicyChange
from inspections.pipeline.worker import Worker
from inspections.services import lines
from scheduling.models import Dispatch
from scheduling.policy import POLICIES
from tests.cast import add_frame, token_for
from tests.inspections.fake_nodes import FakeNode, runtime_of

pytestmark = [pytest.mark.stack, pytest.mark.django_db]


def url_of(line):
    return f"/api/v1/lines/{line.pk}/policy"


def choose(client, line, policy):
    return client.put(url_of(line), {"policy": policy}, format="json")


def test_alice_chooses_a_policy_for_her_line_and_bob_sees_who_did(cast, as_person):
    answer = choose(as_person(cast.alice), cast.line, "round-robin")
    assert (answer.status_code, answer.json()["policy"]) == (200, "round-robin")

    seen = as_person(cast.bob).get(url_of(cast.line)).json()
    assert (seen["policy"], seen["may_change"]) == ("round-robin", False)
    (change,) = seen["changes"]
    assert (change["before"], change["after"], change["by"]) == ("pct-lb", "round-robin", "alice")
    assert change["at"].endswith("Z")
    event = Event.objects.get(type="line.policy_changed")
    assert event.data == {"before": "pct-lb", "after": "round-robin", "by": "alice"}


@pytest.mark.parametrize(
    ("person", "status", "code"),
    [("bob", 403, "forbidden"), ("vera", 403, "forbidden"), ("charlie", 404, "not_found"), ("norah", 404, "not_found")],
)
def test_who_does_not_own_the_line_changes_nothing(cast, as_person, person, status, code):
    answer = choose(as_person(getattr(cast, person)), cast.line, "round-robin")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert Line.objects.get(pk=cast.line.pk).policy == "pct-lb"
    assert not PolicyChange.objects.exists()


def test_charlie_is_told_of_his_own_line_only(cast, as_person, as_token):
    choose(as_person(cast.alice), cast.line, "c3")

    def told(client):
        return [(row["name"], row["policy"], row["may_change"]) for row in client.get("/api/v1/line-policies").json()]

    assert told(as_person(cast.charlie)) == [("B", "pct-lb", True)]
    assert told(as_person(cast.norah)) == []
    assert told(as_person(cast.ada)) == [("A", "c3", True), ("B", "pct-lb", True)]
    assert told(as_token(token_for(cast.line, "read"))) == [("A", "c3", False)]


def test_every_baseline_can_be_chosen_and_the_one_that_sees_the_future_cannot(cast, as_person):
    client = as_person(cast.alice)
    offered = client.get(url_of(cast.line)).json()["available"]
    assert [each["name"] for each in offered] == sorted(POLICIES)
    assert all(each["about"].endswith(".") for each in offered)
    for each in offered:
        assert choose(client, cast.line, each["name"]).status_code == 200
    refused = choose(client, cast.line, "clairvoyant")
    assert (refused.status_code, refused.json()["code"]) == (422, "unprocessable")
    assert "pct-lb" in refused.json()["hint"]


def test_choosing_what_is_chosen_leaves_no_note_and_nonsense_is_refused(cast, as_person):
    client = as_person(cast.alice)
    assert choose(client, cast.line, "pct-lb").status_code == 200
    assert client.put(url_of(cast.line), {}, format="json").status_code == 400
    assert client.put(url_of(cast.line), {"policy": "x" * 41}, format="json").status_code == 400
    assert not PolicyChange.objects.exists()


def test_only_the_last_changes_are_told_the_newest_first(cast, as_person):
    for policy in ("c3", "random", "c3", "random", "c3", "edge-only"):
        lines.set_policy(line=cast.line, policy=policy, by="alice")
    lines.set_policy(line=cast.other_line, policy="random", by="charlie")
    told = as_person(cast.vera).get(url_of(cast.line)).json()["changes"]
    assert [change["after"] for change in told] == ["edge-only", "c3", "random", "c3", "random"]


def line_form(line, policy):
    form = {"name": line.name, "site": line.site_id, "policy": policy}
    for inline in ("stations", "defect_classes", "memberships", "policy_changes"):
        form |= {f"{inline}-TOTAL_FORMS": 0, f"{inline}-INITIAL_FORMS": 0}
    return form


def test_the_admin_offers_every_policy_and_keeps_who_chose(cast, client):
    client.force_login(cast.ada)
    url = reverse("admin:inspections_line_change", args=[cast.line.pk])
    page = client.get(url).content.decode()
    assert all(f'<option value="{name}"' in page for name in POLICIES)

    assert client.post(url, line_form(cast.line, "peak-ewma")).status_code == 302
    change = PolicyChange.objects.get()
    assert (change.before, change.after, change.by) == ("pct-lb", "peak-ewma", "ada")
    assert Line.objects.get(pk=cast.line.pk).policy == "peak-ewma"
    assert "pct-lb to peak-ewma by ada" in client.get(url).content.decode()

    answer = client.post(url, line_form(cast.line, "clairvoyant"))
    assert "Select a valid choice" in answer.content.decode()
    assert Line.objects.get(pk=cast.line.pk).policy == "peak-ewma"


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("redis_server")
def test_a_worker_that_runs_already_uses_the_new_policy(cast, as_person):
    worker = Worker(fleet=runtime_of(FakeNode("edge-1"), FakeNode("edge-2")), lease_s=30, threads=2, name="w")
    try:
        for seed, policy in enumerate(("pct-lb", "round-robin", "random")):
            assert choose(as_person(cast.alice), cast.line, policy).status_code == 200
            frame = add_frame(cast.station, seed)
            worker.run_until_idle()
            assert Dispatch.objects.get(subject=str(frame.pk)).policy == policy
    finally:
        worker.stop()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("redis_server")
def test_a_policy_that_an_upgrade_took_away_holds_nothing_up(cast):
    Line.objects.filter(pk=cast.line.pk).update(policy="no-longer-there")
    worker = Worker(fleet=runtime_of(FakeNode("edge-1")), lease_s=30, threads=2, name="w")
    try:
        frame = add_frame(cast.station)
        worker.run_until_idle()
        assert Dispatch.objects.get(subject=str(frame.pk)).policy == "pct-lb"
    finally:
        worker.stop()
