"""Celery tasks of scheduling: they take ids and can run twice."""

from celery import shared_task

from scheduling.services import replays


@shared_task(name=replays.TASK)
def replay(run_id: int) -> str:
    """Carry out a ReplayRun in the process of this worker."""
    return replays.run(run_id)
