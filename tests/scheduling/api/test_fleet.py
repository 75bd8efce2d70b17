"""The fleet over REST and by websocket: what the nodes are, what was decided, and taking one out."""

import json
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connections
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from aivd_web.kernel import socket as kernel_socket
from aivd_web.kernel.parts import part
from aivd_web.kernel.publish import Publisher, publish
from inspections.services import lines
from scheduling.dispatch.dispatcher import Dispatcher
from scheduling.dispatch.ledger import LocalLedger
from scheduling.models import Node, NodeAct
from scheduling.policy.node import NodeState
from scheduling.services import fleet, redis_client
from scheduling.services.dispatching import FLEET_GROUP
from scheduling.services.heartbeat import VIEW_PREFIX
from tests.cast import add_dispatch, add_node, frame_row
from tests.websocket import WebsocketCommunicator

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("redis_server")]
PATIENCE_S = 60.0


def as_person(user):
    client = APIClient()
    client.force_login(user)
    return client


@pytest.mark.django_db
def test_an_admin_takes_a_node_out_and_puts_it_back(cast):
    add_node("node-edge-1")
    client = as_person(cast.ada)
    answer = client.post("/api/v1/nodes/node-edge-1/drain")
    assert (answer.status_code, answer.json()["draining"]) == (200, True)
    assert Node.objects.get().draining
    assert client.post("/api/v1/nodes/node-edge-1/undrain").json()["draining"] is False
    missing = client.post("/api/v1/nodes/nowhere/drain")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("person", "status"), [("alice", 403), ("bob", 403), ("norah", 404), ("charlie", 403), ("fay", 200)]
)
def test_nodes_belong_to_every_line_so_only_the_sites_managers_take_them_out(cast, person, status):
    add_node("node-edge-1")
    answer = as_person(getattr(cast, person)).post("/api/v1/nodes/node-edge-1/drain")
    assert answer.status_code == status
    assert Node.objects.get().draining is (status == 200)


@pytest.mark.django_db
def test_the_last_decisions_come_newest_first_with_their_reasons(cast):
    frame = frame_row(cast.station)
    add_dispatch(frame)
    add_dispatch(frame, attempt=2)
    client = as_person(cast.vera)
    rows = client.get("/api/v1/dispatches").json()
    assert [row["attempt"] for row in rows] == [2, 1]
    assert rows[0]["reason"] == "Predicted to be done first."
    assert len(client.get("/api/v1/dispatches", {"limit": 1}).json()) == 1
    assert client.get("/api/v1/dispatches", {"limit": 0}).status_code == 400


@pytest.mark.django_db
def test_every_node_is_listed_with_what_the_schema_promises(cast):
    add_node("node-edge-1")
    add_dispatch(frame_row(cast.station))
    add_dispatch(frame_row(cast.station), sent_at=timezone.now() - timedelta(minutes=2))
    (node,) = as_person(cast.vera).get("/api/v1/nodes").json()
    assert (node["name"], node["kind"], node["draining"]) == ("node-edge-1", "edge", False)
    assert set(node) == {
        "name", "kind", "health", "health_detail", "draining", "capacity", "last_ready_at", "models", "load",
        "link", "credits", "breaker", "counts", "last_act",
    }  # fmt: skip
    assert node["load"]["placed_last_minute"] == 1
    assert (node["credits"], node["last_act"]) == ({"limit": None, "left": None}, None)


@pytest.mark.django_db
def test_what_a_node_was_counted_for_is_told_as_the_worker_knows_it_that_saw_most(cast):
    add_node("node-counted")
    began_early, began_late = NodeState("node-counted"), NodeState("node-counted")
    for number in range(3):
        began_early.failed(f"nobody sent {number}", 1.0, "unavailable")
    began_late.failed("nobody sent 2", 1.0, "unavailable")
    began_late.probed(1.0, float("nan"))
    for number, state in enumerate((began_early, began_late)):
        leave_view(f"worker-{number}", state)

    (node,) = as_person(cast.vera).get("/api/v1/nodes").json()

    assert node["counts"] == {"implausible_timings": 1, "unexpected_failures": 3}


@pytest.mark.django_db
def test_hints_that_no_screen_got_are_counted_over_the_live_workers_and_this_process(cast, monkeypatch):
    monkeypatch.setattr(part(Publisher), "dropped", 2)
    for number, dropped in enumerate((3, 4)):
        leave_view(f"worker-{number}", NodeState("node-counted"), dropped_hints=dropped)

    told = as_person(cast.vera).get("/api/v1/fleet").json()

    assert told["dropped_hints"] == 9
    assert told["live_workers"] >= 2
    assert as_person(cast.norah).get("/api/v1/fleet").status_code == 404


def leave_view(worker, state, **told):
    dispatcher = Dispatcher(ledger=LocalLedger(), client_of=no_client)
    dispatcher.state.nodes[state.name] = state
    view = json.dumps({"at": 0.0, "nodes": dispatcher.view(), **told})
    redis_client.attempt(lambda redis: redis.set(f"{VIEW_PREFIX}{worker}", view, ex=5), otherwise=None)


def no_client(name):
    raise AssertionError(f"{name} was asked")


@pytest.mark.django_db
def test_who_drained_a_node_is_noted_once_and_told(cast):
    node = add_node("node-edge-1")
    fleet.set_draining(node=node, draining=True, by="ada")
    fleet.set_draining(node=node, draining=True, by="charlie")  # pressed the same button a moment later
    assert list(NodeAct.objects.values_list("act", "by")) == [("drain", "ada")]
    fleet.set_draining(node=node, draining=False, by="charlie")
    (told,) = as_person(cast.vera).get("/api/v1/nodes").json()
    assert (told["last_act"]["act"], told["last_act"]["by"]) == ("undrain", "charlie")


@pytest.mark.django_db
def test_draining_in_the_admin_is_noted_as_well(cast, client):
    node = add_node("node-edge-1")
    client.force_login(cast.ada)
    form = {"name": node.name, "kind": "edge", "grpc_url": node.grpc_url, "capacity": 2, "draining": "on"}
    for inline in ("placements", "acts"):
        form |= {f"{inline}-TOTAL_FORMS": 0, f"{inline}-INITIAL_FORMS": 0}
    assert client.post(reverse("admin:scheduling_node_change", args=[node.pk]), form).status_code == 302
    node.refresh_from_db()
    assert (node.draining, node.capacity) == (True, 2)
    assert list(NodeAct.objects.values_list("act", "by")) == [("drain", "ada")]


async def in_thread(function, *args, **kwargs):
    def work():
        try:
            return function(*args, **kwargs)
        finally:
            connections.close_all()

    return await sync_to_async(work, thread_sensitive=False)()


def cookie_of(user):
    client = Client()
    client.force_login(user)
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}".encode()


async def open_socket(user):
    from aivd_web.asgi import application

    headers = [
        (b"host", b"testserver"),
        (b"origin", b"http://testserver"),
        (b"cookie", await in_thread(cookie_of, user)),
    ]
    socket = WebsocketCommunicator(application, "/ws/v1/fleet", headers=headers, subprotocols=[])
    assert (await socket.connect(PATIENCE_S))[0]
    return socket


def decision(scope, n):
    hint = {"type": "dispatch", "id": n, "error_detail": "ipv4:10.0.0.7:8001: refused"}
    return {"type": "fleet.hint", "scope": scope, "hint": hint}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("person", "ids"), [("ada", [1, 2, 3]), ("vera", [1]), ("charlie", [3]), ("fay", [])])
async def test_a_decision_is_told_to_those_who_may_see_its_frame(cast, person, ids):
    socket = await open_socket(getattr(cast, person))
    await until(socket, "beat")
    for scope, n in ((cast.station.pk, 1), (None, 2), (cast.other_station.pk, 3)):
        await in_thread(publish, FLEET_GROUP, decision(scope, n))
    await in_thread(publish, FLEET_GROUP, {"type": "fleet.hint", "hint": {"type": "policies"}})
    heard = []
    while (said := await any_message(socket))["type"] != "policies":
        heard += [said] if said["type"] == "dispatch" else []
    assert [said["id"] for said in heard] == ids
    assert all(("10.0.0.7" in said["error_detail"]) is (person == "ada") for said in heard)
    await socket.disconnect(5)


async def any_message(socket):
    message = await socket.receive_output(PATIENCE_S)
    assert message["type"] == "websocket.send", message
    return json.loads(message["text"])


async def until(socket, type_):
    while True:
        message = await socket.receive_output(PATIENCE_S)
        assert message["type"] == "websocket.send", message
        said = json.loads(message["text"])
        if said["type"] == type_:
            return said


@pytest.mark.django_db(transaction=True)
async def test_the_fleets_socket_tells_nodes_changes_and_decisions(cast, monkeypatch):
    monkeypatch.setattr(kernel_socket, "BEAT_S", 0.2)
    node = await in_thread(add_node, "node-edge-1")
    socket = await open_socket(cast.vera)
    assert (await until(socket, "node"))["draining"] is False
    await in_thread(fleet.set_draining, node=node, draining=True, by="alice")
    assert (await until(socket, "node"))["draining"] is True
    await in_thread(
        publish, FLEET_GROUP, {"type": "fleet.hint", "hint": {"type": "dispatch", "id": 7, "node": "node-edge-1"}}
    )
    for hint in ((cast.other_station.pk, 8), (cast.station.pk, 9)):
        await in_thread(publish, FLEET_GROUP, decision(*hint))
    assert (await until(socket, "dispatch"))["id"] == 9, "7 has no scope and 8 is another line's"
    await socket.disconnect(5)


@pytest.mark.django_db(transaction=True)
async def test_a_changed_policy_is_told_to_everybody_but_not_whose_or_by_whom(cast):
    socket = await open_socket(cast.charlie)
    await until(socket, "beat")
    await in_thread(lines.set_policy, line=cast.line, policy="c3", by="alice")
    assert await until(socket, "policies") == {"type": "policies"}
    await socket.disconnect(5)


@pytest.mark.django_db(transaction=True)
async def test_who_has_no_role_anywhere_hears_nothing_of_the_fleet(cast):
    socket = await open_socket(cast.norah)
    assert (await socket.receive_output(PATIENCE_S))["code"] == 4404
    await socket.disconnect(5)
