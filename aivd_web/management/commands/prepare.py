"""`manage.py prepare`: the admin, the fleet managers, a site and the nodes. Running it again changes nothing."""

import os
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from aivd_web import bootstrap
from aivd_web.launcher import layout
from aivd_web.launcher.addresses import AddressError, parse_nodes
from inspections.services.bootstrap import ensure_first_site


class Command(BaseCommand):
    help = "Make the first admin, the demo site and the rows of the nodes, where they are missing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--nodes", default=os.environ.get("AIVD_NODES", ""))
        parser.add_argument("--migrate", action="store_true", help="bring the tables up to date first")

    def handle(self, *, nodes: str, migrate: bool, **_: Any) -> None:
        try:
            given = parse_nodes(nodes)
        except AddressError as error:
            raise CommandError(str(error)) from error
        if migrate:
            call_command("migrate", interactive=False, verbosity=0)
        password_file = Path(layout.current().var) / "admin.txt"
        password = bootstrap.ensure_admin(password_file=password_file)
        bootstrap.ensure_fleet_managers()
        ensure_first_site()
        bootstrap.ensure_nodes(given)
        if password:
            self.stdout.write(f"First admin: {bootstrap.ADMIN} / {password}   (kept in {password_file})")
