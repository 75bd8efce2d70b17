"""Every address of the API against every kind of caller. An address without a row here fails the suite."""

import contextlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings as django_settings
from django.db import connections
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone
from rest_framework.test import APIClient

from inspections.models import Step
from scheduling.client.addresses import without_addresses
from scheduling.models import Dispatch, ReplayRun
from tests.cast import Cast, add_dispatch, add_frame, add_node, frame_row, token_for
from tests.learning import learning_ids
from tests.websocket import WebsocketCommunicator

pytestmark = [pytest.mark.stack, pytest.mark.django_db]

CALLERS = (
    "ada",
    "alice",
    "bob",
    "vera",
    "charlie",
    "norah",
    "fay",
    "reading token",
    "sending token",
    "station token",
    "nobody",
)

# What each caller gets, in the order of CALLERS. Alice is engineer, Bob inspector, Vera viewer of the line;
# Charlie is admin of another one, Fay manages the fleet. 4xx other than 401, 403 and 404 means: let in, but there was
# nothing to do.
SEES = (200, 200, 200, 200, 404, 404, 404, 200, 404, 200, 401)
WHOLE = (200, 200, 200, 200, 404, 404, 404, 200, 404, 404, 401)  # a station's token sees no line as a whole
NO_FILE = (404,) * 10 + (401,)  # the trainer left none; who may see one is asked first, see the tests of each
LISTS = (200,) * 10 + (401,)  # lists are empty, not forbidden; see the tests of each
FLEET = (200, 200, 200, 200, 200, 404, 200, 200, 404, 200, 401)
MANAGES = (200, 403, 403, 403, 403, 404, 200, 403, 404, 403, 401)
REPLAYS = (200, 200, 403, 403, 200, 404, 403, 403, 404, 403, 401)
MATRIX: dict[tuple[str, str], tuple[int, ...]] = {
    ("get", "me"): LISTS,
    ("get", "sites"): LISTS,
    ("get", "lines"): LISTS,
    ("post", "lines"): (400,) + (403,) * 9 + (401,),
    ("post", "lines/<int:line_id>/stations"): (400, 400, 403, 403, 404, 404, 404, 403, 404, 403, 401),
    ("get", "products"): LISTS,
    ("get", "lateness"): LISTS,
    ("get", "savings"): LISTS,
    ("get", "stations"): LISTS,
    ("get", "defect-classes"): LISTS,
    ("get", "frames"): LISTS,
    ("get", "frames/counts"): LISTS,
    ("get", "line-policies"): LISTS,
    ("get", "lines/<int:line_id>/policy"): SEES,
    ("put", "lines/<int:line_id>/policy"): (400, 400, 403, 403, 404, 404, 404, 403, 404, 403, 401),
    ("get", "stations/<int:station_id>"): SEES,
    ("put", "stations/<int:station_id>/template"): (400, 400, 403, 403, 404, 404, 404, 403, 404, 403, 401),
    ("delete", "stations/<int:station_id>/template"): (200, 200, 403, 403, 404, 404, 404, 403, 404, 403, 401),
    ("patch", "stations/<int:station_id>"): (200, 200, 403, 403, 404, 404, 404, 403, 404, 403, 401),
    ("get", "stations/<int:station_id>/baseline"): SEES,
    ("post", "stations/<int:station_id>/baseline"): (400, 400, 403, 403, 404, 404, 404, 403, 404, 403, 401),
    ("get", "stations/<int:station_id>/template"): (404,) * 10 + (401,),
    ("post", "stations/<int:station_id>/frames"): (415, 415, 415, 403, 404, 404, 404, 403, 415, 403, 401),
    ("get", "stations/<int:station_id>/demo"): SEES,
    ("post", "stations/<int:station_id>/demo"): (400, 400, 400, 403, 404, 404, 404, 403, 404, 403, 401),
    ("get", "frames/<uuid:frame_id>"): SEES,
    ("get", "frames/<uuid:frame_id>/picture"): SEES,
    ("get", "frames/<uuid:frame_id>/rendition"): SEES,
    ("get", "frames/<uuid:frame_id>/thumbnail"): SEES,
    ("get", "frames/<uuid:frame_id>/dispatches"): SEES,
    ("post", "frames/<uuid:frame_id>/reviews"): (400, 400, 400, 403, 404, 404, 404, 403, 404, 403, 401),
    ("post", "frames/<uuid:frame_id>/retry"): (409, 409, 409, 403, 404, 404, 404, 403, 404, 403, 401),
    ("get", "datasets"): LISTS,
    ("post", "datasets"): (400,) * 10 + (401,),
    ("get", "datasets/<int:dataset_id>"): WHOLE,
    ("post", "datasets/<int:dataset_id>/imports"): (400, 400, 403, 403, 404, 404, 404, 403, 404, 404, 401),
    ("post", "datasets/<int:dataset_id>/reviewed"): (200, 200, 403, 403, 404, 404, 404, 403, 404, 404, 401),
    ("post", "datasets/<int:dataset_id>/versions"): (422, 422, 403, 403, 404, 404, 404, 403, 404, 404, 401),
    ("get", "imports/<int:import_id>"): WHOLE,
    ("post", "imports/<int:import_id>/cancel"): (200, 409, 403, 403, 404, 404, 404, 403, 404, 404, 401),
    ("post", "imports/<int:import_id>/resume"): (409, 409, 403, 403, 404, 404, 404, 403, 404, 404, 401),
    ("get", "run-kinds"): LISTS,
    ("get", "runs"): LISTS,
    ("post", "runs"): (400,) * 10 + (401,),
    ("get", "runs/<uuid:run_id>"): WHOLE,
    ("get", "runs/<uuid:run_id>/events"): WHOLE,
    ("get", "runs/<uuid:run_id>/report"): NO_FILE,
    ("get", "runs/<uuid:run_id>/report/crops/<int:number>"): NO_FILE,
    ("get", "runs/<uuid:run_id>/samples/<int:number>"): NO_FILE,
    ("post", "runs/<uuid:run_id>/pause"): (200, 403, 403, 403, 404, 404, 404, 403, 404, 404, 401),
    ("post", "runs/<uuid:run_id>/cancel"): (200, 403, 403, 403, 404, 404, 404, 403, 404, 404, 401),
    ("post", "runs/<uuid:run_id>/resume"): (409, 403, 403, 403, 404, 404, 404, 403, 404, 404, 401),
    ("post", "run-previews"): (400,) * 10 + (401,),
    ("get", "run-previews/<uuid:preview_id>"): WHOLE,
    ("get", "run-previews/<uuid:preview_id>/crops/<int:number>"): NO_FILE,
    ("get", "new-corrections"): LISTS,
    ("get", "lines/<int:line_id>/gates"): WHOLE,
    ("put", "lines/<int:line_id>/gates"): (400, 403, 403, 403, 404, 404, 404, 403, 404, 404, 401),
    ("get", "model-versions"): LISTS,
    ("get", "model-versions/<int:version_id>"): WHOLE,
    ("get", "model-versions/<int:version_id>/shadow"): WHOLE,
    ("post", "model-versions/<int:version_id>/promote"): (409, 409, 403, 403, 404, 404, 404, 403, 404, 404, 401),
    ("post", "model-versions/<int:version_id>/shadow"): (400, 400, 403, 403, 404, 404, 404, 403, 404, 404, 401),
    ("delete", "model-versions/<int:version_id>/shadow"): (409, 409, 403, 403, 404, 404, 404, 403, 404, 404, 401),
    ("post", "lines/<int:line_id>/roll-back"): (400, 400, 403, 403, 404, 404, 404, 403, 404, 404, 401),
    ("get", "fleet"): FLEET,
    ("get", "nodes"): FLEET,
    ("get", "dispatches"): FLEET,
    ("get", "dispatches/accuracy"): FLEET,
    ("get", "replays"): REPLAYS,
    ("post", "replays"): (400, 400, 403, 403, 400, 404, 403, 403, 404, 403, 401),
    ("get", "replays/<int:replay_id>"): (404, 200, 403, 403, 404, 404, 403, 403, 404, 403, 401),
    ("post", "replays/<int:replay_id>/cancel"): (404, 200, 403, 403, 404, 404, 403, 403, 404, 403, 401),
    ("post", "nodes/<slug:name>/drain"): MANAGES,
    ("post", "nodes/<slug:name>/undrain"): MANAGES,
}


def routes(patterns: list[Any], prefix: str = "") -> list[tuple[str, Any]]:
    found = []
    for entry in patterns:
        if isinstance(entry, URLResolver):
            found += routes(entry.url_patterns, prefix + str(entry.pattern))
        elif isinstance(entry, URLPattern):
            found.append((prefix + str(entry.pattern), entry.callback))
    return found


def api_operations() -> set[tuple[str, str]]:
    operations = set()
    for route, view in routes(get_resolver().url_patterns):
        if route.startswith("api/v1/"):
            methods = {"get", "post", "put", "patch", "delete"} & set(dir(view.cls))
            operations |= {(method, route.removeprefix("api/v1/")) for method in methods}
    return operations


def test_every_operation_has_its_row():
    assert api_operations() == set(MATRIX)


def token_of(cast: Cast, caller: str) -> str:
    scope = "ingest" if caller == "sending token" else "read"
    return token_for(cast.line, scope, station=cast.station if caller == "station token" else None)


def client_of(cast: Cast, caller: str) -> APIClient:
    if caller.endswith("token"):
        return APIClient(HTTP_AUTHORIZATION=f"Bearer {token_of(cast, caller)}")
    client = APIClient()
    if caller != "nobody":
        client.force_login(getattr(cast, caller))
    return client


@pytest.fixture
def call(cast: Cast) -> Callable[[str, str, str], int]:
    frame = add_frame(cast.station)
    add_node("node-edge-1")
    now = timezone.now()
    replay = ReplayRun.objects.create(
        policy="random", since=now - timedelta(minutes=5), until=now, by="alice", scopes=[cast.station.pk]
    )
    values = {
        "<int:replay_id>": replay.pk,
        "<int:line_id>": cast.line.pk,
        "<int:station_id>": cast.station.pk,
        "<uuid:frame_id>": frame.pk,
        "<slug:name>": "node-edge-1",
        **{f"<{'int' if isinstance(pk, int) else 'uuid'}:{name}>": pk for name, pk in learning_ids(cast).items()},
    }

    def request(method: str, route: str, caller: str) -> int:
        path = route
        for name, value in values.items():
            path = path.replace(name, str(value))
        return int(getattr(client_of(cast, caller), method)(f"/api/v1/{path}", {}, format=_format(method)).status_code)

    return request


def _format(method: str) -> str | None:
    return None if method == "get" else "json"


@pytest.mark.parametrize(("method", "route"), sorted(MATRIX), ids=lambda value: value)
def test_each_caller_gets_what_the_matrix_says(call: Callable, method: str, route: str) -> None:
    answers = {caller: call(method, route, caller) for caller in CALLERS}
    assert answers == dict(zip(CALLERS, MATRIX[method, route], strict=True))


# -- what is shown of others' lines -----------------------------------------------------------------


@pytest.mark.parametrize("caller", [name for name in CALLERS if name != "nobody"])
def test_the_fleet_tells_of_the_frames_that_one_may_see_and_of_no_others(cast: Cast, caller: str) -> None:
    stations = (cast.station, cast.second_station, cast.other_station)
    for frame in [frame_row(station) for station in stations for _ in range(7)]:
        add_dispatch(frame)
    add_dispatch(frame_row(cast.station), scope=None)  # of before scopes were kept: for those who see everything
    client = client_of(cast, caller)
    seen = {row["id"] for row in client.get("/api/v1/frames").json()["frames"]}
    told = client.get("/api/v1/dispatches", {"limit": 500})
    if told.status_code == 404:
        assert not seen
        return
    subjects = {row["subject"] for row in told.json()}
    points = client.get("/api/v1/dispatches/accuracy").json()["points"]
    assert len(points) == len(told.json())
    if caller == "ada":
        assert subjects == seen
    else:
        unscoped = set(Dispatch.objects.filter(scope=None).values_list("subject", flat=True))
        assert subjects == seen - unscoped


ADDRESSES = (
    "failed to connect to all addresses; last error: UNAVAILABLE: ipv4:10.0.0.7:8001: Connection refused",
    "connections to all backends failing; last error: UNKNOWN: ipv6:%5B::1%5D:8001: Failed to connect to remote host",
    "DNS resolution failed for edge-3.plant.local:8001: C-ares status is not ARES_SUCCESS qtype=A",
    "dns:///edge-3.plant.local:8001: UNAVAILABLE",
    "It does not answer at [fd00::10:7]:8001.",
    "unix:/run/aivd/edge-3.plant.local.sock: no such file",
    "http://edge-3.plant.local/v2 said 503",
)
HIDDEN = ("10.0.0.7", "edge-3", ":8001", "fd00::", "::1")


@pytest.mark.parametrize("text", ADDRESSES)
@pytest.mark.parametrize("caller", ["vera", "charlie", "station token", "fay", "ada"])
def test_addresses_of_nodes_reach_only_those_who_manage_them(cast: Cast, caller: str, text: str) -> None:
    node = add_node("node-edge-1", grpc_url="10.0.0.7:8001", health="unreachable", health_detail=text)
    station = cast.other_station if caller == "charlie" else cast.station
    frame = frame_row(station)
    Step.objects.create(frame=frame, kind="detect", state="failed", deadline_at=frame.deadline_at, error_detail=text)
    add_dispatch(frame, node=node, outcome="failed", error_code="unavailable", error_detail=text)
    client = client_of(cast, caller)
    paths = ["/api/v1/nodes", "/api/v1/dispatches", "/api/v1/replays", "/health", f"/api/v1/frames/{frame.pk}"]
    read = "".join(client.get(path).content.decode() for path in [*paths, f"/api/v1/frames/{frame.pk}/dispatches"])
    found = [word for word in HIDDEN if word in read]
    if caller in ("ada", "fay"):
        assert found
    else:
        assert not found, read


@pytest.mark.parametrize(
    "text",
    ["It does not serve describer yet.", "edge_detector: output boxes has shape [-1, 5]", "Taken back after 200 ms."],
)
def test_words_that_are_no_address_stay(text: str) -> None:
    assert without_addresses(text) == text


# -- websockets -------------------------------------------------------------------------------------

# The first message, or the code that the socket is closed with, in the order of CALLERS.
SOCKETS: dict[str, tuple[Any, ...]] = {
    "ws/v1/lines/<int:line_id>/events": ("hello",) * 4 + (4404, 4404, 4404, "hello", 4404, 4404, 4401),
    "ws/v1/stations/<int:station_id>/stream": ("credit",) * 3 + (4404,) * 5 + ("credit", 4404, 4401),
    "ws/v1/fleet": ("node",) * 5 + (4404, "node", "node", 4404, "node", 4401),
}


def socket_routes() -> set[str]:
    from aivd_web.asgi import sockets

    return {str(entry.pattern) for entry in sockets.routes} - {""}


def test_every_socket_has_its_row() -> None:
    assert socket_routes() == set(SOCKETS)


async def first_word(cast: Cast, route: str, caller: str) -> Any:
    from aivd_web.asgi import application

    path = "/" + route.replace("<int:line_id>", str(cast.line.pk)).replace("<int:station_id>", str(cast.station.pk))
    headers = [(b"host", b"testserver"), (b"origin", b"http://testserver")]
    if caller.endswith("token"):
        text = await in_own_thread(token_of, cast, caller)
        headers.append((b"authorization", f"Bearer {text}".encode()))
    elif caller != "nobody":
        client = await in_own_thread(client_of, cast, caller)
        name = django_settings.SESSION_COOKIE_NAME
        headers.append((b"cookie", f"{name}={client.cookies[name].value}".encode()))
    socket = WebsocketCommunicator(application, path, headers=headers, subprotocols=[])
    assert (await socket.connect(20))[0]
    message = await socket.receive_output(20)
    with contextlib.suppress(Exception):
        await socket.disconnect(5)
    return message["code"] if message["type"] == "websocket.close" else json.loads(message["text"])["type"]


async def in_own_thread(function: Callable[..., Any], *args: Any) -> Any:
    def work() -> Any:
        try:
            return function(*args)
        finally:
            connections.close_all()

    return await sync_to_async(work, thread_sensitive=False)()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("redis_server")
@pytest.mark.parametrize("route", sorted(SOCKETS))
async def test_each_caller_hears_what_the_matrix_says(cast: Cast, route: str) -> None:
    await in_own_thread(add_node, "node-edge-1")
    heard = {caller: await first_word(cast, route, caller) for caller in CALLERS}
    assert heard == dict(zip(CALLERS, SOCKETS[route], strict=True))


# Who is not signed in gets nothing anywhere else; health says one word.
PUBLIC = {"health", "sign-in/", "admin/login/", "api/docs/", "api/schema/"}
SAMPLES = {"<int:line_id>": "1", "<uuid:frame_id>": "0" * 8 + "-0000-7000-8000-" + "0" * 12}


def plain_addresses() -> list[str]:
    """All addresses outside the API; those of the admin with parts of their own are behind the admin's sign-in."""
    found = []
    for route, _ in routes(get_resolver().url_patterns):
        for name, value in SAMPLES.items():
            route = route.replace(name, value)
        if not route.startswith("api/v1/") and not set(route) & set("<(^"):
            found.append(route)
    return sorted(set(found))


def test_nobody_gets_no_page_but_the_public_ones(cast: Cast) -> None:
    answers = {route: APIClient().get(f"/{route}").status_code for route in plain_addresses()}
    assert {route for route, status in answers.items() if status == 200} == PUBLIC
    assert set(answers.values()) <= {200, 302, 301, 401, 403, 404, 405}
