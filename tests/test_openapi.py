"""docs/openapi.yaml is the API as it is, complete, and readable without anything from elsewhere."""

import re
from pathlib import Path

import pytest
import yaml
from django.contrib.staticfiles import finders
from django.core.management import call_command
from django.test import Client

SNAPSHOT = Path(__file__).parents[1] / "docs" / "openapi.yaml"
REMAKE = "python manage.py spectacular --file docs/openapi.yaml --validate --fail-on-warn"


def test_the_committed_schema_is_current(tmp_path: Path) -> None:
    made = tmp_path / "openapi.yaml"
    call_command("spectacular", file=str(made), validate=True, fail_on_warn=True)
    assert made.read_text() == SNAPSHOT.read_text(), f"The API has changed. Run: {REMAKE}"


def operations() -> list[tuple[str, dict]]:
    paths = yaml.safe_load(SNAPSHOT.read_text())["paths"]
    return [(f"{method} {path}", operation) for path, methods in paths.items() for method, operation in methods.items()]


@pytest.mark.parametrize(("name", "operation"), operations(), ids=[name for name, _ in operations()])
def test_each_operation_has_a_name_a_summary_and_its_errors(name: str, operation: dict) -> None:
    assert operation["summary"]
    assert not operation["operationId"].startswith(("api_", "v1_")), "Give it an operation_id of its own."
    assert "401" in operation["responses"]
    for status, answer in operation["responses"].items():
        if int(status) >= 400:
            schema = answer["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/Error"}


WRONG_HEADERS = [
    {},
    {"authorization": "Bearer nonsense"},
    {"authorization": "Bearer aivd_abcdefgh_secret"},
    {"authorization": "Bearer"},
    {"authorization": "Basic YTpi"},
    {"authorization": "Bearer \udcff".encode(errors="surrogateescape").decode("latin1")},
    {"accept": "application/json"},
    {"accept": "image/*"},
    {"accept": "nonsense"},
    {"accept": "text/html;q=nonsense"},
    {"cookie": "sessionid=nonsense"},
    {"cookie": "sessionid"},
]


@pytest.mark.stack
@pytest.mark.django_db
@pytest.mark.parametrize("headers", WRONG_HEADERS, ids=str)
@pytest.mark.parametrize("address", ["/api/docs/", "/api/schema/", "/api/schema/?format=json", "/api/schema/?format=x"])
def test_the_reference_is_read_without_signing_in_whatever_is_sent_with_it(client: Client, address, headers) -> None:
    answer = client.get(address, headers=headers)
    assert answer.status_code == 200
    assert "unsafe-inline" not in answer["Content-Security-Policy"]


def test_what_is_served_is_the_committed_description(client: Client) -> None:
    assert yaml.safe_load(client.get("/api/schema/").content) == yaml.safe_load(SNAPSHOT.read_text())
    assert client.get("/api/schema/", headers={"accept": "application/json"}).json()["openapi"].startswith("3.")


def test_the_reference_draws_itself_without_a_cdn_and_without_anything_inline(client: Client) -> None:
    page = client.get("/api/docs/").content.decode()
    assert "//cdn" not in page
    assert "/static/drf_spectacular_sidecar/" in page
    assert not re.search(r"<style|<script(?![^>]*src=)|\son\w+=|style=", page)
    for found in re.findall(r'(?:src|href)="/static/([^"]+)"', page):
        assert finders.find(found) or found == "favicon.svg", found
