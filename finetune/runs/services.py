"""Launch a run, pause it, cancel it, have it go on. A worker does the work; see `supervisor.py`."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from celery import current_app
from django.conf import settings as site
from django.db import transaction

from aivd_web.kernel.errors import Conflict, Unprocessable
from finetune import leases
from finetune.datasets import sealing
from finetune.models import DatasetVersion, FineTuneRun, Recipe, RunPreview
from finetune.runs import recipes
from inspections.events import numbering

FOLDER = "runs"
TASK = "finetune.train_waiting"
LEAST_FREE_BYTES = 512 * 1024**2


class NoRoom(Unprocessable):
    code = "disk_full"


@transaction.atomic
def launch(
    *,
    version: DatasetVersion,
    kind: str,
    by: str,
    settings: Mapping[str, Any] | None = None,
    base: str = "",
    seed: int = 0,
    name: str = "",
    recipe: Recipe | None = None,
) -> FineTuneRun:
    """Queue a run on a sealed version. What can be known to go wrong is said now: BadRecipe, NoRoom, Conflict."""
    given = {**(recipe.settings if recipe else {}), **(settings or {})}
    checked = recipes.checked(kind, given)
    refuse_what_cannot_start(version)
    run = FineTuneRun.objects.create(
        line_id=version.dataset.line_id,
        version=version,
        recipe=recipe,
        name=name,
        kind=kind,
        base=base or recipes.KINDS[kind].base,
        seed=seed,
        settings=checked,
        created_by=by,
    )
    _changed(run)
    return run


def refuse_what_cannot_start(version: DatasetVersion) -> None:
    """Raises Conflict where the sealed files are gone, NoRoom where the disk is full."""
    if not (sealing.folder_of(version) / sealing.MANIFEST).exists():
        raise Conflict(f"The sealed files of {version} are gone.", hint="Seal the dataset again.")
    free = shutil.disk_usage(site.MEDIA_DIR).free
    if free < LEAST_FREE_BYTES:
        raise NoRoom(
            f"The disk has {free // 1024**2} MiB free; a run needs {LEAST_FREE_BYTES // 1024**2}.",
            hint="Make room, then launch it again.",
        )


def save_recipe(*, version: DatasetVersion, name: str, kind: str, settings: Mapping[str, Any], by: str) -> Recipe:
    """Keep settings under a name for the line; the same name again replaces them, and no run. Raises BadRecipe."""
    return Recipe.objects.update_or_create(
        line_id=version.dataset.line_id,
        name=name,
        defaults={"kind": kind, "settings": recipes.checked(kind, settings), "created_by": by},
    )[0]


@transaction.atomic
def pause(*, run: FineTuneRun) -> FineTuneRun:
    """It keeps its checkpoint. Raises Conflict where there is nothing to pause."""
    return _changed(leases.want(run, "pause"))


@transaction.atomic
def cancel(*, run: FineTuneRun) -> FineTuneRun:
    """Raises Conflict where it has ended."""
    return _changed(leases.want(run, "cancel"))


@transaction.atomic
def resume(*, run: FineTuneRun) -> FineTuneRun:
    """From its checkpoint. Raises Conflict where it neither is paused nor has failed."""
    return _changed(leases.resume(run))


def folder_of(run: FineTuneRun) -> Path:
    return Path(site.MEDIA_DIR) / FOLDER / str(run.pk)


def write_order(run: FineTuneRun) -> Path:
    """`run.json`, which the trainer reads: everything that decides its result."""
    folder = folder_of(run)
    folder.mkdir(parents=True, exist_ok=True)
    return put_order(folder, run)


def put_order(folder: Path, work: FineTuneRun | RunPreview) -> Path:
    order = {
        "trainer": work.kind,
        "dataset": str(sealing.folder_of(work.version)),
        "base": work.base,
        "seed": work.seed,
        **work.settings,
    }
    path = folder / "run.json"
    path.write_text(json.dumps(order, indent=2) + "\n")
    return path


def _changed(run: FineTuneRun) -> FineTuneRun:
    """Tell those who watch, and a worker if it waits for one."""
    tell(run)
    transaction.on_commit(wake, robust=True)
    return run


def tell(run: FineTuneRun) -> None:
    """A hint on the line's websocket: look at this run again."""
    numbering.hint_on_commit(
        line_id=run.line_id, message={"type": "run.changed", "run": str(run.pk), "state": run.state}
    )


def wake() -> None:
    """Wake a worker that trains. Lost without harm: the queue is looked at every few seconds as well."""
    current_app.send_task(TASK, queue="training", expires=30)
