"""What a run's report says: its file as the trainer wrote it, and the part that rows keep so that gates can be judged.

The trainer writes `out/report/report.json`; its digest came with the `done` event.
"""

import json
from pathlib import Path
from typing import Any

from aivd_web.kernel.errors import NotFound
from finetune.models import FineTuneRun
from finetune.runs import services

FOLDER = "report"
FILE = "report.json"
MAX_BYTES = 4 * 1024**2
MAX_NUMBER = 10_000
MAX_PICTURE_BYTES = 16 * 1024**2


def read(run: FineTuneRun) -> dict[str, Any]:
    """The whole report. Raises NotFound where the run has none."""
    try:
        path = folder_of(run) / FILE
        if path.stat().st_size > MAX_BYTES:
            raise ValueError("too large")
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise NotFound("This run has no report.", hint="A run that has succeeded has one.") from None
    if not isinstance(found, dict):
        raise NotFound("This run has no report.", hint="A run that has succeeded has one.")
    return found


def folder_of(run: FineTuneRun) -> Path:
    return services.folder_of(run) / "out" / FOLDER


def summary(run: FineTuneRun) -> dict[str, Any] | None:
    """The shares of each arm by trial and the gains: what gates are judged by. None without a report."""
    try:
        report = read(run)
        return {
            "arms": {name: dict(arm["trials"]) for name, arm in report["arms"].items()},
            "gains": dict(report["gains"]),
            "digests": dict(report["digests"]),
        }
    except (NotFound, KeyError, TypeError, AttributeError, ValueError):
        return None


def picture(folder: Path, number: int) -> Path:
    """One of the pictures that a trainer numbered. Raises NotFound."""
    path = folder / f"{min(number, MAX_NUMBER)}.png"
    if not path.is_file() or path.stat().st_size > MAX_PICTURE_BYTES:
        raise NotFound("There is no such picture.", hint="Reload the page.")
    return path
