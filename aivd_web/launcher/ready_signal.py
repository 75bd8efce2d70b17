"""Included by the launcher into its Celery workers: tells it, by a file, that a worker takes messages now."""

import os
from pathlib import Path
from typing import Any

from celery.signals import worker_ready


@worker_ready.connect  # type: ignore[untyped-decorator]
def tell_launcher(**_: Any) -> None:
    if path := os.environ.get("AIVD_READY_FILE"):
        Path(path).touch()
