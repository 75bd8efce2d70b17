"""`manage.py down`: stop the AIVD that runs from this var folder."""

import os
import sys
from typing import Any

from django.core.management.base import BaseCommand

from aivd_web.launcher import main


class Command(BaseCommand):
    help = "Stop the AIVD that was started from this folder."
    requires_system_checks: list[str] = []

    def handle(self, **_: Any) -> None:
        sys.exit(main.down(environ=os.environ, stream=sys.stdout))
