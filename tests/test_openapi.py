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


@pytest.mark.parametrize(("name", "operation"), operations(), ids=[name for name, _ in operations()])
def test_what_any_address_of_its_shape_can_answer_is_told(name: str, operation: dict) -> None:
    wanted = {"400", "401", "503"}
    wanted |= {"404"} if "{" in name else set()
    wanted |= set() if name.startswith("get ") else {"403", "413"}
    wanted |= {"415", "422"} if "requestBody" in operation else set()
    assert wanted <= set(operation["responses"])


@pytest.mark.parametrize("address", ["frames/{frame_id}/picture", "frames/{frame_id}/rendition",
                                     "frames/{frame_id}/thumbnail", "stations/{station_id}/template"])  # fmt: skip
def test_a_picture_in_ranges_is_described(address: str) -> None:
    told = dict(operations())[f"get /api/v1/{address}"]
    assert {"200", "206", "304", "404", "416"} <= set(told["responses"])
    assert told["responses"]["206"]["content"] == told["responses"]["200"]["content"]
    assert "application/json" not in told["responses"]["200"]["content"]
    assert "Range" in [parameter["name"] for parameter in told["parameters"]]


@pytest.mark.parametrize(("name", "operation"), operations(), ids=[name for name, _ in operations()])
def test_whatever_is_sent_has_bounds(name: str, operation: dict) -> None:
    sent = [parameter["schema"] for parameter in operation.get("parameters", [])]
    sent += [body["schema"] for body in operation.get("requestBody", {}).get("content", {}).values()]
    assert [found for schema in sent for found in unbounded(schema)] == []


def unbounded(schema: dict) -> list[dict]:
    """Parts of `schema` of which it is not told how long, how many or how large they may be."""
    if "$ref" in schema:
        found = yaml.safe_load(SNAPSHOT.read_text())["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return unbounded(found)
    below = [*schema.get("allOf", []), *schema.get("oneOf", []), *schema.get("properties", {}).values()]
    below += [schema["items"]] if "items" in schema else []
    bounds = {"integer": ("minimum", "maximum"), "number": ("minimum", "maximum"), "array": ("maxItems",)}
    bounds |= {"string": ("maxLength",)}
    told = "enum" in schema or schema.get("format") in ("uuid", "binary", "date-time")
    missing = [] if told else [name for name in bounds.get(schema.get("type", ""), ()) if name not in schema]
    return ([schema] if missing else []) + [one for part in below for one in unbounded(part)]


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
def test_the_reference_is_read_without_signing_in_whatever_is_sent_with_it(client, address, headers):
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
