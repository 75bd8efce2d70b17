"""Every error has one shape, also those that no view raised."""

import pytest
from django.db import OperationalError
from django.test import Client
from django_vite.core.asset_loader import DjangoViteAssetLoader
from django_vite.core.exceptions import DjangoViteAssetNotFoundError
from rest_framework.exceptions import Throttled, ValidationError

from aivd_web.errors import api_error, server_error
from aivd_web.kernel.errors import Unavailable
from aivd_web.launcher import source

ENVELOPE = {"code", "detail", "hint"}


@pytest.mark.parametrize(
    ("path", "accept", "status", "code"),
    [
        ("/api/v1/nothing", "application/json", 404, "not_found"),
        ("/api/v1/frames/not-a-uuid", "application/json", 404, "not_found"),
        ("/nothing", "application/json", 404, "not_found"),
        ("/api/v1/frames", "application/json", 401, "not_authenticated"),
    ],
)
@pytest.mark.stack
@pytest.mark.django_db
def test_the_envelope_is_everywhere(client, path, accept, status, code):
    answer = client.get(path, headers={"accept": accept})
    assert answer.status_code == status
    assert set(answer.json()) == ENVELOPE
    assert answer.json()["code"] == code


@pytest.mark.stack
@pytest.mark.django_db
@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("delete", "/api/v1/frames", b"", 405, "method_not_allowed"),
        ("get", "/api/v1/frames/00000000-0000-7000-8000-000000000000", b"", 404, "not_found"),
        ("patch", "/api/v1/stations/{station}", b"{", 400, "parse_error"),
        ("patch", "/api/v1/stations/{station}", b"[]", 400, "invalid"),
    ],
)
def test_djangos_and_drfs_own_errors_have_it_too(cast, client, method, path, body, status, code):
    client.force_login(cast.alice)
    url = path.format(station=cast.station.pk)
    answer = getattr(client, method)(url, body, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.content
    assert set(answer.json()) >= ENVELOPE
    assert answer.json()["hint"]


def test_a_database_that_is_away_is_a_503_with_retry_after():
    answer = api_error(OperationalError("server closed the connection"), {})
    assert (answer.status_code, answer.data["code"], answer["Retry-After"]) == (503, "unavailable", "2")
    assert "server closed" not in answer.data["detail"]


def test_waits_become_headers():
    assert api_error(Unavailable("Later.", retry_after_s=7), {})["Retry-After"] == "7"
    assert api_error(Throttled(wait=3.2), {})["Retry-After"] == "4"


def test_nested_field_errors_are_named_by_their_path():
    answer = api_error(ValidationError({"marks": [{}, {"box_xyxy": ["Too short."]}], "note": ["Too long."]}), {})
    assert answer.data["fields"] == {"marks.1.box_xyxy": ["Too short."], "note": ["Too long."]}
    assert answer.data["detail"] == "marks.1.box_xyxy: Too short. note: Too long."


def test_what_nobody_foresaw_is_left_to_django_and_told_without_its_text(settings):
    assert api_error(RuntimeError("secret path"), {}) is None


@pytest.mark.stack
@pytest.mark.django_db
def test_a_500_has_the_envelope_and_no_secrets(cast, monkeypatch):
    from inspections import rules

    def broken(who):
        raise RuntimeError("the secret is 42")

    monkeypatch.setattr(rules, "abilities", broken)
    client = Client(raise_request_exception=False)
    client.force_login(cast.vera)
    answer = client.get("/api/v1/me")
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"
    assert "42" not in answer.content.decode()


@pytest.mark.parametrize("path", ["/api/v1/frames", "/frames/", "/health"])
@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_a_page_meets_a_database_that_is_away_like_the_api_does(rf, path, accept):
    try:
        raise OperationalError("canceling statement due to lock timeout")
    except OperationalError:
        answer = server_error(rf.get(path, headers={"accept": accept}))
    assert (answer.status_code, answer["Retry-After"]) == (503, "2")
    assert b"lock timeout" not in answer.content


def test_what_nobody_foresaw_is_still_an_error_of_ours(rf):
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        answer = server_error(rf.get("/api/v1/frames"))
    assert answer.status_code == 500
    assert "Retry-After" not in answer


def test_a_page_of_an_installation_without_a_front_end_says_so(client, monkeypatch):
    """A wheel may be made without it, for nodes."""
    monkeypatch.setattr(source, "has_front_end", lambda: False)
    monkeypatch.setattr(DjangoViteAssetLoader.instance()._apps["default"], "manifest", _NoManifest())
    page = client.get("/sign-in/", headers={"accept": "text/html"})
    assert page.status_code == 503
    assert source.NO_FRONT_END in page.content.decode()
    assert client.get("/sign-in/").json()["code"] == "no_front_end"


class _NoManifest:
    def get(self, path: str) -> None:
        raise DjangoViteAssetNotFoundError(path)
