"""Does the API do what its description says? `python -m benchmarks.api_schema`, or `make test-api`.

Brings up a whole installation of its own, and has schemathesis call every operation of docs/openapi.yaml with values
that fit its schema and values that do not: as superuser, as viewer of a line, and as a machine with a token that may
send and read. A status of 500 or above is a server error; a status, a type of content or a body
that the description does not name is a schema break. The last line is JSON; exit 0 only if there is neither.
"""

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from benchmarks.load import boards
from benchmarks.stack import ROOT, BenchStack, bench_folder, constant_models

DESCRIPTION = ROOT / "docs" / "openapi.yaml"
HOOKS = Path(__file__).with_name("api_schema_hooks.py")
SERVER_ERROR = "not_a_server_error"
CHECKS = (SERVER_ERROR, "status_code_conformance", "content_type_conformance", "response_schema_conformance")
PHASES = "examples,coverage,fuzzing"
CSRF = "c" * 32
EXAMPLES = 40


@dataclass
class Found:
    """What all calls came to. A finding is counted once for each operation, check and principal."""

    operations: set[str] = field(default_factory=set)
    calls: int = 0
    findings: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int | None] = field(default_factory=Counter)
    unfinished: int = 0

    @property
    def clean(self) -> bool:
        """Nothing was found, and whoever called was let in: answers of 401 would hide all others."""
        known = self.calls > 0 and self.statuses[401] * 20 <= self.calls
        return known and not self.findings.total() and not self.unfinished

    def summary(self) -> dict[str, int]:
        errors = self.findings[SERVER_ERROR]
        return {
            "operations": len(self.operations),
            "calls": self.calls,
            "server_errors": errors,
            "schema_breaks": self.findings.total() - errors,
        }


def main() -> int:
    options = _options()
    folder = bench_folder("api-schema")
    found = Found()
    with BenchStack(folder, AIVD_LOG_LEVEL="WARNING", **constant_models()) as stack:
        for name, headers, known in principals(stack):
            print(f"--- {name}", flush=True)
            events = folder / f"{name}.ndjson"
            status = _call(options, stack.base_url, headers, known, events)
            found.unfinished += status not in (0, 1)
            read(events, found)
    print(f"raw rows: {folder}")
    print("statuses: " + ", ".join(f"{status}: {count}" for status, count in sorted(found.statuses.items(), key=str)))
    print(json.dumps(found.summary()))
    return 0 if found.clean else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--examples", type=int, default=EXAMPLES, help="random calls of each operation by each of them")
    parser.add_argument("--seed", type=int, default=8)
    parser.add_argument("--only", default="", help="paths that match this expression; all of them if left out")
    parser.add_argument(
        "--program", default=str(Path(sys.executable).with_name("schemathesis")), help="schemathesis, if elsewhere"
    )
    return parser.parse_args()


# -- who calls --------------------------------------------------------------------------------------


def principals(stack: BenchStack) -> list[tuple[str, dict[str, str], dict[str, list[Any]]]]:
    """Name, headers and known ids of each who calls. All see one line, where a frame has been sent."""
    from django.contrib.auth.models import User

    from inspections.models import Membership
    from scheduling.models import Node

    station, token = stack.token()
    root = User.objects.create_superuser("schema-root")
    viewer = User.objects.create_user("schema-viewer")
    Membership.objects.create(user=viewer, line=station.line, role="viewer")
    known = {"station_id": [station.pk], "line_id": [station.line_id], "frame_id": _frames(stack, station.pk, token)}
    known["name"] = list(Node.objects.values_list("name", flat=True))
    return [
        ("superuser", _session(root), known),
        ("viewer", _session(viewer), known),
        ("token", {"Authorization": f"Bearer {token}"}, known),
    ]


def _session(user: Any) -> dict[str, str]:
    """The headers of a browser in which `user` has signed in."""
    from django.test import Client

    client = Client()
    client.force_login(user)
    return {"Cookie": f"sessionid={client.cookies['sessionid'].value}; csrftoken={CSRF}", "X-CSRFToken": CSRF}


def _frames(stack: BenchStack, station: int, token: str) -> list[str]:
    ids = []
    for board in boards(3):
        answer = httpx.post(
            f"{stack.base_url}/api/v1/stations/{station}/frames",
            content=board,
            headers={"Authorization": f"Bearer {token}", "Content-Type": "image/jpeg"},
            timeout=30,
        )
        ids += [frame["id"] for frame in answer.raise_for_status().json()["frames"]]
    return ids


# -- the calls --------------------------------------------------------------------------------------


def _call(
    options: argparse.Namespace, url: str, headers: dict[str, str], known: dict[str, list[Any]], events: Path
) -> int:
    command = [options.program, "run", str(DESCRIPTION), "--url", url, "--workers", "1", "--phases", PHASES]
    command += ["--checks", ",".join(CHECKS), "--max-examples", str(options.examples), "--seed", str(options.seed)]
    command += ["--request-timeout", "30", "--continue-on-failure", "--no-color", "--warnings", "off"]
    command += ["--report", "ndjson", "--report-ndjson-path", str(events), "--generation-database", "none"]
    command += ["--generation-with-security-parameters", "false"]
    command += [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    command += ["--include-path-regex", options.only] if options.only else []
    environ = {**os.environ, "SCHEMATHESIS_HOOKS": str(HOOKS), "AIVD_KNOWN": json.dumps(known)}
    environ.pop("DJANGO_SETTINGS_MODULE", None)
    with events.with_suffix(".log").open("w") as log:
        where: dict[str, Any] = {"cwd": events.parent, "stdout": log, "stderr": subprocess.STDOUT}
        return subprocess.run(command, env=environ, check=False, **where).returncode


def read(events: Path, found: Found) -> None:
    """Add up one principal's calls. What could not be called at all is no success either."""
    seen: set[tuple[str, str, str]] = set()
    for line in events.read_text().splitlines():
        row = json.loads(line)
        found.unfinished += any("Error" in kind for kind in row)
        if (recorder := row.get("ScenarioFinished", {}).get("recorder")) is None:
            continue
        made = recorder.get("interactions", {})
        found.calls += len(made)
        if made:
            found.operations.add(recorder["label"])
        for one in made.values():
            found.statuses[(one.get("response") or {}).get("status_code")] += 1
        checks = [check for group in recorder.get("checks", {}).values() for check in group]
        seen |= {(recorder["label"], each["name"], _title(each)) for each in checks if each["status"] == "failure"}
    for label, check, title in sorted(seen):
        print(f"! {label}: {check}: {title}")
        found.findings[check] += 1


def _title(check: dict[str, Any]) -> str:
    failure = (check.get("failure_info") or {}).get("failure") or {}
    return f"{failure.get('title', '')}: {failure.get('message', '')}".splitlines()[0][:200]


if __name__ == "__main__":
    sys.exit(main())
