"""The task that serves a DemoRun: it streams generated boards to the station like any camera would."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

from asgiref.sync import sync_to_async
from celery import shared_task
from django.conf import settings
from django.db.models import Q
from django.db.models.functions import Now

from aivd_web.kernel.database import database_now
from finetune.boards import encode_jpeg, generate_board
from inspections.models import ApiToken
from inspections.services import tokens

from .models import DemoRun
from .stream_client import Outgoing, StreamClient

SILENT_S = 15
GOOD_EVERY = 5  # one board in five has no defect


@shared_task(name="aivd_web.demo.run_line")
def run_line(run_id: int) -> str:
    """Claim the run and serve it to its end. A second call finds it claimed and leaves it alone."""
    silent_since = Now() - timedelta(seconds=SILENT_S)
    free = Q(state=DemoRun.State.QUEUED) | Q(state=DemoRun.State.RUNNING, beat_at__lt=silent_since)
    claimed = DemoRun.objects.filter(free, pk=run_id)
    if not claimed.update(state=DemoRun.State.RUNNING, beat_at=Now()):
        return "claimed by another"
    run = DemoRun.objects.select_related("station__line").get(pk=run_id)
    issued = tokens.issue(
        name=f"demo line {run.pk}",
        line=run.station.line,
        station=run.station,
        scopes=[ApiToken.Scope.INGEST],
        by=run.started_by,
        expires_at=database_now() + timedelta(hours=12),
    )
    try:
        asyncio.run(_serve(run, issued.text))
        outcome = DemoRun.State.SUCCEEDED
    except Exception as error:
        DemoRun.objects.filter(pk=run.pk).update(error=str(error)[:500])
        outcome = DemoRun.State.FAILED
    finally:
        tokens.revoke(token=issued.token)
    ended = DemoRun.objects.filter(pk=run.pk, state=DemoRun.State.RUNNING)
    ended.update(state=outcome, finished_at=Now())
    return str(outcome)


@shared_task(name="aivd_web.demo.resume")
def resume() -> int:
    """Take up runs whose task or message was lost."""
    silent_since = Now() - timedelta(seconds=SILENT_S)
    lost = Q(state=DemoRun.State.QUEUED, created_at__lt=silent_since)
    lost |= Q(state=DemoRun.State.RUNNING, beat_at__lt=silent_since)
    runs = list(DemoRun.objects.filter(lost).values_list("pk", flat=True))
    for run_id in runs:
        run_line.apply_async((run_id,), retry=False)
    return len(runs)


async def _serve(run: DemoRun, secret: str) -> None:
    url = f"ws://{settings.HOST}:{settings.PORT}/ws/v1/stations/{run.station_id}/stream"
    client = StreamClient(url, secret, on_answer=lambda key, message: None)
    await client.send_all(_boards(run, client))
    await sync_to_async(_beat, thread_sensitive=False)(run, client)


async def _boards(run: DemoRun, client: StreamClient) -> AsyncIterator[Outgoing]:
    """The boards that are still to be sent, at the run's pace, until somebody cancels it."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    for n in range(run.accepted, run.count):
        if not await sync_to_async(_beat, thread_sensitive=False)(run, client):
            return
        picture = await asyncio.to_thread(_board, run.seed, n)
        yield Outgoing(key=f"demo-{run.pk}-{n}", picture=picture, part_id=f"demo-{run.pk}-{n:05d}")
        due = max(due + 1 / run.boards_per_s, loop.time() - 1)
        await asyncio.sleep(max(0.0, due - loop.time()))


def _board(seed: int, n: int) -> bytes:
    defects = 0 if n % GOOD_EVERY == GOOD_EVERY - 1 else None
    return encode_jpeg(generate_board(seed + n, defects=defects).image)


def _beat(run: DemoRun, client: StreamClient) -> bool:
    """Note how far it is; false once somebody cancelled the run."""
    tally = client.tally
    mine = DemoRun.objects.filter(pk=run.pk, state=DemoRun.State.RUNNING)
    return bool(
        mine.update(
            beat_at=Now(),
            sent=run.sent + tally.sent,
            accepted=run.accepted + tally.accepted,
            refused=run.refused + tally.refused,
        )
    )
