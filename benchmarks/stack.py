"""A whole AIVD of a benchmark's own, brought up and down by the launcher: its own var folder, its own free ports.

Import nothing of Django's before `BenchStack.up()`: the settings are read from the environment that it sets.
"""

import io
import json
import os
import shutil
import sys
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from aivd_web.launcher import main
from aivd_web.launcher.layout import layout_from
from benchmarks import models
from benchmarks.ports import free_ports
from scheduling.serving.contracts import SHIPPED_PRODUCT

ROOT = Path(__file__).resolve().parents[1]
NODE_PORTS = 11


def bench_folder(name: str) -> Path:
    """A new folder for the raw rows of one run, under var/bench."""
    folder = ROOT / "var" / "bench" / name / time.strftime("%Y%m%d-%H%M%S")
    folder.mkdir(parents=True)
    return folder


class BenchStack:
    """`up`, then `environ`, `base_url`, `process`, `client_for_line`; `down` at the end, whatever happened."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.folder = folder
        self.port = free_ports(1 + NODE_PORTS)
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.environ: dict[str, str] = {
            **os.environ,
            "AIVD_VAR": str(folder / "stack"),
            "AIVD_PORT": str(self.port),
            "AIVD_NODE_PORT_BASE": str(self.port + 1),
            "DATABASE_URL": "",
            "REDIS_URL": "",
            "DJANGO_SETTINGS_MODULE": "aivd_web.settings",
            **environ,
        }

    def __enter__(self) -> "BenchStack":
        os.environ.update(self.environ)
        place = layout_from(self.environ)
        place.ensure_folders()
        (place.run_folder / "first-page.done").touch()
        said = io.StringIO()
        if main.up_detached(environ=self.environ, stream=said) != 0:
            self.down()
            raise RuntimeError(f"AIVD did not come up:\n{said.getvalue()[-3000:]}")
        import django

        django.setup()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def down(self) -> None:
        """Stop everything and remove the database and pictures; the logs and raw rows stay."""
        main.down(environ=self.environ, stream=sys.stderr)
        place = layout_from(self.environ)
        logs = place.log_folder
        if logs.is_dir():
            shutil.copytree(logs, self.folder / "log", dirs_exist_ok=True)
        for left in (place.state_folder, place.var):
            shutil.rmtree(left, ignore_errors=True)

    def children(self) -> dict[str, dict[str, Any]]:
        control = Path(self.environ["AIVD_VAR"]) / "run" / "children.json"
        return {row["name"]: row for row in json.loads(control.read_text())["children"]}

    def process(self, name: str) -> int:
        """The process id of a child that runs now."""
        pid = self.children()[name]["pid"]
        if pid is None:
            raise RuntimeError(f"{name} is not running")
        return int(pid)

    def token(self, *, describe: bool = True) -> tuple[Any, str]:
        """A new station of a line of its own, and the text of a token that may send and read there."""
        from django.utils import timezone

        from inspections.models import Site, Station
        from inspections.services import tokens
        from inspections.services.bootstrap import add_line

        site, _ = Site.objects.get_or_create(name="Benchmark")
        line = add_line(site=site, name=f"Line {site.lines.count() + 1}")
        station = Station.objects.create(
            line=line, name="Camera 1", deadline_ms=60_000, describe=describe, product=SHIPPED_PRODUCT
        )
        issued = tokens.issue(
            name="benchmark",
            line=line,
            station=None,
            scopes=["ingest", "read"],
            by=None,
            expires_at=timezone.now() + timedelta(hours=6),
        )
        return station, issued.text


def constant_models(*, service_ms: float = 0.0, token_ms: float = 2.0) -> Mapping[str, str]:
    """Variables that make every node of a stack answer constants, after a sleep as long as a real model's work."""
    return {
        **models.ALLOWED,
        "AIVD_DETECTOR": f"{models.DETECTOR}?service_ms={service_ms:g}",
        "AIVD_DESCRIBER": f"{models.DESCRIBER}?token_ms={token_ms:g}",
    }
