"""`manage.py up`: start AIVD and keep it running. The work is the launcher's; this only carries arguments."""

import argparse
import os
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from aivd_web.launcher import main


class Command(BaseCommand):
    help = "Start PostgreSQL, Redis, the nodes, web and workers, and keep them running until Ctrl+C."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--detach", action="store_true", help="return when AIVD is ready; stop it with `down`")
        parser.add_argument(
            "--then",
            nargs=argparse.REMAINDER,
            metavar="COMMAND",
            help="run COMMAND once AIVD is ready, and leave things as they were",
        )
        parser.add_argument("--all-output", action="store_true", help="show every line of every child")
        parser.add_argument("--mirror-fd", type=int, help="also write the launcher's own lines to this descriptor")

    def handle(
        self, *, detach: bool, then: list[str] | None, all_output: bool, mirror_fd: int | None, **_: Any
    ) -> None:
        if then:
            sys.exit(main.up_while(then, environ=os.environ, stream=sys.stdout))
        if detach:
            sys.exit(main.up_detached(environ=os.environ, stream=sys.stdout))
        mirror = os.fdopen(mirror_fd, "w") if mirror_fd is not None else None
        sys.exit(main.up(environ=os.environ, stream=sys.stdout, mirror=mirror, verbose=all_output))
