"""Every address of the API against every kind of caller. An address without a row here fails the suite."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone
from rest_framework.test import APIClient

from scheduling.models import ReplayRun
from tests.cast import Cast, add_frame, add_node, token_for

pytestmark = [pytest.mark.stack, pytest.mark.django_db]

CALLERS = ("ada", "alice", "bob", "vera", "charlie", "norah", "reading token", "sending token", "nobody")

# What each caller gets, in the order of CALLERS. Alice is engineer, Bob inspector, Vera viewer of the line;
# Charlie is admin of another one. 4xx other than 401, 403 and 404 means: let in, but there was nothing to do.
SEES = (200, 200, 200, 200, 404, 404, 200, 404, 401)
LISTS = (200, 200, 200, 200, 200, 200, 200, 200, 401)  # lists are empty, not forbidden; see the tests of each
FLEET = (200, 200, 200, 200, 200, 404, 200, 404, 401)
MANAGES = (200, 403, 403, 403, 200, 404, 403, 404, 401)
MATRIX: dict[tuple[str, str], tuple[int, ...]] = {
    ("get", "me"): LISTS,
    ("get", "sites"): LISTS,
    ("get", "lines"): LISTS,
    ("post", "lines"): (400, 403, 403, 403, 403, 403, 403, 403, 401),
    ("post", "lines/<int:line_id>/stations"): (400, 400, 403, 403, 404, 404, 403, 404, 401),
    ("get", "products"): LISTS,
    ("get", "lateness"): LISTS,
    ("get", "stations"): LISTS,
    ("get", "defect-classes"): LISTS,
    ("get", "frames"): LISTS,
    ("get", "line-policies"): LISTS,
    ("get", "lines/<int:line_id>/policy"): SEES,
    ("put", "lines/<int:line_id>/policy"): (400, 400, 403, 403, 404, 404, 403, 404, 401),
    ("get", "stations/<int:station_id>"): SEES,
    ("patch", "stations/<int:station_id>"): (200, 200, 403, 403, 404, 404, 403, 404, 401),
    ("get", "stations/<int:station_id>/template"): (404, 404, 404, 404, 404, 404, 404, 404, 401),
    ("put", "stations/<int:station_id>/template"): (400, 400, 403, 403, 404, 404, 403, 404, 401),
    ("delete", "stations/<int:station_id>/template"): (200, 200, 403, 403, 404, 404, 403, 404, 401),
    ("post", "stations/<int:station_id>/frames"): (415, 415, 415, 403, 404, 404, 403, 415, 401),
    ("get", "stations/<int:station_id>/demo"): SEES,
    ("post", "stations/<int:station_id>/demo"): (400, 400, 400, 403, 404, 404, 403, 404, 401),
    ("get", "frames/<uuid:frame_id>"): SEES,
    ("get", "frames/<uuid:frame_id>/picture"): SEES,
    ("get", "frames/<uuid:frame_id>/rendition"): SEES,
    ("get", "frames/<uuid:frame_id>/thumbnail"): SEES,
    ("get", "frames/<uuid:frame_id>/dispatches"): SEES,
    ("post", "frames/<uuid:frame_id>/reviews"): (400, 400, 400, 403, 404, 404, 403, 404, 401),
    ("post", "frames/<uuid:frame_id>/retry"): (409, 409, 409, 403, 404, 404, 403, 404, 401),
    ("get", "nodes"): FLEET,
    ("get", "dispatches"): FLEET,
    ("get", "dispatches/accuracy"): FLEET,
    ("get", "replays"): (200, 200, 403, 403, 200, 404, 403, 404, 401),
    ("post", "replays"): (400, 400, 403, 403, 400, 404, 403, 404, 401),
    ("get", "replays/<int:replay_id>"): (404, 200, 403, 403, 404, 404, 403, 404, 401),
    ("post", "replays/<int:replay_id>/cancel"): (404, 200, 403, 403, 404, 404, 403, 404, 401),
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


@pytest.fixture
def call(cast: Cast) -> Callable[[str, str, str], int]:
    frame = add_frame(cast.station)
    add_node("node-edge-1")
    now = timezone.now()
    replay = ReplayRun.objects.create(policy="random", since=now - timedelta(minutes=5), until=now, by="alice")
    values = {
        "<int:replay_id>": replay.pk,
        "<int:line_id>": cast.line.pk,
        "<int:station_id>": cast.station.pk,
        "<uuid:frame_id>": frame.pk,
        "<slug:name>": "node-edge-1",
    }

    def client_of(caller: str) -> APIClient:
        if caller.endswith("token"):
            scope = {"reading token": "read", "sending token": "ingest"}[caller]
            return APIClient(HTTP_AUTHORIZATION=f"Bearer {token_for(cast.line, scope)}")
        client = APIClient()
        if caller != "nobody":
            client.force_login(getattr(cast, caller))
        return client

    def request(method: str, route: str, caller: str) -> int:
        path = route
        for name, value in values.items():
            path = path.replace(name, str(value))
        return int(getattr(client_of(caller), method)(f"/api/v1/{path}", {}, format=_format(method)).status_code)

    return request


def _format(method: str) -> str | None:
    return None if method == "get" else "json"


@pytest.mark.parametrize(("method", "route"), sorted(MATRIX), ids=lambda value: value)
def test_each_caller_gets_what_the_matrix_says(call: Callable, method: str, route: str) -> None:
    answers = {caller: call(method, route, caller) for caller in CALLERS}
    assert answers == dict(zip(CALLERS, MATRIX[method, route], strict=True))


# Who is not signed in gets nothing anywhere else; health says one word a part.
PUBLIC = {"health", "sign-in/", "admin/login/"}
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
