"""`manage.py demo`: generated boards through the public API and the stream, followed over the websocket."""

import asyncio
import json
import secrets
import sys
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from aivd_web.demo import rehearsal
from inspections.models import ApiToken, Frame, Station
from inspections.services import tokens

FIRST_PAGE_BOARDS = 6


class Command(BaseCommand):
    help = "Send 20 generated boards by REST and 20 by the stream to the running site, and judge the result."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--seed", type=int, default=None, help="Boards of this seed; else fresh ones")
        parser.add_argument("--seed-first-page", action="store_true", help="Only fill an empty first page")

    def handle(self, *, seed: int | None, seed_first_page: bool, **_: Any) -> None:
        if seed_first_page and Frame.objects.exists():
            return
        station = Station.objects.select_related("line").order_by("pk").first()
        if station is None:
            raise CommandError("There is no station; run 'manage.py prepare' first.")
        issued = tokens.issue(
            name="demo command",
            line=station.line,
            scopes=[ApiToken.Scope.INGEST, ApiToken.Scope.READ],
            by=None,
            expires_at=timezone.now() + timedelta(hours=1),
        )
        try:
            verdict = self._rehearse(station, issued.text, seed, seed_first_page)
        finally:
            tokens.revoke(token=issued.token)
        if seed_first_page:
            return
        self.stdout.write(rehearsal.table(verdict))
        self.stdout.write(json.dumps(verdict.summary))
        sys.exit(0 if verdict.good else 1)

    def _rehearse(self, station: Station, token: str, seed: int | None, first_page: bool) -> rehearsal.Verdict:
        seed = secrets.randbelow(2**30) if seed is None else seed
        target = rehearsal.Target(f"http://{settings.HOST}:{settings.PORT}", station.line_id, station.pk, token)
        if first_page:
            rest, stream = rehearsal.boards(seed=seed, with_defects=FIRST_PAGE_BOARDS - 1, without=1), []
        else:
            rest = rehearsal.boards(seed=seed, with_defects=16, without=4)
            stream = rehearsal.boards(seed=seed + 1000, with_defects=16, without=4)
        return asyncio.run(rehearsal.rehearse(target, rest=rest, stream=stream, run=secrets.token_hex(4)))
