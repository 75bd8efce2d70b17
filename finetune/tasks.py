"""Celery tasks of finetune: wake-ups and housekeeping. Each can run twice, be lost or come late without harm."""

from celery import shared_task

from finetune import leases
from finetune.datasets import importing
from finetune.models import ImportJob
from finetune.runs import previews, supervisor


@shared_task(name="finetune.train_waiting")
def train_waiting() -> int:
    """Carry out the runs that wait, in this worker: the queue `training`, one at a time."""
    return supervisor.train_waiting()


@shared_task(name="finetune.reap")
def reap() -> int:
    """Take back runs and imports whose worker has gone, and wake somebody where work waits."""
    taken = supervisor.reap() + leases.reap(ImportJob) + previews.reap()
    for job_id in importing.waiting():
        import_pictures.delay(job_id)
    return taken


@shared_task(name="finetune.import_pictures")
def import_pictures(job_id: int) -> str:
    """Carry out one import, unless somebody else does."""
    return str(importing.carry_out(job_id) or "")


@shared_task(name="finetune.preview")
def preview(preview_id: str) -> str:
    """Show what a run would train on, unless somebody else does."""
    return str(previews.carry_out(preview_id) or "")
