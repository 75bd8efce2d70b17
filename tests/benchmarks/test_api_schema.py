"""What schemathesis reports is added up so that a finding, or a run that came to nothing, cannot look clean."""

import json
from pathlib import Path

import pytest

from benchmarks.api_schema import CHECKS, Found, read


def report(folder: Path, *, failed: str = "", status: int = 200, more: tuple[dict, ...] = ()) -> Path:
    info = {"failure": {"title": "Undocumented", "message": "Received: 206\nDocumented: 200"}}
    checks = [
        {"name": name, "status": "failure" if name == failed else "success", "failure_info": info} for name in CHECKS
    ]
    made = {str(n): {"response": {"status_code": status}} for n in range(3)}
    recorder = {"label": "GET /x", "interactions": made, "checks": {str(n): checks for n in range(3)}}
    rows = [{"Initialize": {}}, {"ScenarioFinished": {"recorder": recorder}}, *more]
    path = folder / "one.ndjson"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_nothing_found_is_clean(tmp_path: Path) -> None:
    found = Found()
    read(report(tmp_path), found)
    assert found.clean
    assert found.summary() == {"operations": 1, "calls": 3, "server_errors": 0, "schema_breaks": 0}


@pytest.mark.parametrize("check", CHECKS)
def test_a_finding_counts_once_however_often_it_was_met(tmp_path: Path, check: str) -> None:
    found = Found()
    read(report(tmp_path, failed=check), found)
    assert not found.clean
    assert found.summary()["server_errors"] + found.summary()["schema_breaks"] == 1
    assert found.summary()["server_errors"] == (check == "not_a_server_error")


def test_who_was_never_let_in_has_shown_nothing(tmp_path: Path) -> None:
    found = Found()
    read(report(tmp_path, status=401), found)
    assert not found.clean


def test_an_operation_that_could_not_be_called_is_told(tmp_path: Path) -> None:
    found = Found()
    read(report(tmp_path, more=({"NonFatalError": {"info": "no value fits"}},)), found)
    assert not found.clean


def test_no_calls_are_not_clean() -> None:
    assert not Found().clean
