"""docs/openapi.yaml is the API as it is, complete, and readable without anything from elsewhere."""

from pathlib import Path

import pytest
import yaml
from django.core.management import call_command
from django.test import Client

from tests.cast import Cast

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


@pytest.mark.stack
def test_the_reference_draws_itself_without_a_cdn(cast: Cast, client: Client) -> None:
    assert client.get("/api/docs/").status_code == 401
    client.force_login(cast.vera)
    page = client.get("/api/docs/")
    assert page.status_code == 200
    assert "//cdn" not in page.content.decode()
    assert "/static/drf_spectacular_sidecar/" in page.content.decode()
