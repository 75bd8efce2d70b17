"""Previews: what a run by these settings would train on and cost, shown before it is launched.

A row with a lease like a run's, and a short child: `python -m finetune.training preview run.json out/`. It checks all
that the run would check first, so what is wrong with the data is said here and not after an hour in the queue.
"""

import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from celery import current_app
from django.conf import settings as site
from django.db import transaction
from django.db.models.functions import Now

from aivd_web.kernel.text import storable
from finetune import leases
from finetune.leases import Held, LeaseLost
from finetune.models import DatasetVersion, RunPreview, State
from finetune.runs import recipes, services, supervisor
from finetune.runs.events import plain
from inspections.events import numbering

FOLDER = "previews"
TASK = "finetune.preview"
COMMAND = (sys.executable, "-m", "finetune.training", "preview")
LEASE = timedelta(seconds=10)
BEAT_S = 2.0
POLL_S = 0.25
MAX_S = 300.0
KEPT = timedelta(days=1)
MAX_READ_BYTES = 1024**2
MAX_SHOWN_BYTES = 512 * 1024
MAX_LINE = 8_000


@transaction.atomic
def ask(
    *, version: DatasetVersion, kind: str, by: str, settings: Mapping[str, Any] | None = None, seed: int = 0
) -> RunPreview:
    """Raises BadRecipe, NoRoom, Conflict."""
    checked = recipes.checked(kind, settings or {})
    if not recipes.KINDS[kind].previews:
        raise recipes.BadRecipe(f"A {kind} run has no preview.", hint="Launch it; its log says what it reads.")
    services.refuse_what_cannot_start(version)
    preview = RunPreview.objects.create(
        version=version, kind=kind, base=recipes.KINDS[kind].base, seed=seed, settings=checked, created_by=by
    )
    transaction.on_commit(lambda: wake(preview.pk), robust=True)
    return preview


def wake(preview_id: Any) -> None:
    """Lost without harm: the beat looks at what waits."""
    current_app.send_task(TASK, args=[str(preview_id)], queue="housekeeping", expires=30)


def folder_of(preview: RunPreview) -> Path:
    return Path(site.MEDIA_DIR) / FOLDER / str(preview.pk)


def carry_out(preview_id: Any, *, command: Sequence[str] = COMMAND) -> State | None:
    """None: it is another worker's by now."""
    held = leases.claim(RunPreview, preview_id, lease=LEASE)
    if held is None:
        return None
    try:
        _book(held, _run(held, command))
    except LeaseLost:
        return None
    _tell(held.row)
    return State(held.row.state)


def _run(held: Held[RunPreview], command: Sequence[str]) -> int:
    """The child's exit code; its last sentence goes into the row as it comes. Raises LeaseLost."""
    folder = folder_of(held.row)
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "out").mkdir(parents=True)
    order = services.put_order(folder, held.row)
    with (folder / "trainer.log").open("wb") as output:
        child = subprocess.Popen(
            [*command, str(order), str(folder / "out")],
            cwd=supervisor.ROOT,
            env=supervisor.environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        supervisor.limit(child.pid)
        _follow(held, child)
        return child.returncode
    finally:
        supervisor.kill_group(child)


def _follow(held: Held[RunPreview], child: "subprocess.Popen[bytes]") -> None:
    started = beat_at = time.monotonic()
    while child.poll() is None and time.monotonic() - started < MAX_S:
        said = _last(held.row, "log").get("text", "")
        if said != held.row.progress or time.monotonic() - beat_at > BEAT_S:
            beat_at = time.monotonic()
            held.write(progress=storable(str(said), most=300))
            _tell(held.row)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(POLL_S)
    if child.poll() is None:
        supervisor.kill_group(child)


def _book(held: Held[RunPreview], code: int) -> None:
    shown = _shown(held.row) if code == 0 else None
    if shown is not None:
        held.end(State.SUCCEEDED, shown=shown, progress="")
        return
    told = _last(held.row, "failed")
    held.end(
        State.FAILED,
        code=str(told.get("code", "no_preview"))[:40],
        detail=str(told.get("sentence", f"It ended with code {code} and without a word.")),
        hint=str(told.get("hint", "The worker's log has more.")),
        progress="",
    )


def _shown(preview: RunPreview) -> dict[str, Any] | None:
    path = folder_of(preview) / "out" / "preview.json"
    try:
        if path.stat().st_size > MAX_SHOWN_BYTES:
            return None
        found = plain(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _last(preview: RunPreview, kind: str) -> dict[str, Any]:
    """The last event of a kind that the child told so far."""
    try:
        with (folder_of(preview) / "out" / "events.jsonl").open("rb") as file:
            lines = file.read(MAX_READ_BYTES).splitlines()
    except OSError:
        return {}
    for line in reversed(lines):
        try:
            event = plain(json.loads(line[:MAX_LINE].decode("utf-8", "replace")))
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict) and event.get("event") == kind:
            return event
    return {}


def _tell(preview: RunPreview) -> None:
    """A hint on the line's websocket: look at this preview again."""
    hint = {"type": "preview.changed", "preview": str(preview.pk), "state": preview.state}
    numbering.hint_on_commit(line_id=preview.version.dataset.line_id, message=hint)


def reap() -> int:
    """Take back previews whose worker has gone, wake one for those that wait, forget old ones with their pictures."""
    taken = leases.reap(RunPreview)
    for preview in RunPreview.objects.filter(state=State.QUEUED):
        wake(preview.pk)
    for preview in RunPreview.objects.filter(created_at__lt=Now() - KEPT).exclude(state=State.RUNNING)[:100]:
        shutil.rmtree(folder_of(preview), ignore_errors=True)
        preview.delete()
    return taken
